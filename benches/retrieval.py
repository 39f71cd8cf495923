"""Nearest neighbours in large histories: exact search beside the indexes of usearch and faiss-cpu.

    python benches/retrieval.py --data ../shared/data
    python benches/retrieval.py --rows 1000000 --methods exact "usearch f16" "faiss ivf"

Histories of unit vectors, 256 numbers each. With --data they are the embedded encoder's vectors of the prompts in that
folder's outcome tables, repeated with noise (similarity about 0.97) up to the number of rows; else simulated ones, in topics
of unequal size, within fields, whose directions weigh less and less, as those of text embeddings do. Queries are not in the
history. Each method runs in a process of its own, on one thread (--threads), and time is processor time, so that figures
compare on a machine that is shared. Those of usearch are left out where it is not installed. "kept" is what this package
does with a history of 100,000 prompts and more. Columns:

- `recall@16`, `recall@64`: share of the exact nearest found, after exact ordering of the k + 16 candidates asked for.
- `queries/s`: of one search for all queries; `times exact`: by the exact search of this package in the same run.
- `memory`: what resident memory grew by while the index was built. `file`: the index on disk, without the vectors of
  the history, which a router keeps anyway.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure import described, lines, machine, table, write_json
from omnirouter import Outcomes
from omnirouter.predictor.embedded import embedded_encoder
from omnirouter.predictor.index import Index
from omnirouter.predictor.neighbours import SPARE, Neighbours, unit_rows

DIM = 256
QUERIES = 2_000
QUICK_ROWS = 5_000
K = 64
COLUMNS = ("history", "rows", "method", "recall@16", "recall@64", "queries/s", "times exact", "build", "memory", "file")

Search = Callable[[NDArray[np.float32], int], NDArray[np.int64]]
"""Candidates of each query, in any order."""


def simulated(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Simulated history and queries: fields, topics in them of Pareto-distributed sizes, prompts about each topic."""
    rng, n = np.random.default_rng(seed), rows + QUERIES
    weight = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)
    topics = max(8, n // 40)
    fields = rng.standard_normal((64, DIM), dtype=np.float32)
    centres = fields[rng.integers(64, size=topics)] + 0.8 * rng.standard_normal((topics, DIM), dtype=np.float32)
    share = rng.pareto(1.5, topics) + 0.1
    vectors = centres[rng.choice(topics, size=n, p=share / share.sum())]
    vectors += 0.5 * rng.standard_normal((n, DIM), dtype=np.float32)
    vectors = unit_rows((vectors * weight) @ np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32))
    return vectors[:rows], vectors[rows:]


