"""Tables of past outcomes, and files of prompts.

`Outcomes` is what happened: prompts by models, scores with holes. `Outcomes.read` takes any known layout,
found by the file's content; a layout is one module with a ``matches`` and a ``parse``, listed in `layouts`.
"""

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.prompts import Prompts, read_prompts

__all__ = ["Outcomes", "Prompts", "read_prompts"]
