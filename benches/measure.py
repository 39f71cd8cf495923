"""What the scripts of this folder share: a clock, one read of the matrices, the machine, and tables."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGES = ("omnirouter", "numpy", "onnxruntime", "faiss-cpu", "highspy", "ortools", "pulp")


def median_time(work: Callable[[], object], runs: int) -> float:
    """Median seconds of a call, after one that is not counted."""
    work()
    return statistics.median(once(work) for _ in range(runs))


def once(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_times(arrays: Sequence[NDArray[Any]], runs: int = 5) -> dict[int, float]:
    """Least seconds in which one and two threads read all arrays once: the better of numpy's `sum` and `max`.

    The best of several runs, not the median: what the memory can do, against which a solve is counted.
    """
    halves = [part for array in arrays for part in np.array_split(array.reshape(-1), 2)]
    out = {}
    for threads in (1, 2):
        with ThreadPoolExecutor(threads) as pool:
            # A thread per half: numpy releases the interpreter while it reduces.
            parts = [halves[side::2] for side in (0, 1)] if threads == 2 else [halves]
            times = []
            for reduce in (np.sum, np.max):

                def read(own: list[NDArray[Any]], reduce: Callable[..., Any] = reduce) -> None:
                    for part in own:
                        reduce(part)

                def all_parts(read: Callable[..., None] = read, parts: list[Any] = parts) -> None:
                    list(pool.map(read, parts))

                times += [once(all_parts) for _ in range(runs)]
            out[threads] = min(times)
    return out


def machine() -> dict[str, Any]:
    """Processor, cores and versions."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = names[0] if names else name
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"processor": name, "cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}


def described() -> str:
    """The machine in a line, to stand below a table."""
    own = machine()
    versions = ", ".join(f"{name} {version}" for name, version in own["versions"].items())
    return f"{own['processor']}, {own['cores']} cores, Python {own['python']}, {versions}."


@contextmanager
def silenced() -> Iterator[None]:
    """Nothing that a library writes to standard output itself gets there; HiGHS prints a banner, whatever it is told."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    return f"{head}\n{lines(rows)}".rstrip("\n")


def lines(rows: Iterable[Sequence[object]]) -> str:
    """The lines of a table below its head, for one that is printed as it grows."""
    return "\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)


def write_json(path: str | Path | None, data: dict[str, Any]) -> None:
    """The numbers with the machine they were measured on; nothing where no path is given."""
    if path is not None:
        Path(path).write_text(json.dumps({"machine": machine()} | data, indent=1) + "\n", encoding="utf-8")


def short(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
