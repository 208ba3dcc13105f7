"""What all statistics of all tracked subsets of a group cost, and those of one subset.

    python -m benchmarks.subset_statistics [--outcomes 100000] [--runs 3]

Holds so many outcomes of twenty groups. Afterwards some subsets of each group are asked for alone: the
answer has to be the same to the last bit, or it ends with 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.market import outcomes
from learning.baseline import Baselines, baseline_sums
from learning.cells import GroupCells
from learning.kernels import compile_kernels
from learning.parameters import Parameters
from learning.statistics import GroupStats, group_stats, tracked_stats
from leverloop.scope import DEFAULT_SCHEMA

AT_MS = 2**53
"""An epoch by which everything counts."""
ALONE = 20


def held(n: int) -> list[GroupCells]:
    """Twenty groups with so many outcomes together."""
    groups: dict[str, GroupCells] = {}
    for outcome in outcomes(n):
        if outcome.group not in groups:
            groups[outcome.group] = GroupCells(outcome.group, outcome.module, DEFAULT_SCHEMA)
        groups[outcome.group].put(outcome, 0)
    return [groups[name] for name in sorted(groups)]


def seconds(step: Callable[[], Any]) -> tuple[float, Any]:
    """How long a step takes, and what it gives."""
    begun = time.perf_counter()
    found = step()
    return time.perf_counter() - begun, found


def differing(stats: GroupStats, alone: GroupStats, at: np.ndarray[Any, Any]) -> list[str]:
    """Names of numbers that are not the same to the last bit."""
    names = [name for name in GroupStats.__struct_fields__ if name != "levels"]
    return [name for name in names if getattr(alone, name).tobytes() != getattr(stats, name)[at].tobytes()]


def main() -> None:
    """Measure."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--outcomes", type=int, default=100_000)
    ask.add_argument("--runs", type=int, default=3)
    asked = ask.parse_args()
    compile_kernels()
    groups = held(asked.outcomes)
    segment = DEFAULT_SCHEMA.modules["pm"].segment
    baselines = Baselines([baseline_sums(cells, AT_MS, segment) for cells in groups])
    rules = (AT_MS, baselines, Parameters(), DEFAULT_SCHEMA)
    took, subsets, one_took, wrong = [], 0, [], set[str]()
    for cells in groups:
        runs = [seconds(lambda cells=cells: tracked_stats(cells, *rules)) for _ in range(asked.runs)]
        took.append(median(s for s, _ in runs))
        stats: GroupStats = runs[0][1]
        subsets += len(stats)
        at = np.random.default_rng(0).integers(len(stats), size=ALONE)
        for i in at.tolist():
            s, alone = seconds(lambda cells=cells, codes=stats.codes[i : i + 1]: group_stats(cells, codes, *rules))
            one_took.append(s)
            wrong.update(differing(stats, alone, np.array([i])))
    rows = sum(cells.n for cells in groups)
    print(f"{rows} outcomes of {len(groups)} groups, {subsets} tracked subsets")
    print(f"all subsets of a group: median {median(took):.3f} s, most {max(took):.3f} s; {sum(took):.2f} s together")
    print(f"of each subset: {sum(took) / subsets * 1e6:.1f} us, all {len(GroupStats.__struct_fields__) - 1} numbers")
    print(f"one subset of a group, asked for alone: median {median(one_took) * 1e3:.2f} ms")
    print("alone and among all: " + (f"these differ: {sorted(wrong)}" if wrong else "the same bits"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
