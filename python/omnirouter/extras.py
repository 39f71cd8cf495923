"""Optional packages, imported where they are used and never before."""

from __future__ import annotations

import importlib
from typing import Any

from omnirouter.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, extra: str) -> Any:
    """Import an optional module, or say which extra brings it.

    Parameters
    ----------
    module : str
        Dotted module name, for example ``"pyarrow.parquet"``.
    extra : str
        Name of the extra of this package that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        When the module is not installed.

    Examples
    --------
    >>> require("json", extra="predict").dumps(1)
    '1'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # a broken dependency of the package is not a missing extra
        raise MissingExtraError(
            f'{error.name} is not installed; run: pip install "omnirouter[{extra}]"', name=error.name
        ) from error
