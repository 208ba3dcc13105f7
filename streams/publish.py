"""Stage: drafts, operator's commands -> history, validation -> overrides and their heartbeat (spec section 11).

In this order, so that a crash after any step costs a repetition and nothing else:

1. the snapshot stands in the history, and its event in the audit, acknowledged;
2. the table says so: read again, the record announces what stands and gives no second version;
3. the snapshot is announced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import structlog

from learning.commands import SnapshotCommand
from learning.publishing import Published, Step, Terms, commanded, drafted, kept_at, oversized, unwritten, version_asked
from leverloop.errors import BadConfig, BadInput, Unavailable
from leverloop.heartbeat import encode_heartbeat, heartbeat_key
from leverloop.patterns import Module
from leverloop.snapshot import Snapshot, encode_snapshot
from streams.codec import OnDrafts, decode_drafts, decode_kept, encode, targets
from streams.records import Record, raw_topic, record_of
from streams.topics import CONTROL_EVENTS, DRAFTS, OVERRIDES, SNAPSHOTS
from tables.announced import AnnouncedState, stored_announced
from tables.partitioned import PartitionedTable

__all__ = ["ReadBack", "history_key", "kept_snapshot", "publish", "step_of"]

_LOG = structlog.get_logger(__name__)

ReadBack = Callable[[int], Awaitable[bytes | None]]
"""Value of the history's record at an offset; None if it is kept no more; Unavailable if the log does not answer."""


def publish(
    app: faust.App,
    table: PartitionedTable[AnnouncedState],
    *,
    terms: Terms,
    now_ms: Callable[[], int],
    read_back: ReadBack,
    heartbeat_s: float,
    guarded: Callable[[Any], Any],
) -> None:
    """Wire the stage and its heartbeat into an app.

    Parameters
    ----------
    app, table
        The app, and the table of what is published of each module.
    terms
        What every snapshot has to keep to.
    now_ms
        The wall clock: when a snapshot is published and goes stale is no event time.
    read_back
        Reads a kept version from the history.
    heartbeat_s
        Seconds between heartbeats.
    guarded
        Makes a failure of the agent end the process.
    """
    publisher = _Publisher(app, table, terms, now_ms, read_back)

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            message = decode_drafts(record.value)
            for module in targets(message):
                await publisher.take(record, module, message)

    app.agent(raw_topic(app, DRAFTS), name="publish")(guarded(run))
    app.timer(heartbeat_s)(publisher.beat)


class _Publisher:
    """The effects of the stage: what it writes, in its order."""

    def __init__(
        self,
        app: faust.App,
        table: PartitionedTable[AnnouncedState],
        terms: Terms,
        now_ms: Callable[[], int],
        read_back: ReadBack,
    ) -> None:
        self._history, self._events, self._out = (
            raw_topic(app, name) for name in (SNAPSHOTS, CONTROL_EVENTS, OVERRIDES)
        )
        self._table = table
        self._terms = terms
        self._now_ms = now_ms
        self._read_back = read_back

    async def take(self, record: Record, module: Module, message: OnDrafts) -> None:
        """Do what a message asks of a module; one that was done before is only announced again."""
        state = self._table.state(record.partition).of(module)
        if record.offset < state.offset:
            return
        if record.offset > state.offset:
            kept, unread = await kept_snapshot(state, message, self._read_back)
            at_ms = self._now_ms()
            step = step_of(state, module, message, kept, self._terms, offset=record.offset, at_ms=at_ms, unread=unread)
            if step is None:
                return
            state = await self._written(module, step)
            self._table[module.encode()] = stored_announced(state)
            if step.announced is None:
                return
        if state.standing is not None:
            await self._out.send(key=module.encode(), value=encode_snapshot(state.standing), partition=0)

    async def beat(self) -> None:
        """Say of everything that stands that it does; nobody but the owner of the partition has a state to tell."""
        for state in self._table.recovered_states().values():
            for module, heartbeat in state.heartbeats(self._now_ms() + self._terms.valid_ms):
                key = heartbeat_key(module).encode()
                await self._out.send(key=key, value=encode_heartbeat(heartbeat), partition=0)

    async def _written(self, module: Module, step: Step) -> Published:
        """Write to the history and the audit, and wait for both; return the state that knows where."""
        event, state = step.event, step.state
        audited = await self._events.send(key=event.id.encode(), value=encode(event), partition=0)
        if step.written is not None:
            key, value = history_key(module, step.written.version), encode_snapshot(step.written)
            written = await (await self._history.send(key=key, value=value, partition=0))
            state = kept_at(state, step.written.version, written.offset)
        await audited
        said = {name: getattr(event, name) for name in ("module", "version", "command", "reason", "who", "why")}
        log = _LOG.error if event.outcome == "refused" else _LOG.info
        log(f"snapshot_{event.outcome}", **said)
        return state


def history_key(module: str, version: int) -> bytes:
    """Key of a version in the history."""
    return f"{module}/{version}".encode()


def step_of(
    state: Published,
    module: Module,
    message: OnDrafts,
    kept: Snapshot | None,
    terms: Terms,
    *,
    offset: int,
    at_ms: int,
    unread: str = "",
) -> Step | None:
    """What a message does to a module; None if it was heard before."""
    if isinstance(message, SnapshotCommand):
        return commanded(state, module, message, kept, terms, offset=offset, at_ms=at_ms, unread=unread)
    if message.snapshot is None:
        reason = message.reason or oversized(message.size_bytes, terms)
        return unwritten(state, module, message.epoch_at_ms, reason, offset=offset)
    return drafted(state, message.snapshot, terms, offset=offset, at_ms=at_ms)


async def kept_snapshot(state: Published, message: OnDrafts, read_back: ReadBack) -> tuple[Snapshot | None, str]:
    """Snapshot that a command names, however long the log takes to answer; or why it stands there and is not read."""
    version = version_asked(state, message) if isinstance(message, SnapshotCommand) else None
    while version is not None:
        try:
            raw = await read_back(state.kept[version])
            found = None if raw is None else decode_kept(raw)
        except Unavailable as away:
            _LOG.warning("history_unavailable", reason=str(away), version=version)
            await asyncio.sleep(away.retry_after_s)
        except (BadConfig, BadInput) as bad:
            return None, f"version {version} of {message.module} cannot be read back: {bad}"
        else:
            is_it = found is not None and (found.module, found.version) == (message.module, version)
            return (found if is_it else None), ""
    return None, ""
