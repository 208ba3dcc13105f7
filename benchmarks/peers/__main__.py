"""What do other methods find on the same streams? Thresholds, tests, false discovery rates, subgroup discovery.

    python -m benchmarks.peers [--seeds 1-3] [--nulls 1] [--trades 6000] [--days 180] [--shock-rho 0.6]

Peers look once, at the end, at subsets of up to two dimensions with n >= 33. Ours looks after every epoch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.lessons.measuring import measured
from benchmarks.peers.library import found_by_library
from benchmarks.peers.observations import groups_of, lesson, subsets_of
from benchmarks.peers.selection import METHODS
from benchmarks.planted_streams import Score, Stream, add_options, cache_of, made, numbers, programs, score
from learning.kernels import compile_kernels
from learning.parameters import Parameters

OURS = "Leverloop, after every epoch"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one method came to on one stream."""

    stream: Stream
    method: str
    score: Score
    seconds: float
    """Reading included, but for ours, which replays, and for pysubgroup, which is handed the rows."""


def rows(stream: Stream, cache: Path) -> Iterator[Row]:
    """Every method on one stream."""
    folder = made(stream, cache)
    row = partial(Row, stream=stream)
    begun = time.perf_counter()
    groups = groups_of(folder)
    found = subsets_of(groups)
    shared_s = time.perf_counter() - begun
    for name, method in METHODS.items():
        begun = time.perf_counter()
        kept = method(groups, found).nonzero()[0].tolist()
        seconds = shared_s + time.perf_counter() - begun
        lessons = [lesson(groups[found.group[i]].cells.group, found.scope[i], found.effect_rr[i]) for i in kept]
        yield row(method=name, score=score(folder, lessons), seconds=seconds)
    for name, (lessons, seconds) in found_by_library(groups).items():
        yield row(method=name, score=score(folder, lessons), seconds=seconds)
    ours = measured(stream, Parameters(), cache)
    yield row(method=OURS, score=ours.score, seconds=ours.seconds)


def table_of(found: list[Row], title: str) -> Table:
    """Means over the streams, one row a method."""
    table = Table(title=title)
    for name in ("method", "lessons", "false or redundant", "recall", "seconds"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for method in dict.fromkeys(row.method for row in found):
        own = [row for row in found if row.method == method]
        recalls = [row.score.recall for row in own if row.score.recall is not None]
        table.add_row(
            method,
            ", ".join(f"{row.score.lessons:,}" for row in own),
            f"{fmean(row.score.false_share for row in own):.0%}",
            f"{fmean(recalls):.2f}" if recalls else "-",
            f"{fmean(row.seconds for row in own):.1f}",
        )
    return table


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, seeds="1-3")
    parser.add_argument("--nulls", type=numbers, default=[1], help="seeds of streams without any edge (1)")
    asked = parser.parse_args()
    programs()
    compile_kernels()
    console = Console(width=max(Console().width, 120))
    for null, seeds in ((False, asked.seeds), (True, asked.nulls)):
        found: list[Row] = []
        for seed in seeds:
            stream = Stream(seed=seed, trades=asked.trades, days=asked.days, shock_rho=asked.shock_rho, null=null)
            for row in rows(stream, cache_of(asked.cache)):
                found.append(row)
                told = (row.score.lessons, row.score.false_share, row.score.recall)
                print(stream.name, row.method, *told, f"{row.seconds:.1f} s", flush=True)
        if found:
            console.print(table_of(found, "nothing planted" if null else "planted edges"))


if __name__ == "__main__":
    main()
