"""What one more outcome costs while the tracked subsets of its group are kept exact.

    python -m benchmarks.incremental [--held 100000] [--more 5000] [--runs 5]

Holds so many outcomes of twenty groups, with their tracked subsets, then takes new ones, revisions and
voids one by one. Afterwards every sum is compared with an enumeration from scratch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.market import outcomes
from learning.kernels import compile_kernels
from learning.lattice import Lattice
from learning.outcome import Outcome
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.rows import Row, row_of
from leverloop.scope import DEFAULT_SCHEMA
from tables.outcomes import OutcomesState, stored_outcome


def microseconds(step: Callable[[Any], object], over: Sequence[Any]) -> float:
    """Mean time of a step, over all its inputs."""
    begun = time.perf_counter()
    for each in over:
        step(each)
    return (time.perf_counter() - begun) / len(over) * 1e6


def filled(rows: list[Row]) -> OutcomesState:
    """State of a partition that holds rows, with its tracked subsets."""
    state = OutcomesState(OutcomesPartition(0, (), Parameters(), DEFAULT_SCHEMA))
    state.load([(row.outcome_id, stored_outcome(row)) for row in rows])
    state.recovered()
    return state


def sums_differ(partition: OutcomesPartition) -> int:
    """Tracked subsets whose sums are not those of an enumeration from scratch."""
    wrong = 0
    for lattice in partition.lattices.values():
        anew = Lattice(lattice.cells, Parameters(), 10)
        codes = lattice.codes()
        for node in np.random.default_rng(0).permutation(len(codes))[:2_000].tolist():
            fresh = anew.find(codes[node])
            wrong += fresh is not None and fresh != lattice.find(codes[node])
    return wrong


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held", type=int, default=100_000)
    parser.add_argument("--more", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    compile_kernels()
    made: list[Outcome] = list(islice(outcomes(options.held + options.more), options.held + options.more))
    rows = [row_of(outcome, outcome.closed_at_ms, DEFAULT_SCHEMA) for outcome in made]
    more, new = rows[options.held :], made[options.held :]
    found: dict[str, list[float]] = {}
    for _ in range(options.runs):
        state = filled(rows[: options.held])
        view = state.view

        def whole(outcome: Outcome, state: OutcomesState = state) -> None:
            row = row_of(outcome, outcome.closed_at_ms, DEFAULT_SCHEMA)
            state.apply(row.outcome_id, stored_outcome(row))

        for name, step, over in (
            ("new outcome: columns and tracked subsets", view.put_row, more),
            ("void: the same", view.remove, [row.outcome_id.decode() for row in more]),
            ("new outcome, from the message to its record and back", whole, new),
            ("revision: the same", whole, new),
        ):
            found.setdefault(name, []).append(microseconds(step, over))
        assert not sums_differ(view)
    tracked = sum(len(lattice) for lattice in view.lattices.values())
    print(f"{len(view):,} outcomes held in {len(view.groups)} groups, {tracked:,} subsets tracked; us per outcome:")
    for name, times in found.items():
        print(f"{statistics.median(times):8.1f}  {name}")


if __name__ == "__main__":
    main()
