"""What an epoch costs as outcomes grow: all groups due, all that is learned daily and weekly due too.

    python -m benchmarks.epoch [--outcomes 12500 25000 50000 100000 200000] [--runs 3]

The epoch is a Monday's first, at which regime weights, half-lives and sketches are learned, every group is tested, and
execution levers are searched: by deltas, by a threshold on every signal, by states. It is the most that one epoch can
cost. As a rule a few groups are due.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import islice

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.market import outcomes
from learning.book import Book, close_epoch, decision
from learning.kernels import compile_kernels
from learning.parameters import DAY_MS, HOUR_MS, Parameters
from learning.partition import OutcomesPartition
from leverloop.scope import DEFAULT_SCHEMA

PARAMETERS = Parameters()
MONDAY_MS = 4 * DAY_MS + 6 * HOUR_MS
THRESHOLDS: dict[str, float] = {
    "min_ts_for_add": 0.1,
    "min_dx_for_add": 0.0,
    "max_edx_for_add": 0.9,
    "min_ox_for_trim": 0.1,
    "wait_for_signal": 0.0,
}
"""Knobs without which no threshold is looked at."""


def filled(n: int) -> tuple[OutcomesPartition, int]:
    """Partition of so many outcomes, and the last Monday's first epoch at which most of them count."""
    partition, last_ms = OutcomesPartition(0, (), PARAMETERS, DEFAULT_SCHEMA), 0
    for outcome in islice(outcomes(n), n):
        controls = msgspec.structs.replace(outcome.controls, applied_knobs=outcome.controls.applied_knobs | THRESHOLDS)
        partition.put(msgspec.structs.replace(outcome, controls=controls), 0)
        last_ms = max(last_ms, outcome.closed_at_ms)
    return partition, (last_ms - MONDAY_MS) // (7 * DAY_MS) * 7 * DAY_MS + MONDAY_MS


def seconds(partition: OutcomesPartition, epoch_at_ms: int) -> tuple[float, int]:
    """Time of an epoch, mining and decision, in seconds, and the subsets that it looked at."""
    before = Book(epoch_at_ms=epoch_at_ms - 2 * PARAMETERS.epoch_ms)
    first = partition.mined(before.epoch_at_ms + PARAMETERS.epoch_ms, decision(before))
    book = close_epoch(before, [first], PARAMETERS)
    told = msgspec.structs.replace(decision(book), tested={})
    begun = time.perf_counter()
    found = partition.mined(epoch_at_ms, told)
    close_epoch(book, [found], PARAMETERS)
    return time.perf_counter() - begun, sum(sum(test.tested_by_dims) for test in found.tests)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, nargs="+", default=[12_500, 25_000, 50_000, 100_000, 200_000])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    compile_kernels()
    rows = []
    for n in options.outcomes:
        partition, epoch_at_ms = filled(n)
        found = [seconds(partition, epoch_at_ms) for _ in range(options.runs)]
        rows.append((n, len(partition.groups), found[0][1], statistics.median(took for took, _ in found)))
    longest = max(took for *_, took in rows)
    table = Table(title=f"an epoch with everything due, one core, median of {options.runs}")
    for name in ("outcomes", "groups", "subsets tested", "seconds", ""):
        table.add_column(name, justify="right" if name else "left")
    for n, groups, subsets, took in rows:
        table.add_row(f"{n:,}", str(groups), f"{subsets:,}", f"{took:.2f}", "█" * round(40 * took / longest))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
