"""The trained network as arrays and as an ONNX graph; the two give the same numbers to 1e-5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.extras import require
from omnirouter.predictor.chances import sigmoid
from omnirouter.predictor.encoded import Encoded
from omnirouter.predictor.heads import Heads

__all__ = ["AmountHeads", "Network", "Scaling"]

SURFACE_SHARE = 0.3  # root mean square of the surface's part of the features, beside 1 of the embedding's
SURFACE_LIMIT = 4.0  # standard deviations at which a surface feature is cut


@dataclass(frozen=True, eq=False)
class Scaling:
    """From encoded prompts to the features of the network.

    The embedding is centred and scaled to a root mean square length of 1; surface features are standardised,
    cut at 4 deviations and scaled to a root mean square length of 0.3 together.

    Attributes
    ----------
    centre : (d,) float64
    stretch : float
    surface_centre, surface_stretch : (6,) float64
    """

    centre: NDArray[np.float64]
    stretch: float
    surface_centre: NDArray[np.float64]
    surface_stretch: NDArray[np.float64]

    @classmethod
    def of(cls, encoded: Encoded) -> Scaling:
        """Learn from the prompts of a history."""
        centre = encoded.vectors.mean(axis=0, dtype=np.float64)
        spread = float(((encoded.vectors - centre) ** 2).sum(axis=1, dtype=np.float64).mean())
        deviation = encoded.surface.std(axis=0, dtype=np.float64)
        return cls(
            centre,
            1 / np.sqrt(spread) if spread > 0 else 0.0,
            encoded.surface.mean(axis=0, dtype=np.float64),
            np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0),
        )

    @property
    def surface_weight(self) -> float:
        """Factor of each standardised surface feature."""
        return SURFACE_SHARE / float(np.sqrt(len(self.surface_centre)))

    def __call__(self, encoded: Encoded) -> NDArray[np.float64]:
        """The features, (n, d + 6)."""
        surface = (encoded.surface - self.surface_centre) * self.surface_stretch
        surface = np.clip(surface, -SURFACE_LIMIT, SURFACE_LIMIT) * self.surface_weight
        return np.concatenate([(encoded.vectors - self.centre) * self.stretch, surface], axis=1)


@dataclass(frozen=True, eq=False)
class AmountHeads:
    """``log(base + slope * length) + x @ weights + intercept``: the logarithm of tokens or money of every model.

    Attributes
    ----------
    base, slope : (m,) float64
    weights : (f, m) float64
    intercept : (m,) float64
        NaN for a model that was never observed.
    """

    base: NDArray[np.float64]
    slope: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def log_amounts(self, features: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithms (n, m); minus infinity for what costs nothing."""
        with np.errstate(divide="ignore"):
            line = np.log(self.base + lengths[:, None] * self.slope)
        amounts: NDArray[np.float64] = line + features @ self.weights + self.intercept
        return amounts


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network.

    Attributes
    ----------
    scaling : Scaling
    acc : Heads
        Of the logit of the accuracy.
    amounts : dict of str to AmountHeads
        ``"input_tokens"``, ``"output_tokens"`` and ``"cost"``, as far as the history has them.
    """

    scaling: Scaling
    acc: Heads
    amounts: dict[str, AmountHeads]

    def outputs(self, encoded: Encoded) -> dict[str, NDArray[np.float64]]:
        """What the graph returns, in float64 and without onnxruntime."""
        features = self.scaling(encoded)
        logs = {f"log_{name}": heads.log_amounts(features, encoded.lengths) for name, heads in self.amounts.items()}
        return {"acc": sigmoid(self.acc(features)), **logs}

    def to_onnx(self) -> bytes:
        """The serialised graph: opset 17, float32, batch of any size."""
        onnx = require("onnx", extra="predict")
        numpy_helper = require("onnx.numpy_helper", extra="predict")
        constants: list[Any] = []

        def constant(name: str, value: Any) -> str:
            constants.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32), name))
            return name

        def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
            nodes.append(onnx.helper.make_node(kind, inputs, [output], **attributes))
            return output

        nodes: list[Any] = []
        scaling = self.scaling
        centred = node("Sub", ["vectors", constant("centre", scaling.centre)], "centred")
        embedding = node("Mul", [centred, constant("stretch", scaling.stretch)], "embedding_part")
        surface = node("Sub", ["surface", constant("surface_centre", scaling.surface_centre)], "surface_centred")
        surface = node("Mul", [surface, constant("surface_stretch", scaling.surface_stretch)], "surface_standard")
        limits = [constant("lowest", -SURFACE_LIMIT), constant("highest", SURFACE_LIMIT)]
        surface = node("Clip", [surface, *limits], "surface_cut")
        surface = node("Mul", [surface, constant("surface_weight", scaling.surface_weight)], "surface_part")
        features = node("Concat", [embedding, surface], "features", axis=1)
        weights = [constant("acc_weights", self.acc.weights), constant("acc_intercept", self.acc.intercept)]
        node("Sigmoid", [node("Gemm", [features, *weights], "acc_logits")], "acc")
        for name, heads in self.amounts.items():
            line = node("Mul", ["lengths", constant(f"{name}_slope", heads.slope[None, :])], f"{name}_by_length")
            line = node("Add", [line, constant(f"{name}_base", heads.base)], f"{name}_line")
            line = node("Log", [line], f"{name}_log_line")
            weights = [constant(f"{name}_weights", heads.weights), constant(f"{name}_intercept", heads.intercept)]
            node("Add", [line, node("Gemm", [features, *weights], f"{name}_ratio")], f"log_{name}")
        m = len(self.acc.intercept)
        info, real = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
        inputs = {
            "vectors": len(scaling.centre),
            "surface": len(scaling.surface_centre),
            "lengths": 1,
        }
        graph = onnx.helper.make_graph(
            nodes,
            "network",
            [info(name, real, ["batch", width]) for name, width in inputs.items()],
            [info(name, real, ["batch", m]) for name in ("acc", *(f"log_{name}" for name in self.amounts))],
            constants,
        )
        # Opset 17 and IR 8 are read by every onnxruntime that is supported.
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        serialised: bytes = model.SerializeToString()
        return serialised
