"""One ONNX session from token ids to embedding, accuracy and amounts, against the encoder's and the network's in turn.

    python benches/fused.py ../shared/data/routerbench_arc_mbpp.parquet --encoder minilm/

Both ways get the same batches of token ids, as `Encoder` makes them, on one thread: in batches (a whole file) and one by one
(live traffic). Printed: processor time of the two sessions over that of the fused one, median and quartiles of pairs of runs
in turn; and the same for all of the work from text to prediction, with tokenising and the surface of the prompts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from measure import table
from omnirouter import Outcomes
from omnirouter.predictor import Encoder, embedded_encoder
from omnirouter.predictor.encoded import SURFACE, surface_features
from omnirouter.predictor.encoder import open_session
from omnirouter.predictor.heads import Heads
from omnirouter.predictor.network_graph import AmountHeads, Network, Scaling

MODELS = 16
RUNS = 15
PROMPTS = {"embedded": 1024, "other": 48}

Feed = dict[str, Any]


def network(dim: int) -> bytes:
    """A network of the usual shape; its speed does not depend on what it learned."""
    rng = np.random.default_rng(0)
    scaling = Scaling(np.zeros(dim), 1.0, np.zeros(len(SURFACE)), np.ones(len(SURFACE)))
    weights = rng.normal(size=(dim + len(SURFACE), MODELS))
    heads, ones = Heads(weights, np.zeros(MODELS), 1.0), np.ones(MODELS)
    amounts = {name: AmountHeads(ones, ones, weights, np.zeros(MODELS)) for name in ("output_tokens", "cost")}
    return Network(scaling, heads, amounts).to_onnx()


def fuse(encoder: bytes, heads: bytes) -> bytes:
    """The network behind the encoder, with the embedding as an output of its own."""
    first, second = onnx.load_from_string(encoder), onnx.load_from_string(heads)
    outputs = ["sentence_embedding", *(f"network_{output.name}" for output in second.graph.output)]
    second = onnx.compose.add_prefix(second, "network_")
    merged = onnx.compose.merge_models(first, second, io_map=[("sentence_embedding", "network_vectors")], outputs=outputs)
    return bytes(merged.SerializeToString())


def batches(encoder: Encoder, prompts: Sequence[str], size: int) -> list[Feed]:
    """What `encode` gives to the encoder's session, with the network's other inputs beside it."""
    feeds: list[Feed] = []
    run = encoder._session.run

    class Recorder:
        def run(self, names: list[str], feed: Feed) -> Any:
            feeds.append(feed)
            return run(names, feed)

    session, encoder._session = encoder._session, Recorder()
    try:
        encoder.encode(prompts, batch_size=size)
    finally:
        encoder._session = session
    surface = surface_features(prompts)
    start = 0
    for feed in feeds:  # in whatever order: only the time counts
        rows = slice(start, start + len(feed["input_ids"]))
        lengths = np.maximum(feed["attention_mask"].sum(axis=1, keepdims=True), 1).astype(np.float32)
        feed["network"] = {"network_surface": surface[rows], "network_lengths": lengths}
        start = rows.stop
    return feeds


def compare(encoder: Encoder, graph: bytes, prompts: Sequence[str], size: int) -> tuple[list[float], list[float]]:
    """Ratios of two sessions' time to one's: of the sessions alone, and of all the work."""
    heads = network(encoder.dim)
    sessions = [open_session(model, 1) for model in (graph, heads, fuse(graph, heads))]
    feeds = batches(encoder, prompts, size)
    ids = [{name: value for name, value in feed.items() if name != "network"} for feed in feeds]
    others = [feed["network"] for feed in feeds]

    def encode() -> list[Any]:
        return [sessions[0].run(["sentence_embedding"], feed)[0] for feed in ids]

    def predict(vectors: list[Any]) -> None:
        if size == 1:
            for rows, other in zip(vectors, others, strict=True):
                sessions[1].run(None, {name[8:]: value for name, value in {"network_vectors": rows, **other}.items()})
            return
        columns = {name[8:]: np.concatenate([other[name] for other in others]) for name in others[0]}
        sessions[1].run(None, {"vectors": np.concatenate(vectors), **columns})

    def together() -> None:
        for feed, other in zip(ids, others, strict=True):
            sessions[2].run(None, {**feed, **other})

    for rows, feed, other in list(zip(encode(), ids, others, strict=True))[:3]:
        np.testing.assert_allclose(sessions[2].run(["sentence_embedding"], {**feed, **other})[0], rows, atol=1e-5)

    def text_to_vectors() -> None:
        for start in range(0, len(prompts), len(prompts) if size > 1 else 1):
            part = prompts[start : start + (len(prompts) if size > 1 else 1)]
            encoder.encode(part, batch_size=size)
            surface_features(part)

    ratios, wholes = [], []
    for _ in range(RUNS):
        vectors: list[Any] = []
        two = cpu(lambda vectors=vectors: vectors.extend(encode()))
        heads_alone = cpu(lambda vectors=vectors: predict(vectors))
        one = cpu(together)
        whole = cpu(text_to_vectors) + heads_alone
        ratios.append((two + heads_alone) / one)
        wholes.append(whole / (whole - two - heads_alone + one))
    return ratios, wholes


def in_words(ratios: Sequence[float]) -> str:
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def cpu(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="outcomes, for their prompts")
    parser.add_argument("--encoder", type=Path, action="append", default=[], help="an exported encoder; repeatable")
    arguments = parser.parse_args()
    prompts = Outcomes.read(arguments.table).prompts
    encoders = {"embedded": embedded_encoder(threads=1)}
    encoders |= {folder.name: Encoder.load(folder, threads=1) for folder in arguments.encoder}
    rows = []
    for name, encoder in encoders.items():
        graph = encoder._model if isinstance(encoder._model, bytes) else encoder._model.read_bytes()
        count = PROMPTS.get(name, PROMPTS["other"])
        for words, size, used in (("batches", 256, prompts[:count]), ("one by one", 1, prompts[: count // 4])):
            rows.append((name, words, *map(in_words, compare(encoder, graph, used, size))))
    print(table(("encoder", "prompts", "two sessions / fused", "all work, two / fused"), rows))


if __name__ == "__main__":
    main()
