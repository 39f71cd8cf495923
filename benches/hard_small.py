"""Small problems with every kind of limit to the proven optimum, against HiGHS' branch and cut; simulated data.

    python benches/hard_small.py [--seeds 20] [--kinds tokens gap-d ...] [--time-limit 20] [--judge FILE] [--json FILE]

Per kind: how many of the problems are settled (proven optimal or proven impossible) by each, nodes, the ratio of the total
times where both settle, how much worse the plan is than the best known (either solver's, if numpy's audit accepts it), and
the worst gap left. Both use one thread and stop at the same time limit; times are of the processor. `--judge` keeps what
HiGHS said between runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter import Problem, Resource
from omnirouter.solver import solve_problem

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from instances import KINDS, assignment_problem, batch
from test_solver_judge import judge

SIZES = [
    *[(20, 50), (50, 17), (100, 10), (60, 10), (200, 5), (90, 11)],
    *[(30, 30), (250, 4), (40, 8), (330, 3), (15, 12), (120, 6)],
]
GAP_SIZES = [(100, 5), (60, 10), (100, 10), (200, 5), (50, 20), (40, 8), (30, 5)]
LIMITS = (
    "budget", "floor", "both", "tokens", "tokens-pair", "tokens-tight", "tenants", "tenants-floor", "reserved", "forbidden",
    "exact-caps", "latency", "mixed",
)  # fmt: skip


def shares(total: float, parts: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return total * rng.dirichlet(np.full(parts, 5.0))


def limited(kind: str, n: int, m: int, seed: int) -> Problem:
    """A batch of one of the kinds of data with one kind of limit, or several."""
    rng = np.random.default_rng([seed, LIMITS.index(kind)])
    acc, cost, caps, budget = batch(n, m, seed, KINDS[seed % len(KINDS)])
    every = kind == "mixed"
    keywords: dict[str, Any] = {"budget": budget, "caps": caps}
    resources = []
    if kind in ("floor", "both", "tenants-floor") or (every and seed % 2):
        keywords["min_accuracy"] = float(np.clip(acc.mean() + rng.uniform(-0.05, 0.1), 0, 1))
        if kind == "floor":
            del keywords["budget"]
    if kind in ("tokens", "tokens-pair", "tokens-tight") or (every and seed % 3 == 0):
        tokens = rng.lognormal(5, 1, (n, m if kind == "tokens-pair" else 1))
        room = 1.1 if kind == "tokens-tight" else 1.6
        resources.append(Resource(tokens, shares(room * tokens.mean(axis=1).sum(), m, rng), per="model", name="tokens"))
    if kind in ("tenants", "tenants-floor") or (every and seed % 3 == 1):
        tenant = rng.integers(0, 5, n)
        part = {t: float((tenant == t).mean()) for t in np.unique(tenant).tolist()}
        money = {t: 1.2 * budget * share for t, share in part.items()}
        resources.append(Resource("cost", money, per=tenant, name="tenant budget"))
        if kind == "tenants-floor":
            least = {t: 0.97 * n * share * float(acc.mean()) for t, share in part.items()}
            resources.append(Resource("acc", least, per=tenant, sense=">=", name="tenant floor"))
    if kind == "reserved" or (every and seed % 4 == 1):
        resources.append(Resource(1.0, np.floor(caps * rng.uniform(0, 0.6, m)), per="model", sense=">=", name="reserved"))
    if kind == "latency" or (every and seed % 4 == 2):
        resources.append(Resource(rng.random((n, m)), 0.45 * n, name="latency"))
    if kind == "forbidden" or (every and seed % 4 == 3):
        allowed = rng.random((n, m)) < 0.6
        allowed[np.arange(n), rng.integers(0, m, n)] = True
        keywords["allowed"] = allowed
    if kind == "exact-caps":
        keywords["caps"] = np.bincount(rng.integers(0, m, n), minlength=m)
    return Problem(acc, cost, **keywords, resources=resources)


def problem_of(kind: str, seed: int) -> Problem:
    if kind.startswith("gap-"):
        n, m = GAP_SIZES[seed % len(GAP_SIZES)]
        return assignment_problem(n, m, kind[-1], seed)
    n, m = SIZES[seed % len(SIZES)]
    return limited(kind, n, m, seed)


def judged(problem: Problem, time_limit: float) -> dict[str, Any]:
    """What HiGHS says with its own tolerances, and whether its plan stands up to numpy."""
    start = time.process_time()
    verdict = judge(problem, time_limit=time_limit, tolerance=None)
    seconds = time.process_time() - start
    best, settled = None, verdict.infeasible
    if verdict.plan is not None:
        audit = problem.audit(verdict.plan)
        best = audit.objective if audit.ok else None
        settled = abs(audit.objective - verdict.bound) <= 1e-9 * abs(verdict.bound)
    return {"seconds": seconds, "settled": settled, "infeasible": verdict.infeasible, "best": best}


def solved(problem: Problem, time_limit: float) -> dict[str, Any]:
    start = time.process_time()
    solution = solve_problem(problem, rel_gap=0, time_limit=time_limit, threads=1)
    if solution.assignment is not None:
        assert problem.audit(solution.assignment).ok
    return {
        "seconds": time.process_time() - start,
        "settled": solution.status in ("optimal", "infeasible"),
        "infeasible": solution.status == "infeasible",
        "best": None if solution.assignment is None else solution.objective,
        "gap": solution.gap,
        "nodes": solution.info.nodes,
    }


def worse_by(own: dict[str, Any], other: dict[str, Any], sign: float) -> float:
    """How much worse our plan is than the other's, relative; infinity without one."""
    if other["best"] is None:
        return 0.0
    if own["best"] is None:
        return float("inf")
    return max(0.0, sign * (other["best"] - own["best"]) / max(abs(other["best"]), 1e-300))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = [*LIMITS, *(f"gap-{letter}" for letter in "abcde")]
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--time-limit", type=float, default=20.0)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--each", action="store_true", help="a line per problem")
    options = parser.parse_args()
    known = json.loads(options.judge.read_text()) if options.judge and options.judge.exists() else {}
    everything = {}
    heads = ["ours", "HiGHS", "med. nodes", "max nodes", "s", "ratio", "worse by", "gap"]
    print(f"{'kind':14}" + "".join(f"{head:>11}" for head in heads))
    for kind in options.kinds:
        pairs = []
        for seed in range(options.first, options.first + options.seeds):
            name = f"{kind}/{seed}"
            problem = problem_of(kind, seed)
            if name not in known:
                known[name] = judged(problem, options.time_limit)
                if options.judge:
                    options.judge.write_text(json.dumps(known))
            own, other = solved(problem, options.time_limit), known[name]
            sign = 1.0 if problem.objective == "accuracy" else -1.0
            own["worse"] = worse_by(own, other, sign)
            claims = own["settled"] and not own["infeasible"] and own["worse"] > 1e-9
            assert not claims, f"{name}: HiGHS has a better plan than the proven optimum"
            assert not (own["infeasible"] and other["best"] is not None), f"{name}: HiGHS has a plan"
            pairs.append((own, other))
            everything[name] = {"own": own, "highs": other}
            if options.each:
                print(name, problem.acc.shape, own, other)
        both = [(own["seconds"], other["seconds"]) for own, other in pairs if own["settled"] and other["settled"]]
        ratio = sum(other for _, other in both) / max(sum(own for own, _ in both), 1e-9)
        nodes = [own["nodes"] for own, _ in pairs]
        shares_settled = [f"{sum(x['settled'] for x in side)}/{len(pairs)}" for side in zip(*pairs, strict=True)]
        gap = max((own["gap"] for own, _ in pairs if not own["infeasible"]), default=0.0)
        seconds, worse = sum(own["seconds"] for own, _ in pairs), max(own["worse"] for own, _ in pairs)
        cells = [*shares_settled, f"{np.median(nodes):.0f}", f"{max(nodes)}", f"{seconds:.1f}", f"{ratio:.1f}x"]
        print(f"{kind:14}" + "".join(f"{cell:>11}" for cell in [*cells, f"{worse:.1e}", f"{gap:.1e}"]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