def jittered(folder: Path, n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """History and queries from the distinct prompts of a folder of outcome tables; queries are other prompts."""
    rng = np.random.default_rng(seed)
    prompts = sorted({prompt for path in sorted(folder.glob("*.parquet")) for prompt in Outcomes.read(path).prompts})
    vectors = unit_rows(embedded_encoder().encode(prompts))[rng.permutation(len(prompts))]
    queries, known = vectors[:QUERIES], vectors[QUERIES:]
    history = known[np.arange(n) % len(known)]
    history += (0.25 / DIM**0.5) * rng.standard_normal(history.shape, dtype=np.float32)
    return unit_rows(history), queries


def exact(vectors: NDArray[np.float32], threads: int, file: Path) -> Search:
    """The search of this package."""
    return lambda queries, k: Neighbours(vectors).search(queries, k)[0]


def usearch(dtype: str) -> Callable[..., Search]:
    """Graph of usearch; vectors in it are stored as `dtype`."""

    def build(vectors: NDArray[np.float32], threads: int, file: Path) -> Search:
        from usearch.index import Index

        index = Index(ndim=DIM, metric="cos", dtype=dtype, connectivity=16, expansion_add=64, expansion_search=160)
        index.add(np.arange(len(vectors)), vectors, threads=1)
        index.save(str(file))
        return lambda queries, k: np.asarray(index.search(queries, k, threads=threads).keys, dtype=np.int64)

    return build


def faiss(factory: str, **settings: int) -> Callable[..., Search]:
    """An index of faiss by its factory string, and what its search is set to."""

    def build(vectors: NDArray[np.float32], threads: int, file: Path) -> Search:
        import faiss as library

        library.omp_set_num_threads(1)
        index = library.index_factory(DIM, factory.format(lists=int(2 * len(vectors) ** 0.5)), library.METRIC_INNER_PRODUCT)
        index.train(vectors[:: max(1, len(vectors) // 100_000)].copy())
        index.add(vectors)
        for name, value in settings.items():
            library.ParameterSpace().set_index_parameter(index, name, value)
        library.write_index(index, str(file))
        library.omp_set_num_threads(threads)
        return lambda queries, k: index.search(queries, k)[1]

    return build


def kept(vectors: NDArray[np.float32], threads: int, file: Path) -> Search:
    """What this package does with a large history: lists of faiss propose, exact cosines decide."""
    near = Neighbours(vectors, Index.build(vectors))
    file.write_bytes(near.arrays()["index"].tobytes())
    return lambda queries, k: near.search(queries, k)[0]


METHODS: dict[str, Callable[..., Search]] = {
    "exact": exact,
    "kept (ivf sq8)": kept,
    "usearch f16": usearch("f16"),
    "usearch i8": usearch("i8"),
    "faiss flat": faiss("Flat"),
    "faiss hnsw": faiss("HNSW16,Flat", efSearch=160),
    "faiss ivf": faiss("IVF{lists},Flat", nprobe=32),
    "faiss ivf sq8": faiss("IVF{lists},SQ8", nprobe=32),
}


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def one(method: str, folder: Path, threads: int) -> dict[str, Any]:
    """Build and search once, in this process."""
    vectors, queries = (np.load(folder / f"{name}.npy") for name in ("history", "queries"))
    file = folder / "index"
    before, start = resident(), time.process_time()
    search = METHODS[method](vectors, threads, file)
    build, memory = time.process_time() - start, resident() - before
    search(queries[:16], K + SPARE)
    start = time.process_time()
    found = search(queries, K if method in ("exact", "kept (ivf sq8)") else K + SPARE)
    seconds = time.process_time() - start
    if method == "exact":
        np.save(folder / "truth.npy", found)
    cosines = np.einsum("qd,qkd->qk", queries, vectors[np.maximum(found, 0)]) - 9.0 * (found < 0)
    nearest = np.take_along_axis(found, np.argsort(-cosines, axis=1, kind="stable"), axis=1)
    truth = np.load(folder / "truth.npy")
    recall = {
        k: float(np.mean([np.isin(t[:k], f[:k]).mean() for t, f in zip(truth, nearest, strict=True)])) for k in (16, K)
    }
    size = file.stat().st_size if file.exists() else 0
    file.unlink(missing_ok=True)
    return {"recall": recall, "rate": len(queries) / seconds, "build": build, "memory": memory, "file": size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000])
    parser.add_argument("--data", type=Path, help="folder of outcome tables whose prompts are embedded")
    # Looked for, not imported: usearch before onnxruntime has ended the process (docs/decisions.md, Retrieval).
    methods = [name for name in METHODS if importlib.util.find_spec("usearch") or not name.startswith("usearch")]
    parser.add_argument("--methods", nargs="+", default=methods, choices=list(METHODS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few rows, to see that it runs")
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], Path(options.one[1]), options.threads)))
        return
    if options.quick:
        options.rows = [QUICK_ROWS]
    environment = os.environ | {name: str(options.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    print(table(COLUMNS, []))
    figures = []
    name = "real, repeated" if options.data else "simulated"
    for n in options.rows:
        history, queries = jittered(options.data, n, options.seed) if options.data else simulated(n, options.seed)
        with tempfile.TemporaryDirectory() as work:
            np.save(Path(work) / "history.npy", history)
            np.save(Path(work) / "queries.npy", queries)
            del history, queries
            rate = 0.0
            for method in dict.fromkeys(["exact", *options.methods]):
                command = [sys.executable, __file__, "--one", method, work, "--threads", str(options.threads)]
                out = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
                rate = rate or out["rate"]
                figures.append({"history": name, "rows": n, "method": method} | out)
                recalls = [f"{out['recall'][k]:.4f}" for k in ("16", str(K))]
                times = [f"{out['rate']:,.0f}", f"{out['rate'] / rate:.1f}", f"{out['build']:,.0f} s"]
                sizes = [f"{out[size] / 1e6:,.0f} MB" for size in ("memory", "file")]
                print(lines([[name, f"{n:,}", method, *recalls, *times, *sizes]]), flush=True)
    print(f"\n{described()} {options.threads} thread(s), processor time.")
    write_json(options.json, {"figures": figures, "threads": options.threads} | {"machine": machine()})


if __name__ == "__main__":
    main()
