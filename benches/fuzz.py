"""Random calls of `solve`: each is refused by name, or returns what the independent checker accepts.

python benches/fuzz.py --minutes 10 --seed 1          runs, and prints how many calls ended in which way
python benches/fuzz.py --case 123456                  runs one call again
"""

from __future__ import annotations

import argparse
import time
import traceback
import warnings
from collections import Counter
from typing import Any

import numpy as np

from omnirouter import Resource, solve, verify

NAMES = (
    *("acc", "cost", "caps", "budget", "min_accuracy", "resources", "allowed", "objective", "rel_gap", "time_limit"),
    *("threads", "seed", "warm_start", "callback", "r0", "r1", "r2", "per", "limit", "usage", "name", "sense"),
)
ODD: tuple[Any, ...] = (
    *(None, np.nan, np.inf, -np.inf, -0.0, 0, -1, 0.5, 1e-320, 1e-120, 1e99, 1e150, 1e300, 1.7e308, 10**30, 2**63, True),
    *("x", b"x", "", 1j, object(), [], {}, (), [[]], [1, [2]], np.nan * 1j, np.datetime64("2020"), np.array(None), range(3)),
    *(np.ma.masked, np.float16(3), np.zeros(0), np.zeros((0, 3)), np.zeros((2, 2, 2)), [["a"]], lambda *_: 0, slice(1)),
)


