"""Predictions of a trained network: embedding and surface of a prompt to accuracy, tokens and money of every model."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from omnirouter.predictor.amounts import ratios_to_lines, scale_to_observed
from omnirouter.predictor.costs import expected_cost
from omnirouter.predictor.encoded import Encoded
from omnirouter.predictor.encoder import Encoder, open_session
from omnirouter.predictor.heads import Basis, fit_linear_heads, fit_logistic_heads
from omnirouter.predictor.history import History
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.predictor.learned_parts import Expected, State
from omnirouter.predictor.network_graph import AmountHeads, Network, Scaling

__all__ = ["NetworkPredictor"]

GRAPH_FILE = "network.onnx"
TRAINING_ROWS = 65_536
RARE_COUNT = 1000  # a model with fewer observations among them keeps all it has
FLATTENING = 4.0  # imagined observations that flatten the line of an amount over the prompt's length


class NetworkPredictor(LearnedPredictor):
    """Accuracy, tokens and money of every model by heads that are trained together and served by onnxruntime.

    The accuracy of model j on a prompt is ``sigmoid(x . W[:, j] + b[j])`` with ``x`` the scaled embedding and
    surface of the prompt (`Scaling`); what is read, written and paid is a line over the prompt's length times
    ``exp(x . V[:, j] + c[j])``. How W and V are learned is told in `omnirouter.predictor.heads`.

    Parameters
    ----------
    encoder : Encoder, str, Path or None
        What turns prompts into vectors; a folder or hub name is opened by `fit`, None takes the embedded
        encoder.

    Attributes
    ----------
    models : tuple of str
        Models of the pool in its order, or of the outcomes where there is no pool.
    encoder_ : Encoder
    graph_ : bytes
        The ONNX graph from ``vectors``, ``surface`` and ``lengths`` (see `Encoded`) to ``acc`` and to
        ``log_output_tokens``, ``log_cost``, ``log_input_tokens``, as far as the history has them.
    cost_source_ : tuple of str
        For each model ``"prices"`` or ``"logged"``.
    pool_ : Pool or None
    """

    kind: ClassVar[str] = "network"

    def __init__(self, encoder: Encoder | str | Path | None = None) -> None:
        super().__init__(encoder)

    def _expect(self, encoded: Encoded) -> Expected:
        names = [output.name for output in self.session_.get_outputs()]
        feed = {
            "vectors": encoded.vectors,
            "surface": encoded.surface,
            "lengths": encoded.lengths.astype(np.float32)[:, None],
        }
        outputs = dict(zip(names, self.session_.run(names, feed), strict=True))
        amounts = {
            name.removeprefix("log_"): np.exp(output.astype(np.float64))
            for name, output in outputs.items()
            if name.startswith("log_")
        }
        return Expected(
            acc=outputs["acc"].astype(np.float64),
            cost=expected_cost(amounts, encoded.lengths, self.pool_, self.cost_source_),
            output_tokens=amounts.get("output_tokens"),
        )

    def check_parameters(self) -> None:
        """There is no parameter to be out of range."""

    def _learn(self, history: History) -> None:
        self._serve(train(history).to_onnx(), threads=0)

    def _serve(self, graph: bytes, *, threads: int) -> None:
        self.graph_ = graph
        self.session_ = open_session(graph, threads)

    def state(self) -> State:
        """What was learned."""
        return State(files={GRAPH_FILE: self.graph_})

    def _restore(self, state: State, *, threads: int) -> None:
        self._serve(state.files[GRAPH_FILE], threads=threads)


def train(history: History) -> Network:
    """Train the network on a history; the same history gives the same network.

    Histories of more than 65,536 rows are thinned evenly to that many, models that are seen seldom in full.
    """
    history = _thinned(history)
    scaling = Scaling.of(history.encoded)
    features = scaling(history.encoded)
    basis = Basis.of(features, history.prompt_numbers)
    amounts = {
        name: _train_amount(values, history.encoded.lengths, features, basis, by_length=name != "output_tokens")
        for name, values in history.amounts.items()
    }
    return Network(scaling, fit_logistic_heads(basis, history.acc), amounts)


def _train_amount(
    values: NDArray[np.float64],
    lengths: NDArray[np.float64],
    features: NDArray[np.float64],
    basis: Basis,
    *,
    by_length: bool,
) -> AmountHeads:
    base, slope, log_ratio = ratios_to_lines(values, lengths, flattening=FLATTENING, by_length=by_length)
    heads = fit_linear_heads(basis, log_ratio)
    raw = AmountHeads(base, slope, heads.weights, heads.intercept)
    factor = scale_to_observed(np.exp(raw.log_amounts(features, lengths)), values)
    return AmountHeads(base * factor, slope * factor, heads.weights, heads.intercept)


def _thinned(history: History) -> History:
    h = len(history)
    if h <= TRAINING_ROWS:
        return history
    keep = np.zeros(h, dtype=bool)
    keep[np.linspace(0, h - 1, TRAINING_ROWS).astype(np.int64)] = True
    rare = history.observed.sum(axis=0) * TRAINING_ROWS < h * RARE_COUNT
    keep |= history.observed[:, rare].any(axis=1)
    return history.take(np.flatnonzero(keep))
