"""Ways to serve all-MiniLM-L6-v2 in eight bits: size, closeness to the float vectors, dependence on the batch, time.

    python benches/int8.py ../shared/data/routerbench_arc_mbpp.parquet ../shared/data/mmlu_pro.parquet --rows 300

Cosines are with the float graph's vectors. "moved by batch" is the largest change of a component between a text alone and
among the others, on every fifteenth text. Time is processor time on one thread beside the float graph's, the best of three
runs in turn.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from encoders import minilm
from measure import table
from omnirouter import Outcomes
from omnirouter.predictor import Encoder

TIMED = 120
RUNS = 3


def dynamic(**settings: Any) -> Callable[[Path, Path], None]:
    return lambda graph, out: quantize_dynamic(graph, out, weight_type=QuantType.QInt8, **settings)


def blocks(size: int) -> Callable[[Path, Path], None]:
    """Weights in blocks with a scale each; activations as well, row by row (accuracy level 4)."""

    def quantise(graph: Path, out: Path) -> None:
        work = MatMulNBitsQuantizer(onnx.load(graph), bits=8, block_size=size, is_symmetric=True, accuracy_level=4)
        work.process()
        work.model.save_model_to_file(str(out), False)

    return quantise


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "dynamic, a scale per matrix": dynamic(),
    "dynamic, a scale per channel": dynamic(per_channel=True),
    "dynamic, per channel, reduced range": dynamic(per_channel=True, reduce_range=True),
    "dynamic, per channel, products only": dynamic(per_channel=True, op_types_to_quantize=["MatMul"]),
    "blocks of 32": blocks(32),
    "blocks of 128": blocks(128),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="outcomes, for their prompts")
    parser.add_argument("--rows", type=int, default=300, help="prompts of each")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # the quantisers tell of every node
    texts = [text for path in arguments.tables for text in Outcomes.read(path).prompts[: arguments.rows]]
    some = list(range(0, len(texts), 15))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = minilm(folder / "float", int8=False)
        tokenizer = (folder / "float" / "tokenizer.json").read_text(encoding="utf-8")
        graphs = {"float": folder / "float" / "model.onnx"}
        for number, (name, quantise) in enumerate(WAYS.items()):
            graphs[name] = folder / f"{number}.onnx"
            quantise(graphs["float"], graphs[name])
        encoders = {name: Encoder(graph, tokenizer, base.config, threads=1) for name, graph in graphs.items()}
        best = dict.fromkeys(encoders, np.inf)
        for _ in range(RUNS):
            for name, encoder in encoders.items():
                start = time.process_time()
                encoder.encode(texts[:TIMED])
                best[name] = min(best[name], time.process_time() - start)
        expected = encoders["float"].encode(texts)
        rows = []
        for name, encoder in encoders.items():
            vectors = encoder.encode(texts)
            cosine = (vectors * expected).sum(axis=1) / np.linalg.norm(vectors, axis=1)
            alone = np.concatenate([encoder.encode([texts[i]]) for i in some])
            size = f"{graphs[name].stat().st_size / 2**20:.0f} MiB"
            moved = f"{np.abs(alone - vectors[some]).max():.1e}"
            ratio = f"{best[name] / best['float']:.2f}"
            rows.append((name, size, f"{cosine.min():.4f}", f"{cosine.mean():.4f}", moved, ratio))
    print(table(("way", "size", "least cosine", "mean cosine", "moved by batch", "time"), rows))


if __name__ == "__main__":
    main()
