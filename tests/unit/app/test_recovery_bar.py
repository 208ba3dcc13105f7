"""The bar is on a terminal only, and goes when the tables are there."""

import io

from rich.console import Console

from app.recovery_bar import RecoveryBar
from app.transport import RecoveryProgress


def progress(offsets: int, *, finished: bool = False) -> RecoveryProgress:
    return RecoveryProgress(
        table="outcomes", records=offsets, offsets=offsets, offsets_total=1000, seconds=1.0, finished=finished
    )


def test_it_is_drawn_on_a_terminal_until_the_end() -> None:
    screen = io.StringIO()
    bar = RecoveryBar(Console(file=screen, force_terminal=True, width=120))
    bar(progress(250))
    assert "outcomes: 25 %, 250 records, 250/s, 3 s to go" in screen.getvalue()
    bar(progress(1000))
    assert "outcomes: 1,000 records read, working out what follows" in screen.getvalue()
    bar(progress(1000, finished=True))
    length = len(screen.getvalue())
    bar(progress(10))  # a rebalance later: another bar
    assert "outcomes: 1 %, 10 records" in screen.getvalue()[length:]
    bar(progress(1000, finished=True))


def test_it_leaves_a_file_alone() -> None:
    log = io.StringIO()
    RecoveryBar(Console(file=log))(progress(250))
    assert log.getvalue() == ""
