"""What a person sees of a demo: one table that is alive on a terminal, lines where there is none, a summary."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from app.lesson_view import levers_of_lesson, scope_of_lesson
from app.paper.tally import PaperSummary
from app.recovery_bar import described
from app.settings import Settings
from app.transport import RecoveryProgress
from app.worker import Worker
from learning.lessons import Lesson, LessonState
from leverloop.brokers import embedded_path
from leverloop.live import LiveBook

__all__ = ["PAPER_STATE", "DemoView"]

PAPER_STATE: Final = "paper.state"
"""File of the data directory from which the paper PM goes on."""

_LINE_EVERY_S: Final = 5.0


class DemoView:
    """Progress and summary of a demo.

    Parameters
    ----------
    console
        Where to.
    settings
        For the broker and the data directory, which are named.
    candles
        Folder of candles, None for the simulation.
    alone
        Whether the paper PM runs without a worker beside it, as `leverloop paper` does.
    """

    def __init__(self, console: Console, settings: Settings, candles: Path | None, *, alone: bool = False) -> None:
        self._console = console
        self._alone = alone
        self._settings = settings
        self._market = "simulated market" if candles is None else str(candles)
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._paper = PaperSummary()
        self._line_at_s = self._started_s = time.monotonic()
        self._stopping = False

    def __enter__(self) -> Self:
        """Start to show."""
        for line in self._banner():
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to show."""
        if self._live is not None:
            self._live.stop()

    def _banner(self) -> tuple[str, str]:
        """What runs, and where its files are."""
        what = f"{self._market} on {self._settings.broker_url}; Ctrl-C stops it"
        folder = self._settings.data_dir
        if self._alone:
            unsent = "" if embedded_path(self._settings.broker_url) else f"; events not yet sent: {folder / 'emit'}"
            return f"Leverloop paper PM: {what}", f"Its state: {folder / PAPER_STATE}{unsent}"
        return f"Leverloop demo: {what}", f"Data and worker.log in {folder}"

    def update(self, paper: PaperSummary) -> None:
        """Take the paper PM's counters."""
        self._paper = paper

    def stopping(self) -> None:
        """Say that a signal was heard."""
        self._stopping = True

    def recovering(self, progress: RecoveryProgress) -> None:
        """Show how the recovery of an earlier run's tables goes."""
        if self._live is not None:
            self._live.update(f"recovering {described(progress)}")
        elif progress.finished or time.monotonic() - self._line_at_s >= _LINE_EVERY_S:
            self._line_at_s = time.monotonic()
            self._console.print(f"recovering {described(progress)}", highlight=False, soft_wrap=True)

    def show(self, live: LiveBook, worker: Worker | None) -> None:
        """Show how far everything is."""
        rows = self._rows(live, worker)
        if self._live is not None:
            table = Table(show_header=False, title="stopping" if self._stopping else None)
            for name, value in rows:
                table.add_row(name, value)
            self._live.update(table)
        elif time.monotonic() - self._line_at_s >= _LINE_EVERY_S:
            self._line_at_s = time.monotonic()
            self._console.print(" ".join(f"{name}={value}" for name, value in rows), highlight=False, soft_wrap=True)

    def finish(self, worker: Worker | None, paper: PaperSummary, *, market_ended: bool) -> None:
        """Print the summary."""
        if self._live is not None:
            self._live.stop()
        why = "the market has ended" if market_ended else "stopped"
        self._console.print(
            f"\n{why} at {_time(paper.at_ms)} event time, after {time.monotonic() - self._started_s:.0f} s"
        )
        table = Table(show_header=False, title="What the paper PM did" if self._alone else "What the loop did")
        for name, value in self._summary(worker, paper):
            table.add_row(name, value)
        self._console.print(table)
        if worker is not None:
            self._console.print(_lessons(_known(worker)))

    def _rows(self, live: LiveBook, worker: Worker | None) -> list[tuple[str, str]]:
        paper = self._paper
        snapshot = live.book.snapshot
        rows = [
            ("time", _time(paper.at_ms)),
            ("candles", f"{paper.candles:,}"),
            ("actions", f"{paper.actions:,}"),
            ("trades", f"{paper.trades:,}"),
        ]
        if worker is not None:
            rows.append(("outcomes", f"{worker.outcomes:,}"))
            rows.append(("lessons", _counted(_known(worker))))
        rows.append(("snapshot", "none yet" if snapshot is None else f"v{snapshot.version}"))
        rows.append(("levers_applied", f"{paper.levers_applied:,}"))
        return rows

    @staticmethod
    def _summary(worker: Worker | None, paper: PaperSummary) -> list[tuple[str, str]]:
        rows = [
            ("candles", f"{paper.candles:,}"),
            ("actions logged", f"{paper.actions:,}"),
            ("trades closed", f"{paper.trades:,}"),
        ]
        if worker is not None:
            rows.append(("outcomes", f"{worker.outcomes:,}"))
            state = worker.book
            if state is not None and state.book is not None:
                rows.append(("epochs closed", f"{state.book.version:,}"))
        versions = paper.snapshot_versions
        rows += [
            ("snapshots applied", f"{len(versions)} (newest v{versions[-1]})" if versions else "none"),
            ("levers moved", f"in {paper.levers_applied:,} actions, of {paper.trades_with:,} closed trades"),
            ("decisions", ", ".join(f"{n:,} {reason}" for reason, n in sorted(paper.reasons.items())) or "none"),
            ("mean rr", _rr(paper.mean_rr)),
        ]
        return rows


def _known(worker: Worker) -> list[Lesson]:
    state = worker.book
    return [] if state is None or state.book is None else list(state.book.lessons.values())


def _counted(lessons: list[Lesson]) -> str:
    """How many lessons are active, how many candidates, and how many are in any other state."""
    counts = Counter[LessonState]({"active": 0, "candidate": 0})
    counts.update(lesson.state for lesson in lessons)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _lessons(lessons: list[Lesson]) -> Table | str:
    if not lessons:
        return "No lessons yet: nothing differs from luck beyond doubt. Longer runs have more to go by."
    table = Table(title="Lessons")
    for name in ("pattern, category", "scope", "state", "n", "effect R", "levers"):
        table.add_column(name, justify="right" if name in ("n", "effect R") else "left", overflow="fold")
    for lesson in sorted(lessons, key=lambda known: known.created_at_ms):
        seen = lesson.evidence
        table.add_row(
            escape(f"{lesson.pattern_key}\n{lesson.action_category}"),
            escape(scope_of_lesson(lesson)),
            f"{lesson.state}\n{lesson.reason}",
            str(seen.stats.n),
            f"{seen.effect_rr:+.2f} ± {seen.error_rr:.2f}",
            levers_of_lesson(lesson),
        )
    return table


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}" if at_ms else "not started"


def _rr(value: float | None) -> str:
    return "none" if value is None else f"{value:+.3f} R"
