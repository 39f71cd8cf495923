"""The encoder that needs no download: static token embeddings as a small ONNX graph.

The package `wordllama` ships float16 embeddings of 32,000 tokens (256 numbers each) and the tokenizer they
were trained for. A text's vector is the sum of the vectors of its tokens, scaled to unit length (which is
the mean scaled to unit length). It is a bag of tokens: word order is not seen.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

from omnirouter.errors import MissingExtraError, PredictorError
from omnirouter.extras import require
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.encoder_config import EncoderConfig

__all__ = ["embedded_encoder", "embedded_files"]

MAX_LENGTH = 2048
"""Tokens of a prompt that count; most prompts of the public benchmarks are far below it."""


def embedded_encoder(*, threads: int = 0) -> Encoder:
    """Build the default encoder from the files inside the package `wordllama`, offline.

    Parameters
    ----------
    threads : int, default 0
        Threads of onnxruntime; 0 uses all cores.

    Returns
    -------
    Encoder
        d = 256, unit vectors, no special tokens, at most 2,048 tokens of a text. `Encoder.save` makes it a
        folder of 18 MB that loads without `wordllama`, `onnx` and `safetensors`.

    Raises
    ------
    MissingExtraError
        When `wordllama`, `onnx` or `safetensors` is not installed.
    PredictorError
        When the files of `wordllama` are not where they are expected.
    """
    weights, tokenizer = embedded_files()
    stored = json.loads(tokenizer.read_text(encoding="utf-8"))
    stored["post_processor"] = None  # it only adds the start token, which would shift every vector alike
    graph = _graph(require("safetensors.numpy", extra="predict").load_file(weights)["embedding.weight"])
    config = EncoderConfig(max_length=MAX_LENGTH)
    return Encoder(graph, json.dumps(stored, ensure_ascii=False), config, threads=threads)


def embedded_files() -> tuple[Path, Path]:
    """Paths of the embeddings (safetensors) and of the tokenizer (JSON) inside the package `wordllama`.

    The package is located but never imported: its own loader looks for files on the network.
    """
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            'wordllama is not installed; run: pip install "omnirouter[predict]", or name an encoder folder',
            name="wordllama",
        )
    root = Path(spec.origin).parent
    weights = root / "weights" / "l2_supercat_256.safetensors"
    tokenizer = root / "tokenizers" / "l2_supercat_tokenizer_config.json"
    for path in (weights, tokenizer):
        if not path.is_file():
            raise PredictorError(f"the installed wordllama has no {path.relative_to(root)}; expected version 0.4")
    return weights, tokenizer


def _graph(embeddings: Any) -> bytes:
    """Serialised graph from padded token ids and their mask to unit vectors.

    The float16 table stays float16 in the file; onnxruntime folds the cast when it opens the graph. The
    masked sum is a matrix product of the mask with the gathered vectors: no masked copy of them is made.
    """
    onnx = require("onnx", extra="predict")
    node, info, types = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto
    nodes = [
        node("Cast", ["table16"], ["table"], to=types.FLOAT),
        node("Gather", ["table", "input_ids"], ["tokens"]),
        node("Cast", ["attention_mask"], ["mask"], to=types.FLOAT),
        node("Unsqueeze", ["mask", "one"], ["row"]),
        node("MatMul", ["row", "tokens"], ["sum_row"]),
        node("Squeeze", ["sum_row", "one"], ["sum"]),
        node("LpNormalization", ["sum"], ["sentence_embedding"], axis=-1, p=2),
    ]
    numpy_helper = require("onnx.numpy_helper", extra="predict")
    graph = onnx.helper.make_graph(
        nodes,
        "static_embeddings",
        [info(name, types.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")],
        [info("sentence_embedding", types.FLOAT, ["batch", embeddings.shape[1]])],
        [numpy_helper.from_array(embeddings, "table16"), numpy_helper.from_array(np.array([1]), "one")],
    )
    # Opset 17 and IR 8 are read by every onnxruntime that is supported.
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised
