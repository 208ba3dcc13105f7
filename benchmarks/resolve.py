"""How long `OverrideBook.resolve` takes, for a book of 5,000 and one of 100,000 overrides.

python -m benchmarks.resolve [--overrides 5000 100000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import gc
import platform
from time import perf_counter_ns

from rich.console import Console
from rich.table import Table

from benchmarks.override_books import GROUPS, MASKS, MATCHES, Asked, large_snapshot
from leverloop.book import OverrideBook
from leverloop.snapshot import decode_snapshot, encode_snapshot
from leverloop.testing import AT_MS

CALLS = 20_000


def book_of(overrides_count: int, *, matches: int = MATCHES) -> tuple[OverrideBook, list[Asked]]:
    """Book as a PM has it, from the bytes of a record, and an action for each of its groups."""
    snapshot, asked = large_snapshot(overrides_count, matches=matches)
    return OverrideBook(decode_snapshot(encode_snapshot(snapshot))), asked


def latencies_ns(book: OverrideBook, asked: list[Asked], *, calls: int = CALLS, matches: int = MATCHES) -> list[int]:
    """Time of each call, sorted: groups in turns, every call for another trade, none of them cached."""
    trade_ids = [f"t{i:06d}" for i in range(calls)]
    taken = []
    for i, trade_id in enumerate(trade_ids):
        action = asked[i % len(asked)]
        start = perf_counter_ns()
        resolution = book.resolve(action.pattern_key, action.action_category, action.scope, trade_id, AT_MS)
        taken.append(perf_counter_ns() - start)
        assert len(resolution.trace.capital) + len(resolution.trace.execution) == matches, resolution
    return sorted(taken)


def at_us(taken: list[int], share: float) -> float:
    """Quantile of sorted times, in microseconds."""
    return taken[min(len(taken) - 1, int(share * len(taken)))] / 1e3


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overrides", type=int, nargs="+", default=[5_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    table = Table(
        title=f"{GROUPS} groups, {MASKS} masks in each, {MATCHES} matches; Python {platform.python_version()}; "
        f"median of {options.rounds} rounds of {CALLS:,} calls"
    )
    for name in ("overrides", "p50", "p99", "p99.9", "longest"):
        table.add_column(name, justify="right")
    for overrides_count in options.overrides:
        book, asked = book_of(overrides_count)
        gc.collect()
        rounds = [latencies_ns(book, asked) for _ in range(options.rounds)]
        figures = [sorted(at_us(taken, share) for taken in rounds)[len(rounds) // 2] for share in (0.5, 0.99, 0.999, 1)]
        table.add_row(f"{overrides_count:,}", *(f"{us:.1f} us" for us in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
