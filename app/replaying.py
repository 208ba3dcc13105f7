"""`leverloop replay jsonl` as a person sees it: a progress bar, and a summary at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from app.folders import made
from app.lesson_view import levers_of_lesson, scope_of_lesson
from app.replay import Replay, ReplayReport, replay_files
from app.replay_output import write_output
from app.settings import Settings
from learning.lessons import LIVE, Lesson

__all__ = ["run_replay", "show_result"]

_WRITTEN: Final = (
    "lessons.json", "levers.json", "snapshots/", "stats.jsonl", "outcomes.records", "decided.json", "report.json"
)  # fmt: skip
_REASONS: Final = 10
"""Reasons of dead letters that are shown, the most frequent first."""


def run_replay(folder: Path, out: Path, settings: Settings, console: Console) -> None:
    """Replay a folder and write what was learned, with progress on the console; BadConfig before any work is done."""
    made(out / "snapshots", "--out")
    total = sum(
        (folder / name).stat().st_size for name in ("actions.jsonl", "trades.jsonl") if (folder / name).exists()
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        reading = progress.add_task("replaying", total=total)
        replay, report = replay_files(
            folder,
            parameters=settings.parameters(),
            schema=settings.schema_(),
            on_progress=lambda done: progress.update(reading, completed=done),
        )
        writing = progress.add_task("statistics", total=None)
        write_output(replay, report, out, lambda done, of: progress.update(writing, completed=done, total=max(of, 1)))
    show_result(replay, report, console)
    console.print(f"Written to {out}: {', '.join(_WRITTEN)}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"Ask it for any subset: leverloop stats --replay {out}", highlight=False, markup=False, soft_wrap=True
    )


def show_result(replay: Replay, report: ReplayReport, console: Console) -> None:
    """Print what a replay came to: counts, the lessons that stand with their levers, dead letters by reason."""
    table = Table(title=f"{report.outcomes:,} outcomes of {report.trades:,} trades, {report.epochs:,} epochs")
    for name in ("pattern, category", "scope", "direction", "n", "effect R", "edge", "levers"):
        right = name in ("direction", "n", "effect R", "edge")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    standing = [lesson for lesson in replay.book.lessons.values() if lesson.state in LIVE] if replay.book else []
    for lesson in standing:
        table.add_row(*_row(lesson))
    table.caption = (
        f"{report.seconds:.1f} s, {report.outcomes_per_second:,.0f} outcomes/s; "
        f"{report.expired:,} trades or actions never came together"
    )
    console.print(table)
    if not standing:
        console.print("No lesson stands: nothing differs from luck beyond doubt, or not for long enough.")
    dead = sorted(report.dead_letters.items(), key=lambda entry: (-entry[1], entry[0]))
    console.print(f"{sum(report.dead_letters.values()):,} dead letters")
    for reason, count in dead[:_REASONS]:
        console.print(f"  {count:,} x {reason}", highlight=False, markup=False, soft_wrap=True)
    if len(dead) > _REASONS:
        console.print(f"  and {len(dead) - _REASONS:,} reasons more in report.json")


def _row(lesson: Lesson) -> tuple[str, ...]:
    """Cells of a lesson; an execution lever has an effect of its own, and no direction or edge."""
    seen = lesson.evidence
    edge = seen.stats.edge_raw
    return (
        escape(f"{lesson.pattern_key}\n{lesson.action_category}"),
        escape(scope_of_lesson(lesson)),
        "" if lesson.lever else f"{lesson.direction:+d}",
        f"{seen.stats.n:,}",
        f"{seen.effect_rr:+.2f} ± {seen.error_rr:.2f}",
        "" if edge is None or lesson.lever else f"{edge:+.2f}",
        levers_of_lesson(lesson),
    )
