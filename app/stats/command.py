"""`leverloop stats`: which question was asked, where the answer is read, how it is shown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from app.settings import Settings
from app.stats.arguments import scope_of
from app.stats.source import Held, held_by_replay, held_by_worker
from app.stats.view import folded_text, json_lines, scope_text, subset_in_full, subsets_table, utc
from learning.queries import GroupQueries, Subset
from leverloop.errors import BadConfig
from leverloop.scope import Scope

__all__ = ["Question", "show_stats"]

_BY: Final = "edge_raw"
_WIDE: Final = 140  # columns, where the output is no terminal


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What `leverloop stats` was asked; see its options."""

    group: str | None = None
    scope: tuple[str, ...] = ()
    top: int | None = None
    by: str | None = None
    ascending: bool = False
    min_n: int | None = None
    dims: int | None = None
    children: bool = False
    parents: bool = False
    now: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        views = [name for name, asked in (("--top", self.top), ("--children", self.children)) if asked]
        views += ["--parents"] if self.parents else []
        if len(views) > 1:
            raise BadConfig(f"{' and '.join(views)}: one of them at a time")
        narrowing = [
            name
            for name, given in (
                ("--by", self.by),
                ("--ascending", self.ascending or None),
                ("--min-n", self.min_n),
                ("--dims", self.dims),
            )
            if given is not None
        ]
        if narrowing and self.top is None:
            raise BadConfig(f"{', '.join(narrowing)}: belongs to --top N")
        if self.group is None and (views or self.scope):
            raise BadConfig(f"{', '.join([*views, *(['--scope'] if self.scope else [])])}: of which GROUP?")


def show_stats(question: Question, *, settings: Settings | None = None, replay: Path | None = None) -> int:
    """Answer from a replay's folder, or from the tables of a deployment's workers; return the exit code."""
    with _busy("reading"):
        if replay is not None:
            held = held_by_replay(replay, question.group)
        else:
            assert settings is not None
            held = asyncio.run(held_by_worker(settings, question.group))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    if question.group is None:
        _show_groups(held, question, console)
    else:
        _show_group(held, question.group, question, console)
    return 0


def _show_group(held: Held, group: str, question: Question, console: Console) -> None:
    queries = held.queries(group, now=question.now)
    scope = scope_of(question.scope, held.schema, queries.cells.module)
    with _busy("counting"):
        found, title = _answer(queries, scope, question)
        footer = [] if question.as_json else _footer(held, queries, question)
    if question.as_json:
        for line in json_lines(group, queries.epoch_at_ms, found):
            typer.echo(line)
        return
    if question.top is None and not (question.children or question.parents):
        console.print(subset_in_full(title, found[0]))
    elif found:
        console.print(subsets_table(title, found, console.width, by=question.by))
    else:
        console.print(Text(f"{title}: none"), soft_wrap=True)
    for line in footer:
        console.print(Text(line, style="dim"), soft_wrap=True)


def _answer(queries: GroupQueries, scope: Scope, question: Question) -> tuple[list[Subset], str]:
    """Subsets that were asked for, and what they are."""
    of = f"{queries.cells.group}, {scope_text(scope)}"
    if question.children:
        return queries.children(scope), f"{of}: tracked subsets with one dimension more"
    if question.parents:
        return queries.parents(scope), f"{of}: subsets with one dimension less"
    if question.top is None:
        subset = queries.point(scope)
        return [subset], f"{of}{'' if subset.tracked or not scope else ' (not tracked)'}"
    by = question.by or _BY
    found = queries.top(
        question.top,
        by,
        "ascending" if question.ascending else "descending",
        min_n=question.min_n or 0,
        dims=question.dims,
        within=scope,
    )
    return found, f"{of}: {len(found)} tracked subsets, {'smallest' if question.ascending else 'largest'} {by} first"


def _footer(held: Held, queries: GroupQueries, question: Question) -> list[str]:
    whole = queries.point({}).stats
    later = held.open_outcomes(queries.cells, queries.epoch_at_ms)
    return [
        _as_of(held, queries.epoch_at_ms, now=question.now),
        f"group: {whole.n_actions:,} outcomes of {whole.n:,} trades, {queries.n_tracked:,} tracked subsets"
        + (f"; {later:,} outcomes more count from a later epoch: --now" if later else ""),
        *folded_text(queries.cells.folded()),
        f"read from {held.source}",
    ]


def _as_of(held: Held, epoch_at_ms: int, *, now: bool) -> str:
    if not now:
        return f"as of the last decided epoch, {utc(epoch_at_ms)}"
    decided = held.decided
    known = "no baselines: no epoch was decided" if decided is None else f"baselines of {utc(decided.epoch_at_ms)}"
    return f"every outcome held, up to epoch {utc(epoch_at_ms)}; {known}"


def _show_groups(held: Held, question: Question, console: Console) -> None:
    epoch_at_ms = held.epoch_at_ms(now=question.now)
    table = Table(
        title=f"{len(held.groups)} groups", title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    table.add_column("group", overflow="fold")
    for name in ("outcomes", "trades", "last close"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in sorted(held.groups):
        cells = held.groups[group]
        rows = cells.counted(epoch_at_ms)
        outcomes, trades = len(rows), len(set(cells.column("trade", rows).tolist()))
        last_at_ms = int(cells.column("closed_at_ms", rows).max(initial=0))
        if question.as_json:
            row = {
                "group": group,
                "epoch_at_ms": epoch_at_ms,
                "outcomes": outcomes,
                "trades": trades,
                "last_closed_at_ms": last_at_ms or None,
            }
            typer.echo(msgspec.json.encode(row))
        table.add_row(Text(group), f"{outcomes:,}", f"{trades:,}", utc(last_at_ms) if last_at_ms else "-")
    if question.as_json:
        return
    console.print(table)
    console.print(Text(_as_of(held, epoch_at_ms, now=question.now), style="dim"), soft_wrap=True)
    console.print(Text(f"read from {held.source}", style="dim"), soft_wrap=True)


def _busy(text: str) -> Status:
    """Something that moves on standard error while somebody waits at a terminal; nothing elsewhere."""
    return Console(stderr=True).status(f"{text} (the first time on a machine: compiling, up to a minute)")
