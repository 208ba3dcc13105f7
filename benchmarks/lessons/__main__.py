"""How true are the lessons? Streams whose edges are known, replayed and scored.

python -m benchmarks.lessons [--seeds 1-5] [--trades 6000] [--days 180] [--shock-rho 0.6] [--null]
                             [--workers 2] [--set name=value ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.lessons.fates import decay
from benchmarks.lessons.measuring import Result, measured
from benchmarks.planted_streams import Stream, add_options, cache_of, programs
from learning.kernels import compile_kernels
from learning.parameters import Parameters


def settled(words: Sequence[str]) -> Parameters:
    """Parameters with name=value replaced, values as in the CLI's parameter file."""
    given: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        given[name] = msgspec.json.decode(value)
    return msgspec.convert(given, Parameters)


def summary(results: Sequence[Result]) -> Table:
    """One row a stream, and their means."""
    table = Table(title="lessons")
    names = (
        "seed", "lessons", "false", "redundant", "false_share", "recall", "findable", "unscored", "ever active",
        "execution levers", "epochs", "seconds",
    )  # fmt: skip
    for name in names:
        table.add_column(name, justify="right")
    rows = [_numbers(result) for result in results]
    for result, row in zip(results, rows, strict=True):
        table.add_row(str(result.stream.seed), *map(_text, row))
    table.add_section()
    columns = [[x for x in column if x is not None] for column in zip(*rows, strict=True)]
    table.add_row("mean", *(_text(fmean(column) if column else None) for column in columns))
    return table


def life(results: Sequence[Result]) -> Table:
    """One row a stream and planted edge (and lesson about it)."""
    table = Table(title="planted edges: days from the beginning, effects in R")
    for name in (
        "seed", "edge", "lesson's scope", "state", "found", "active", "left then", "said then", "retired", "reason",
        "half-life d", "neutral from",
    ):  # fmt: skip
        table.add_column(name, overflow="fold", justify="left" if name in {"edge", "reason", "state"} else "right")
    for result in results:
        for fate in result.fates:
            cells = [getattr(fate, name) for name in fate.__struct_fields__ if name != "true_half_life_days"]
            table.add_row(str(result.stream.seed), *map(_text, cells))
    return table


def remarks(results: Sequence[Result], console: Console) -> None:
    """What the score holds against the lessons, the execution levers that stand, and the edge that decays."""
    for result in results:
        kinds = (("missed", result.score.missed), ("false", result.score.false))
        levers = (("execution", result.deltas.about), ("execution, nothing planted", result.deltas.others))
        for what, items in (*kinds, *levers):
            for item in items:
                console.print(f"seed {result.stream.seed} {what}: {item}", soft_wrap=True)
    for result in (result for result in results if result.deltas.planted):
        levers_at_end = result.deltas
        told = (
            f"{levers_at_end.found} of {levers_at_end.planted} planted deltas, "
            f"{len(levers_at_end.others)} other execution levers"
        )
        console.print(f"seed {result.stream.seed}: {told}")
    judged = [judgement for result in results if (judgement := decay(result.fates)) is not None]
    if judged:
        console.print(
            f"edge that decays, of {len(judged)} streams: active while 0.3 R was left in "
            f"{sum(found.in_time for found in judged)}, retired or neutral by day 150 in "
            f"{sum(found.gone for found in judged)}, half-life within a factor 2 in "
            f"{sum(found.half_life for found in judged)}"
        )


def _numbers(result: Result) -> tuple[float | None, ...]:
    found = result.score
    return (
        found.lessons, found.false_lessons, found.redundant, found.false_share, found.recall, found.findable,
        found.unscored, result.activated, result.execution, result.epochs, result.seconds,
    )  # fmt: skip


def _text(value: float | str | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, seeds="1-5")
    parser.add_argument("--null", action="store_true", help="nothing is planted: every lesson is a false one")
    parser.add_argument("--workers", type=int, default=2, help="streams replayed at once")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the core")
    parser.add_argument("--json", type=Path, help="file for the results, with what is not in the tables")
    asked = parser.parse_args()
    programs()
    compile_kernels()
    streams = [
        Stream(seed=seed, trades=asked.trades, days=asked.days, shock_rho=asked.shock_rho, null=asked.null)
        for seed in asked.seeds
    ]
    one = partial(measured, parameters=settled(asked.set), cache=cache_of(asked.cache))
    results: list[Result] = []
    console = Console(width=max(Console().width, 180))
    with ProcessPoolExecutor(asked.workers) as pool:
        for result in pool.map(one, streams):
            results.append(result)
            print(f"{result.stream.name}: {msgspec.json.encode(result.score).decode()}", flush=True)
    remarks(results, console)
    if not asked.null:
        console.print(life(results))
    console.print(summary(results))
    if asked.json:
        asked.json.write_bytes(msgspec.json.encode(results))


if __name__ == "__main__":
    main()
