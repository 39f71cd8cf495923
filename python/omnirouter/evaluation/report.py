"""The report: every figure of an evaluation, and the files it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnirouter import __version__
from omnirouter.errors import MissingExtraError
from omnirouter.evaluation.bootstrap import Estimate
from omnirouter.evaluation.document import document
from omnirouter.evaluation.plots import draw
from omnirouter.evaluation.rendering import to_html, to_markdown
from omnirouter.evaluation.results import Capacity, Data, Difference, Method, Single, Target, plain
from omnirouter.evaluation.scores import Scores
from omnirouter.folder import write_folder

__all__ = ["REPORT", "Report"]

REPORT = "report.json"
FORMAT = 2


@dataclass(frozen=True)
class Report:
    """What `evaluate` found. Accuracy and cost are realised unless a name says predicted.

    Attributes
    ----------
    subject : str
        The predictor in question: the first one, whose predictions the per-query rules use too.
    data : Data
    notes : tuple of str
        What a reader must know about the data.
    singles : tuple of Single
        Each model answering everything.
    best_single : str
        The most accurate of them on the test split.
    scores : tuple of Scores
        Of each predictor's accuracies, and of the models' means.
    shares : tuple of float
        Of the best single model's cost, at which methods are compared; empty without costs.
    methods : tuple of Method
        Every way to route; empty without costs.
    differences : tuple of Difference
        The subject against each rival at the same spend, paired; without costs, against the best single model.
    targets : tuple of Target
    capacity : tuple of Capacity
    used : tuple of float
        Share of the judged queries that each model gets, mean over the plans of the subject's curve; without costs, where
        every query goes to the model that the subject predicts to be the most accurate.
    argmax : tuple of (name, Estimate)
        Without costs: accuracy of the most accurate model by each predictor, and by hindsight.
    """

    subject: str
    data: Data
    notes: tuple[str, ...]
    singles: tuple[Single, ...]
    best_single: str
    scores: tuple[Scores, ...]
    shares: tuple[float, ...] = ()
    methods: tuple[Method, ...] = ()
    differences: tuple[Difference, ...] = ()
    targets: tuple[Target, ...] = ()
    capacity: tuple[Capacity, ...] = ()
    used: tuple[float, ...] = ()
    argmax: tuple[tuple[str, Estimate], ...] = ()

    def method(self, name: str) -> Method:
        """The method of this name.

        Raises
        ------
        KeyError
            When there is none; the message lists them.
        """
        for method in self.methods:
            if method.name == name:
                return method
        raise KeyError(f"no method {name!r}; there are {', '.join(method.name for method in self.methods) or 'none'}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON. Null stands for what is not defined or not reached."""
        found: dict[str, Any] = plain(self)
        return {"format": FORMAT, "omnirouter": __version__, **found}

    def to_markdown(self) -> str:
        """The tables, with how each figure is defined."""
        return to_markdown(document(self))

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write report.json, report.md, report.html and the plots as PNG files.

        Without matplotlib there are no plots, and both texts say so. The folder appears whole or not at all; one that
        holds a report is replaced.

        Returns
        -------
        tuple of Path
            What was written.

        Raises
        ------
        FileExistsError
            When something other than a report is in the way.
        """
        try:
            plots = draw(self)
            missing = ""
        except MissingExtraError as error:
            plots, missing = {}, f"There are no plots: {error}."
        blocks = document(self, captions={name: caption for name, (_, caption) in plots.items()}, missing=missing)
        files = {
            "report.md": to_markdown(blocks).encode(),
            "report.html": to_html(blocks, {name: picture for name, (picture, _) in plots.items()}).encode(),
            **{f"{name}.png": picture for name, (picture, _) in plots.items()},
        }

        def write(fresh: Path) -> dict[str, Any]:
            for name, content in files.items():
                (fresh / name).write_bytes(content)
            return self.to_dict()

        write_folder(folder, REPORT, write)
        return tuple(Path(folder) / name for name in (REPORT, *files))
