"""`leverloop status`: what is on the topics, counted from the topics alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.operator.history import ModuleState, read_modules
from app.settings import Settings
from app.topic_reader import read_topic
from leverloop.clock import now_ms
from leverloop.patterns import Module
from leverloop.snapshot import Snapshot
from streams.codec import DeadLetter
from streams.topics import ACTIONS, DEAD_LETTERS, LESSONS, OUTCOMES, TRADES

__all__ = ["Status", "read_status", "show_status"]


_MISSED: Final = 3.0
"""Heartbeats that may be missing before it is worth a word: one is late while an epoch is published."""


class _Kind(msgspec.Struct):
    kind: str
    outcome_id: str = ""


class _State(msgspec.Struct):
    state: str


class Status(msgspec.Struct, kw_only=True):
    """Counts of a deployment; outcomes by id, each id once however often its record was delivered."""

    actions: int = 0
    trades: int = 0
    outcomes: int = 0
    outcome_records: int = 0
    """Records that carry these outcomes: upserts by id. More than outcomes after a revision, after an action that was
    read later than its trade's close (companions), and after a crash (redelivery)."""
    lessons: dict[str, int] = {}
    """State -> lessons."""
    modules: dict[Module, ModuleState] = {}
    """Module -> the snapshot that stands, and what an operator has commanded."""
    dead_letters: dict[str, int] = {}
    """Field and reason -> count."""


async def read_status(broker_url: str) -> Status:
    """Count everything from the topics."""
    status = Status()
    status.actions = sum([1 async for _ in read_topic(broker_url, ACTIONS)])
    status.trades = sum([1 async for _ in read_topic(broker_url, TRADES)])
    kind = msgspec.json.Decoder(_Kind)
    ids: set[str] = set()
    async for record in read_topic(broker_url, OUTCOMES):
        found = kind.decode(record.value or b"{}")
        if found.kind == "outcome":
            ids.add(found.outcome_id)
            status.outcome_records += 1
        elif found.kind == "voided":
            ids.discard(found.outcome_id)
    status.outcomes = len(ids)
    states = {
        r.key: msgspec.json.decode(r.value or b"", type=_State).state async for r in read_topic(broker_url, LESSONS)
    }
    status.lessons = dict(Counter(states.values()))
    status.modules = await read_modules(broker_url)
    letters = [msgspec.json.decode(r.value or b"", type=DeadLetter) async for r in read_topic(broker_url, DEAD_LETTERS)]
    status.dead_letters = dict(Counter(letter.reason.partition(", was ")[0] for letter in letters))
    return status


def show_status(settings: Settings) -> int:
    """Print the status; return the exit code."""
    status = asyncio.run(read_status(settings.broker_url))
    table = Table(title=f"Leverloop on {settings.broker_url}", show_header=False)
    table.add_row("actions logged", f"{status.actions:,}")
    table.add_row("trades closed", f"{status.trades:,}")
    table.add_row("outcomes", _outcomes(status))
    table.add_row("lessons", ", ".join(f"{n} {state}" for state, n in sorted(status.lessons.items())) or "none")
    for module, state in sorted(status.modules.items()):
        if state.standing is not None:
            table.add_row(f"snapshot {module}", _standing(state, state.standing, now_ms(), settings.heartbeat_s))
        elif state.killed:
            table.add_row(f"snapshot {module}", "[red]killed[/red] before its first")
        if state.refusal is not None:
            refused = f"version {state.refusal.version}" if state.refusal.version is not None else "a draft"
            table.add_row(f"[red]refused {module}[/red]", escape(f"{refused}: {state.refusal.reason}"))
    table.add_row("dead letters", f"{sum(status.dead_letters.values()):,}")
    for reason, n in sorted(status.dead_letters.items()):
        table.add_row("", f"{n} x {reason}")
    Console().print(table)
    return 0


def _outcomes(status: Status) -> str:
    """How many outcomes there are, and how many records of them came again: revised, completed or redelivered.

    Examples
    --------
    >>> _outcomes(Status(outcomes=4_852, outcome_records=4_911)), _outcomes(Status(outcomes=2, outcome_records=2))
    ('4,852 (59 corrected since)', '2')
    """
    corrected = status.outcome_records - status.outcomes
    return f"{status.outcomes:,}" + (f" ({corrected:,} corrected since)" if corrected else "")


def _standing(state: ModuleState, snapshot: Snapshot, at_ms: int, heartbeat_s: float) -> str:
    """What stands of a module, what an operator has said, and whether it is still heard of."""
    epoch = datetime.fromtimestamp(snapshot.epoch_at_ms / 1000, UTC)
    count = sum(1 for _ in snapshot.overrides())
    said = [f"version {snapshot.version}, epoch {epoch:%Y-%m-%d %H:%M}, {count} overrides"]
    said += ["[red]killed[/red]"] if state.killed else []
    said += [f"version {state.pinned} is pinned"] if state.pinned is not None else []
    beat = state.heartbeat
    current = beat is not None and beat.version == snapshot.version
    valid_until_ms = beat.valid_until_ms if beat is not None and current else snapshot.valid_until_ms
    silent_s = (at_ms - (state.heard_at_ms or 0)) / 1000.0
    if valid_until_ms < at_ms:
        said.append("[red]stale: clients are neutral[/red]")
    if silent_s > _MISSED * heartbeat_s:
        said.append(f"[red]no heartbeat for {silent_s / 60.0:,.0f} min: is a worker running?[/red]")
    return ", ".join(said)
