"""The library in a process: light import, interrupts, a free interpreter, forks, import rules."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omnirouter

PACKAGE = Path(omnirouter.__file__).parent
HEAVY = ("onnxruntime", "tokenizers", "pyarrow", "onnx", "safetensors", "yaml", "rich", "matplotlib", "scipy")
# Who may import whom, inside the package; cli and demo may import everything and nobody imports them (but each other).
FORBIDDEN = {
    "solver": ("predictor", "router", "outcomes", "pool"),
    "problem": ("predictor", "router", "outcomes", "pool", "solver"),
    "predictor": ("solver", "problem", "router"),
    "outcomes": ("predictor", "solver", "router", "pool"),
    "pool": ("predictor", "solver", "router", "outcomes"),
}


def test_import_is_light() -> None:
    code = f"import sys, omnirouter; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_imports_point_down_the_house() -> None:
    seen = 0
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name.startswith("omnirouter."):
                    seen += 1
                    other = name.split(".")[1]
                    assert other not in FORBIDDEN.get(room, ()), f"{path} imports {name}"
                    assert other not in ("cli", "demo") or room in ("cli", "demo", "__main__"), f"{path} imports {name}"
    assert seen > 50


LONG = """
import numpy as np, omnirouter
rng = np.random.default_rng(0)
acc, cost = rng.random((300000, 12), dtype=np.float32), rng.random((300000, 12), dtype=np.float32)
print("ready", flush=True)
while True:
    omnirouter.solve(acc, cost, np.full(12, 25500), budget=90000.0)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_a_solve(start: Callable[..., Any]) -> None:
    process = start([sys.executable, "-c", LONG])
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors


def test_other_threads_run_during_a_solve() -> None:
    rng = np.random.default_rng(0)
    acc, cost = rng.random((200_000, 10), dtype=np.float32), rng.random((200_000, 10), dtype=np.float32)
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(1)
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    before = len(ticks)
    omnirouter.solve(acc, cost, np.full(10, 22_000), budget=50_000.0)
    during = len(ticks) - before
    done.set()
    thread.join()
    assert during > 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_can_solve() -> None:
    rng = np.random.default_rng(0)
    acc, cost = rng.random((20_000, 8)), rng.random((20_000, 8))
    expected = omnirouter.solve(acc, cost, budget=6000.0).objective
    child = os.fork()
    if child == 0:
        os._exit(0 if omnirouter.solve(acc, cost, budget=6000.0).objective == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
