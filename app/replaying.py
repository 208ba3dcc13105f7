"""`leverloop replay jsonl` as a person sees it: a progress bar, and a summary at the end."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from app.folders import made
from app.replay import Replay, ReplayReport, replay_files
from app.replay_output import write_output
from app.settings import Settings
from learning.lessons import LIVE

__all__ = ["run_replay"]


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
    console.print(_summary(replay, report))
    console.print(f"Written to {out}: lessons.json, levers.json, snapshots/, stats.jsonl, report.json")
    console.print(f"Ask it for any subset: leverloop stats --replay {out}")


def _summary(replay: Replay, report: ReplayReport) -> Table:
    table = Table(title=f"{report.outcomes} outcomes of {report.trades} trades, {report.epochs} epochs")
    for name in ("pattern", "category", "scope", "direction", "n", "effect R", "edge"):
        right = name in ("direction", "n", "effect R", "edge")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for lesson in replay.book.lessons.values() if replay.book else ():
        if lesson.state in LIVE and not lesson.lever:
            seen = lesson.evidence
            table.add_row(
                lesson.pattern_key,
                lesson.action_category,
                ", ".join(f"{name}={value}" for name, value in lesson.scope.items()),
                f"{lesson.direction:+d}",
                str(seen.stats.n),
                f"{seen.effect_rr:+.2f} ± {seen.error_rr:.2f}",
                "" if seen.stats.edge_raw is None else f"{seen.stats.edge_raw:+.2f}",
            )
    dead = sum(report.dead_letters.values())
    table.caption = (
        f"{report.seconds:.1f} s, {report.outcomes_per_second:,.0f} outcomes/s; {dead} dead letters; "
        f"{report.expired} trades or actions never came together"
    )
    return table
