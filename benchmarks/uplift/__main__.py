"""Does it pay to size trades by the last snapshot? Applied through the client to a fresh draw of the same market.

    python -m benchmarks.uplift [--seeds 1-5] [--null] [--fresh-trades 20000] [--workers 2]

A stream is replayed; its last snapshot sizes the trades of another seed, whose edges stand all the time as
they stood at the end of the stream. Measured is what the sizes add (spec section 12), with 95 % intervals.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import fmean

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.lessons.replayed import replayed
from benchmarks.planted_streams import Stream, add_options, cache_of, made, programs
from benchmarks.uplift.added import Added, per_size, per_trade
from benchmarks.uplift.sized import Sized, sized
from learning.kernels import compile_kernels
from learning.parameters import Parameters

OTHER_SEED = 500_009
"""Between a stream's seed and that of its fresh draw."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one snapshot added."""

    stream: Stream
    overrides: int
    moved_share: float
    """Share of the fresh trades whose entry was not sized as usual."""
    mean_m: float
    entry_per_trade: Added
    entry_per_size: Added
    entering_per_trade: Added
    entering_per_size: Added


def measured(stream: Stream, fresh_trades: int, cache: Path) -> Result:
    """Learn from one stream, and size a fresh draw by what was learned."""
    folder = made(stream, cache)
    with tempfile.TemporaryDirectory() as out:
        run = replayed(folder, Path(out), Parameters())
    truth = msgspec.json.decode((folder / "truth.json").read_bytes())
    edges = [_at_the_end(edge, stream.days) for edge in truth["edges"]]
    other = msgspec.structs.replace(stream, seed=stream.seed + OTHER_SEED, trades=fresh_trades)
    fresh = sized(made(other, cache, edges=edges), run.snapshots["pm"])
    return result(stream, sum(1 for _ in run.snapshots["pm"].overrides()), fresh)


def result(stream: Stream, overrides: int, fresh: Sized) -> Result:
    """Measure what the sizes of a fresh draw add."""
    return Result(
        stream=stream,
        overrides=overrides,
        moved_share=float(np.mean(fresh.m_entry != 1.0)),
        mean_m=float(np.mean(fresh.m_entry)),
        entry_per_trade=per_trade(fresh.m_entry, fresh.rr, fresh.day),
        entry_per_size=per_size(fresh.m_entry, fresh.rr, fresh.day),
        entering_per_trade=per_trade(fresh.m_entering, fresh.rr, fresh.day),
        entering_per_size=per_size(fresh.m_entering, fresh.rr, fresh.day),
    )


def table_of(results: list[Result]) -> Table:
    """One row a seed, and the means."""
    table = Table(title="added, in 0.001 R, with 95 % intervals")
    names = ("entry, per trade", "entry, per unit of size", "entry and adds, per trade", "entry and adds, per unit")
    for name in ("seed", "overrides", "sized otherwise", "mean m", *names):
        table.add_column(name, justify="right")
    fields = ("entry_per_trade", "entry_per_size", "entering_per_trade", "entering_per_size")
    for found in results:
        told = [_text(getattr(found, name)) for name in fields]
        share = f"{found.moved_share:.1%}"
        table.add_row(str(found.stream.seed), str(found.overrides), share, f"{found.mean_m:.3f}", *told)
    table.add_section()
    means = [f"{1e3 * fmean(getattr(found, name).rr for found in results):.2f}" for name in fields]
    table.add_row("mean", "", "", "", *means)
    return table


def _at_the_end(edge: dict[str, object], days: int) -> dict[str, object]:
    half_life = edge["half_life_days"]
    left = 1.0 if half_life is None else 2.0 ** (-days / float(str(half_life)))
    return edge | {"effect_rr": float(str(edge["effect_rr"])) * left, "half_life_days": None}


def _text(added: Added) -> str:
    return f"{1e3 * added.rr:+.2f} [{1e3 * added.low:+.2f}, {1e3 * added.high:+.2f}]"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, seeds="1-5")
    parser.add_argument("--null", action="store_true", help="nothing is planted: nothing is to be gained")
    parser.add_argument("--fresh-trades", type=int, default=20_000, help="trades of the fresh draw, in as many days")
    parser.add_argument("--workers", type=int, default=2, help="streams at once")
    asked = parser.parse_args()
    programs()
    compile_kernels()
    streams = [
        Stream(seed=seed, trades=asked.trades, days=asked.days, shock_rho=asked.shock_rho, null=asked.null)
        for seed in asked.seeds
    ]
    one = partial(measured, fresh_trades=asked.fresh_trades, cache=cache_of(asked.cache))
    with ProcessPoolExecutor(asked.workers) as pool:
        results = list(pool.map(one, streams))
    Console(width=max(Console().width, 160)).print(table_of(results))


if __name__ == "__main__":
    main()
