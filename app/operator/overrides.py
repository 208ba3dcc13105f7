"""`leverloop overrides list|show|diff`: versions, what is in them, and how they differ."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.operator.answers import print_lines
from app.operator.history import Version, module_of, read_modules, read_version, read_versions
from app.stats.view import scope_text, utc
from leverloop.errors import BadConfig
from leverloop.snapshot import Override, Snapshot, override_id

__all__ = ["Change", "changes", "diff_versions", "list_versions", "show_version"]

_WIDE: Final = 150  # columns, where the output is no terminal


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One lever that two versions differ in; None: the override or the lever is not there."""

    pattern_key: str
    action_category: str
    scope: dict[str, Any]
    lever: str
    before: float | None
    after: float | None


def list_versions(broker_url: str, module: str | None, *, limit: int | None, as_json: bool) -> int:
    """Print the newest versions, oldest first; return the exit code."""
    wanted = None if module is None else asyncio.run(module_of(broker_url, module))
    versions = asyncio.run(read_versions(broker_url, wanted))
    shown = versions if limit is None else versions[-limit:]
    if as_json:
        print_lines(shown)
        return 0
    console = _console()
    for state in asyncio.run(read_modules(broker_url)).values():
        if wanted in (None, state.module):
            said = ["killed"] * state.killed + (
                [f"version {state.pinned} is pinned"] if state.pinned is not None else []
            )
            stands = "nothing stands" if state.standing is None else f"version {state.standing.version} stands"
            console.print(f"{state.module}: {', '.join([stands, *said])}", highlight=False)
    console.print(_versions_table(shown))
    if len(shown) < len(versions):
        console.print(f"{len(versions) - len(shown)} older ones are kept: --all shows them", highlight=False)
    return 0


def show_version(broker_url: str, module: str | None, version: int | None, *, as_json: bool) -> int:
    """Print one version; return the exit code."""
    name = asyncio.run(module_of(broker_url, module))
    snapshot = asyncio.run(read_version(broker_url, name, version))
    if as_json:
        print_lines([snapshot])
        return 0
    console = _console()
    flags = "" if snapshot.flags.learning_overrides_enabled else ", switched off"
    console.print(f"{name} version {snapshot.version}, parent {snapshot.parent_version}{flags}", highlight=False)
    console.print(f"epoch {utc(snapshot.epoch_at_ms)}, published {utc(snapshot.published_at_ms)}", highlight=False)
    console.print(
        f"content {snapshot.content_hash}, engine {snapshot.engine_version}, configuration {snapshot.config_hash}",
        highlight=False,
    )
    if snapshot.command is not None:
        by = snapshot.command
        console.print(f"{by.command} by {by.who} at {utc(by.at_ms)}: {by.why}", highlight=False, markup=False)
    table = Table("pattern", "action", "scope", "levers", "n", "edge", "strength", "lesson", box=SIMPLE_HEAD)
    for each in snapshot.overrides():
        levers = ", ".join(f"{lever} {value:.3f}" for lever, value in sorted(each.levers.items()))
        table.add_row(
            escape(each.pattern_key),
            each.action_category,
            escape(scope_text(each.scope)),
            levers,
            f"{each.stats.n:,}",
            f"{each.stats.edge_raw:+.2f}",
            f"{each.lesson.strength:.2f}",
            escape(each.lesson.id),
        )
    console.print(table if table.row_count else "no overrides: every action is neutral")
    return 0


def diff_versions(broker_url: str, module: str | None, first: int | None, second: int | None, *, as_json: bool) -> int:
    """Print what differs from one version to another; return the exit code."""
    name = asyncio.run(module_of(broker_url, module))
    after = asyncio.run(read_version(broker_url, name, second))
    if first is None:
        first = after.parent_version
        if first is None:
            raise BadConfig(f"version {after.version} of {name} has no parent: name two versions")
    before = asyncio.run(read_version(broker_url, name, first))
    found = list(changes(before, after))
    if as_json:
        print_lines(found)
        return 0
    console = _console()
    console.print(f"{name}: version {before.version} -> {after.version}, {len(found)} levers differ", highlight=False)
    if before.flags != after.flags:
        console.print("flags differ: `leverloop overrides show --json` has them", highlight=False)
    table = Table("pattern", "action", "scope", "lever", "before", "after", box=SIMPLE_HEAD)
    for each in found:
        values = ["-" if value is None else f"{value:.4f}" for value in (each.before, each.after)]
        about = (escape(each.pattern_key), each.action_category, escape(scope_text(each.scope)))
        table.add_row(*about, each.lever, *values)
    if found:
        console.print(table)
    return 0


def changes(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """Every lever that differs, by override and lever."""
    old, new = _levers(before), _levers(after)
    for key, lever in sorted(old.keys() | new.keys()):
        was, now = old.get((key, lever)), new.get((key, lever))
        values = (None if was is None else was[1], None if now is None else now[1])
        about = (was or now or _NOTHING)[0]
        if values[0] != values[1] and about is not None:
            yield Change(
                pattern_key=about.pattern_key,
                action_category=about.action_category,
                scope=about.scope,
                lever=lever,
                before=values[0],
                after=values[1],
            )


_NOTHING: Final[tuple[Override | None, float]] = (None, 0.0)


def _levers(snapshot: Snapshot) -> dict[tuple[str, str], tuple[Override, float]]:
    return {
        (override_id(each), lever): (each, value)
        for each in snapshot.overrides()
        for lever, value in each.levers.items()
    }


def _versions_table(versions: Sequence[Version]) -> Table:
    table = Table(
        "module",
        "version",
        "parent",
        "state",
        "epoch",
        "published",
        "overrides",
        "made by",
        box=SIMPLE_HEAD,
    )
    for each in versions:
        by = "epoch" if each.command is None else f"{each.command.command} by {each.command.who}: {each.command.why}"
        state = f"{each.outcome}: {each.reason}" if each.reason else each.outcome
        table.add_row(
            each.module,
            str(each.version),
            "-" if each.parent_version is None else str(each.parent_version),
            escape(state),
            utc(each.epoch_at_ms),
            utc(each.published_at_ms),
            f"{each.overrides:,}",
            escape(by),
        )
    return table


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)
