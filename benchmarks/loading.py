"""How long a snapshot of 20,000 overrides takes to load, and how long a thread that resolves meanwhile is kept waiting.

python -m benchmarks.loading [--overrides 20000] [--loads 10]
"""

from __future__ import annotations

import argparse
import gc
import threading
import time
from collections.abc import Callable
from time import perf_counter_ns

from rich.console import Console
from rich.table import Table

from benchmarks.override_books import Asked, large_snapshot
from benchmarks.resolve import at_us
from leverloop.book import OverrideBook
from leverloop.loading import let_go, load_book, parts_of
from leverloop.snapshot import encode_snapshot
from leverloop.testing import AT_MS

MS = 1e6


class Trader(threading.Thread):
    """Thread that resolves without a pause, as no trader does, and notes how long each took.

    It notes as well how much processor time the loading thread took in the course of each: that is what a
    resolve waits for it, at the most, whatever else the machine does meanwhile.
    """

    def __init__(self, book: OverrideBook, asked: list[Asked], loader: threading.Thread) -> None:
        super().__init__(daemon=True)
        self.book = book
        self.taken_ns: list[int] = []
        self.waited_ns: list[int] = []
        self._asked = asked
        self._loader_clock = time.pthread_getcpuclockid(loader.ident or 0)
        self._enough = threading.Event()

    def run(self) -> None:
        i, asked, clock, now_ns = 0, self._asked, self._loader_clock, time.clock_gettime_ns
        while not self._enough.is_set():
            action = asked[i % len(asked)]
            loaded_ns, start_ns = now_ns(clock), perf_counter_ns()
            self.book.resolve(action.pattern_key, action.action_category, action.scope, "t000001", AT_MS)
            self.taken_ns.append(perf_counter_ns() - start_ns)
            self.waited_ns.append(now_ns(clock) - loaded_ns)
            i += 1

    def enough(self) -> None:
        """Stop it."""
        self._enough.set()
        self.join()


def swapped(raw: bytes, books: list[OverrideBook]) -> int:
    """Load the bytes, put the book in the place of the one in the list, free that; nanoseconds until it stood."""
    start = perf_counter_ns()
    book = load_book(raw, profile="blended", holdout_share=0.05)
    took_ns = perf_counter_ns() - start
    old_parts = [parts_of(old) for old in books]
    books[:] = [book]
    for parts in old_parts:
        let_go(parts)
    return took_ns


def beside(trader: Trader, work: Callable[[], int], times: int) -> list[int]:
    """Do something so many times beside a trader: how long each took, sorted."""
    trader.start()
    works_ns = sorted(work() for _ in range(times))
    trader.enough()
    return works_ns


def nothing() -> int:
    """Wait for 300 ms, which no other thread notices."""
    threading.Event().wait(0.3)
    return 0


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overrides", type=int, default=20_000)
    parser.add_argument("--loads", type=int, default=10)
    options = parser.parse_args()
    snapshot, _ = large_snapshot(options.overrides)
    raw = encode_snapshot(snapshot)
    standing, asked = large_snapshot(5_000)
    del snapshot
    gc.collect()
    gc.freeze()  # as a trader does after its start: a full collection then looks at what has come since
    books: list[OverrideBook] = []
    alone = sorted(swapped(raw, books) for _ in range(options.loads))
    table = Table(title=f"{options.overrides:,} overrides, {len(raw) / 1e6:.1f} MB; {options.loads} loads")
    for name in ("", "load", "resolves", "p50", "p99", "p99.9", "longest", "waited, p99.9", "longest"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("load alone", f"{alone[len(alone) // 2] / MS:.0f} ms")
    for name, work in (("resolve alone", nothing), ("both", lambda: swapped(raw, books))):
        trader = Trader(OverrideBook(standing), asked, threading.current_thread())
        works = beside(trader, work, options.loads)
        taken, waited = sorted(trader.taken_ns), sorted(trader.waited_ns)
        table.add_row(
            name,
            f"{works[len(works) // 2] / MS:.0f} ms" if works[-1] else "",
            f"{len(taken):,}",
            *(f"{at_us(taken, share):.1f} us" for share in (0.5, 0.99, 0.999)),
            f"{taken[-1] / MS:.2f} ms",
            f"{at_us(waited, 0.999):.1f} us",
            f"{waited[-1] / MS:.2f} ms",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