def pick(rng: np.random.Generator, options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Of one of many textures: uniform, few levels, thirds, constant, mixed magnitudes, subnormal, zero."""
    kind = int(rng.integers(9))
    values = rng.random(shape)
    if kind == 1:
        values = rng.integers(0, 3, shape) / 2.0
    elif kind == 2:
        values = rng.integers(0, 4, shape) / 3.0
    elif kind == 3:
        values = np.full(shape, rng.random())
    elif kind == 4:
        values = values * 10.0 ** rng.integers(-9, 10, shape)
    elif kind == 5:
        values = values * 10.0 ** rng.integers(-90, 91, shape)
    elif kind == 6:
        values = np.where(rng.random(shape) < 0.3, 5e-324 * rng.integers(-3, 4, shape), values)
    elif kind == 7:
        values = np.zeros(shape) * pick(rng, (1.0, -1.0))
    return values


def laid_out(rng: np.random.Generator, values: Any) -> Any:
    """The same numbers in another type or memory layout, or as nested lists."""
    dtype = pick(
        rng, (np.float64,) * 5 + (np.float32, np.float16, np.int64, np.int8, np.bool_, np.longdouble, object, ">f8")
    )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = values.astype(dtype)
    kind = int(rng.integers(7))
    if kind == 1:
        return np.asfortranarray(values)
    if kind == 2 and values.ndim == 2:
        return np.repeat(values, 2, axis=1)[:, ::2]
    if kind == 3:
        return values[::-1].copy()[::-1]
    if kind == 4:
        return values.tolist()
    if kind == 5:
        values.flags.writeable = False
    return values


def resource(rng: np.random.Generator, n: int, m: int, name: str) -> Resource:
    shape: tuple[int, ...] = pick(rng, ((1,), (1, m), (n, 1), (n, m), (m,), (n,)))
    usage: Any = pick(rng, ("acc", "cost", None, None, None, None))
    if usage is None:
        usage = numbers(rng, shape) if shape != (1,) else float(rng.random())
        if rng.random() < 0.1:
            usage = -usage
        if shape != (1,) and rng.random() < 0.5:
            usage = laid_out(rng, usage)
    per: Any = pick(rng, ("all", "model", "group"))
    members = m if per == "model" else 1
    if per == "group":
        per = rng.integers(0, 3, n)
        members = len(np.unique(per))
    sense: Any = pick(rng, ("<=", "<=", ">="))
    limit: Any = n * rng.random(members) * rng.random()
    if rng.random() < 0.2:
        limit[rng.integers(members)] = np.inf if sense == "<=" else -np.inf
    if rng.random() < 0.05:
        limit[0] = pick(rng, (0.0, -0.0, -1.0, np.nan, 1e101, 5e-324, np.inf, -np.inf))
    return Resource(usage, limit, per=per, sense=sense, name=name)


def call(rng: np.random.Generator) -> dict[str, Any]:
    """Keywords of one call."""
    n = int(rng.integers(1, pick(rng, (3, 8, 8, 8, 20, 20, 200))))
    m = int(rng.integers(1, pick(rng, (3, 6, 12))))
    if rng.random() < 0.003:
        n, m = 9000, 6
    acc, cost = numbers(rng, (n, m)), numbers(rng, (n, m))
    given: dict[str, Any] = {"acc": laid_out(rng, acc), "cost": laid_out(rng, cost)}
    with np.errstate(all="ignore"):
        low, high = cost.min(axis=1).sum(), cost.max(axis=1).sum()
    if rng.random() < 0.6:
        given["budget"] = float(max(low + rng.uniform(-0.1, 1) * (high - low), 0.0))
    if rng.random() < 0.3:
        given["min_accuracy"] = float(np.clip(acc.mean() * rng.uniform(0.5, 1.5), 0, 1))
    if rng.random() < 0.5:
        given["caps"] = pick(rng, (list, np.array))(rng.integers(0, n + 1, m))
    if rng.random() < 0.2:
        given["allowed"] = rng.random((n, m)) < 0.7
    if rng.random() < 0.4:
        given["resources"] = [resource(rng, n, m, f"r{at}") for at in range(int(rng.integers(1, 4)))]
    given["rel_gap"] = pick(rng, (0.0, 0.0, 1e-4, 0.1))
    given["time_limit"] = pick(rng, (5.0, 5.0, 5.0, 1e-6, 1e-3))
    given["threads"] = int(rng.integers(0, 3))
    if rng.random() < 0.1:
        stop_at = int(rng.integers(5))
        calls = Counter[str]()
        given["callback"] = lambda _: calls.update("x") or calls["x"] > stop_at
    if rng.random() < 0.25:
        given[pick(rng, NAMES[:14])] = pick(rng, ODD)
    if rng.random() < 0.1:
        name = pick(rng, ("acc", "cost"))
        if (
            isinstance(given[name], np.ndarray)
            and given[name].dtype.kind == "f"
            and given[name].ndim == 2
            and given[name].size
        ):
            given[name] = given[name].copy()
            value = pick(rng, (np.nan, np.inf, -np.inf, -1.0, 1e300, 1e101, 1.7e308, 5e-324, -5e-324, -0.0))
            with np.errstate(all="ignore"):
                given[name][pick(rng, range(len(given[name])))] = value
    return given


def judge(case: int) -> str:
    """How one call ended; raises where it ended as it must not."""
    rng = np.random.default_rng(case)
    try:
        given = call(rng)
        solution = solve(**given)
    except (ValueError, TypeError) as error:
        if not any(name in str(error) for name in NAMES) and "n_queries" not in str(error):
            raise AssertionError(f"names no argument: {error}") from error
        return type(error).__name__
    found = verify(solution.problem, solution, effort=2_000)
    assert found.ok, found
    return str(solution.status.value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int)
    args = parser.parse_args()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Warning: converting a masked element")
    if args.case is not None:
        print(judge(args.case))
        return
    ends: Counter[str] = Counter()
    first = case = args.seed * 10**9
    end = time.monotonic() + 60 * args.minutes
    while time.monotonic() < end:
        try:
            ends[judge(case)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                break
            ends["WRONG"] += 1
            print(f"--case {case}", flush=True)
            traceback.print_exc(limit=-3)
        case += 1
    print(f"{case - first} calls:", dict(ends.most_common()))


if __name__ == "__main__":
    main()
