"""Neighbours and network, stacked on out-of-fold predictions and shrunk as far as decisions say."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from omnirouter.predictor.amounts import spread_rows
from omnirouter.predictor.decisions import Shrinkage
from omnirouter.predictor.encoded import Encoded
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.folds import expect_out_of_fold, fold_numbers
from omnirouter.predictor.history import History
from omnirouter.predictor.knn import KnnPredictor
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.predictor.learned_parts import Expected, HeldOut, State
from omnirouter.predictor.network import NetworkPredictor
from omnirouter.predictor.stacking import AccStack, AmountStack

__all__ = ["HybridPredictor", "held_out_amounts"]

STACKING_ROWS = 20_000
FEW_ROWS = 1_000  # histories of fewer rows are divided into folds several times
MOST_REPEATS = 3


class HybridPredictor(LearnedPredictor):
    """The default predictor: `KnnPredictor` and `NetworkPredictor`, stacked.

    Both parts predict the history out of fold. From that are learned the weights of the parts (`AccStack`,
    `AmountStack`), and how far the result is believed in a choice between models (`Shrinkage`).

    Parameters
    ----------
    encoder : Encoder, str, Path or None
        What turns prompts into vectors; a folder or hub name is opened by `fit`, None takes the embedded
        encoder.
    n_folds : int, default 5
        Folds of the history, at least 2.
    seed : int, default 0
        Of the folds.

    Attributes
    ----------
    models : tuple of str
        Models of the pool in its order, or of the outcomes where there is no pool.
    knn_, network_ : KnnPredictor, NetworkPredictor
        The parts, fitted on the whole history.
    acc_stack_ : AccStack
    cost_stack_, tokens_stack_ : AmountStack
        ``tokens_stack_`` is None where no output tokens were observed.
    shrinkage_ : Shrinkage
    """

    kind: ClassVar[str] = "hybrid"

    def __init__(self, encoder: Encoder | str | Path | None = None, *, n_folds: int = 5, seed: int = 0) -> None:
        super().__init__(encoder)
        self.n_folds = n_folds
        self.seed = seed

    def _expect(self, encoded: Encoded) -> Expected:
        parts = [self.knn_.expect(encoded), self.network_.expect(encoded)]
        written = None
        if self.tokens_stack_ is not None:
            written = self.tokens_stack_([tokens for part in parts if (tokens := part.output_tokens) is not None])
        return Expected(
            acc=self.shrinkage_(self.acc_stack_([part.acc for part in parts])),
            cost=self.cost_stack_([part.cost for part in parts]),
            output_tokens=written,
        )

    def check_parameters(self) -> None:
        """Raise `ValueError` for a parameter outside its range."""
        if type(self.n_folds) is not int or self.n_folds < 2:
            raise ValueError(f"n_folds is {self.n_folds!r}, expected a whole number of at least 2")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"seed is {self.seed!r}, expected a whole number of at least 0")

    def _learn(self, history: History) -> None:
        encoder = self.encoder_
        self.knn_ = KnnPredictor(encoder).fit_history(history, encoder)
        self.network_ = NetworkPredictor(encoder).fit_history(history, encoder)
        rows = spread_rows(history.observed, STACKING_ROWS)
        history = history.take(rows)
        if len(np.unique(history.prompt_numbers)) < 2:
            self._stack_equally(history)
        else:
            self._stack(history, rows)

    def _stack(self, history: History, rows: NDArray[np.int64]) -> None:
        repeats = min(MOST_REPEATS, -(-FEW_ROWS // len(history)))
        numbers = history.prompt_numbers.tolist()
        folds = np.stack([fold_numbers(numbers, self.n_folds, seed=self.seed + r) for r in range(repeats)])
        parts = [
            [expect_out_of_fold(part, history, self.encoder_, fold) for fold in folds] for part in (self.knn_, self.network_)
        ]
        acc = [np.stack([expected.acc for expected in part]) for part in parts]
        cost = [np.stack([expected.cost for expected in part]) for part in parts]
        self.acc_stack_ = AccStack.fit(acc, history.acc, folds)
        self.cost_stack_ = AmountStack.fit(cost, history.paid)
        self.tokens_stack_: AmountStack | None = None
        written = history.amounts.get("output_tokens")
        tokens: list[NDArray[np.float64]] = []
        if written is not None:
            tokens = [np.stack([_known(expected.output_tokens) for expected in part]) for part in parts]
            self.tokens_stack_ = AmountStack.fit(tokens, written)
        spends = [
            held_out_amounts(self.cost_stack_, [part[r] for part in cost], history.paid, folds[r]) for r in range(repeats)
        ]
        self.shrinkage_ = Shrinkage.fit(
            np.stack([self.acc_stack_([part[r] for part in acc]) for r in range(repeats)]),
            np.stack(spends),
            history.acc,
            history.paid,
            folds,
            parts=acc,
        )
        lengths = None
        if written is not None and self.tokens_stack_ is not None:
            lengths = held_out_amounts(self.tokens_stack_, [part[0] for part in tokens], written, folds[0])
        self.held_out_ = HeldOut(
            rows, Expected(self._held_out_acc([part[0] for part in acc], history.acc, folds[0]), spends[0], lengths)
        )

    def _held_out_acc(
        self, parts: list[NDArray[np.float64]], scores: NDArray[np.floating], fold: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Out-of-fold accuracies of the whole: the few weights are those of all rows, all means those of other folds."""
        stacked = np.empty(parts[0].shape)
        for number in np.unique(fold):
            held = fold == number
            stacked[held] = self.acc_stack_.around(scores[~held])([part[held] for part in parts])
        acc = np.empty(stacked.shape)
        for number in np.unique(fold):
            held = fold == number
            acc[held] = self.shrinkage_.around(stacked[~held])(stacked[held])
        return acc

    def _stack_equally(self, history: History) -> None:
        m = len(history.models)
        self.acc_stack_, self.cost_stack_ = AccStack.equal(2, history.acc), AmountStack.equal(2, m)
        self.tokens_stack_ = AmountStack.equal(2, m) if "output_tokens" in history.amounts else None
        self.shrinkage_ = Shrinkage.none(self.acc_stack_.base)

    def state(self) -> State:
        """What was learned, and the parameters."""
        settings = {"n_folds": self.n_folds, "seed": self.seed, "trust": self.shrinkage_.trust}
        arrays = {name: getattr(self.shrinkage_, name) for name in ("centre", "level", "pull")}
        stacks: dict[str, AccStack | AmountStack | None] = {
            "acc_stack": self.acc_stack_,
            "cost_stack": self.cost_stack_,
            "tokens_stack": self.tokens_stack_,
        }
        for name, stack in stacks.items():
            if stack is not None:
                arrays |= {f"{name}.{field}": getattr(stack, field) for field in stack.__dataclass_fields__}
        own = State(settings, arrays)
        return own | self.knn_.state().within("knn") | self.network_.state().within("network")

    def _restore(self, state: State, *, threads: int) -> None:
        self.n_folds, self.seed = state.settings["n_folds"], state.settings["seed"]
        self.check_parameters()
        shared = (self.encoder_, self.models_, self.pool_, self.cost_source_)
        self.knn_ = KnnPredictor(self.encoder_).restore(state.of("knn"), *shared, threads=threads)
        self.network_ = NetworkPredictor(self.encoder_).restore(state.of("network"), *shared, threads=threads)
        arrays = state.arrays
        self.shrinkage_ = Shrinkage(arrays["centre"], arrays["level"], float(state.settings["trust"]), arrays["pull"])
        self.acc_stack_ = AccStack(**state.of("acc_stack").arrays)
        self.cost_stack_ = AmountStack(**state.of("cost_stack").arrays)
        tokens = state.of("tokens_stack").arrays
        self.tokens_stack_ = AmountStack(**tokens) if tokens else None


def held_out_amounts(
    stack: AmountStack, parts: list[NDArray[np.float64]], values: NDArray[np.float64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Out-of-fold amounts of the whole: the few weights are those of all rows, levels those of other folds."""
    amounts = np.empty(values.shape)
    for number in np.unique(fold):
        held = fold == number
        rest = stack.around([part[~held] for part in parts], values[~held])
        amounts[held] = rest([part[held] for part in parts])
    return amounts


def _known(tokens: NDArray[np.float64] | None) -> NDArray[np.float64]:
    assert tokens is not None  # the history has output tokens, so every part predicts them
    return tokens
