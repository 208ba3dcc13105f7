"""What a person sees of a recovery on a terminal: a bar that goes when the tables are there."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from app.transport import RecoveryProgress

__all__ = ["RecoveryBar", "described"]


def described(progress: RecoveryProgress) -> str:
    """Words for how a recovery goes.

    Examples
    --------
    >>> described(RecoveryProgress(
    ...     table="outcomes", records=250_000, offsets=300_000, offsets_total=1_200_000, seconds=2.0, finished=False
    ... ))
    'outcomes: 25 %, 250,000 records, 125,000/s, 6 s to go'
    """
    if progress.offsets >= progress.offsets_total:
        return f"{progress.table}: {progress.records:,} records read, working out what follows from them"
    share = progress.offsets / progress.offsets_total
    left = "" if progress.eta_s is None else f", {progress.eta_s:.0f} s to go"
    return f"{progress.table}: {share:.0%}, {progress.records:,} records, {progress.rate:,.0f}/s{left}".replace(
        "%", " %"
    )


class RecoveryBar:
    """Bar on standard error, if that is a terminal; nothing otherwise, the log tells the same.

    Parameters
    ----------
    console
        Where to, in place of standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console: Final = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __call__(self, progress: RecoveryProgress) -> None:
        """Show how a recovery goes."""
        if not self._console.is_terminal:
            return
        if self._bar is None:
            columns = (TextColumn("recovering"), BarColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        self._bar.update(
            self._task,
            description=described(progress),
            completed=progress.offsets,
            total=progress.offsets_total,
            refresh=True,
        )
        if progress.finished:
            self._bar.stop()
            self._bar = None
