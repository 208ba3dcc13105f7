"""Stage: snapshots (history) -> validate -> overrides (announced); the second and third step of spec section 11."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faust
import msgspec
import structlog

from leverloop.errors import BadInput
from leverloop.snapshot import Snapshot, decode_snapshot, encode_snapshot
from streams.records import raw_topic, record_of
from streams.topics import OVERRIDES, SNAPSHOTS
from tables.announced import AnnouncedState, stored_announced
from tables.partitioned import PartitionedTable

__all__ = ["announced", "publish"]

_LOG = structlog.get_logger(__name__)


def publish(
    app: faust.App,
    table: PartitionedTable[AnnouncedState],
    *,
    now_ms: Callable[[], int],
    valid_ms: int,
    guarded: Callable[[Any], Any],
) -> None:
    """Wire the stage into an app.

    Parameters
    ----------
    app, table
        The app, and the table of what was last announced per module.
    now_ms
        The wall clock: when a snapshot is published and goes stale is no event time.
    valid_ms
        How long a snapshot holds without a newer one.
    guarded
        Makes a failure of the agent end the process.
    """
    out = raw_topic(app, OVERRIDES)

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            try:
                found = announced(record.value, table.state(record.partition), now_ms(), valid_ms)
            except BadInput as bad:
                _LOG.error("snapshot_refused", reason=str(bad), offset=record.offset)
                continue
            if found is not None:
                table[found.module.encode()] = stored_announced(found)
                await out.send(key=found.module.encode(), value=encode_snapshot(found), partition=0)

    app.agent(raw_topic(app, SNAPSHOTS), name="publish")(guarded(run))


def announced(raw: bytes, state: AnnouncedState, at_ms: int, valid_ms: int) -> Snapshot | None:
    """Return the snapshot as it is announced, or None if a newer one was.

    The last one again is announced again: it may have been lost on its way.

    Raises
    ------
    BadInput
        If it must not be applied; the last good one stands.
    """
    found = decode_snapshot(raw)
    last = state.versions.get(found.module)
    if last is not None and found.version < last:
        return None
    return msgspec.structs.replace(found, published_at_ms=at_ms, valid_until_ms=at_ms + valid_ms)
