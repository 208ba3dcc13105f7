"""A live book that runs beside a test, and what it answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from leverloop.feeds import Feed
from leverloop.live import LiveBook
from leverloop.resolution import Resolution
from leverloop.snapshot import Snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot

SOON_S = 10.0


@asynccontextmanager
async def running(feed: Feed, **how: Any) -> AsyncIterator[LiveBook]:
    """Live book of a feed, which is closed at the end."""
    live = LiveBook(feed, "pm", holdout_share=0.0, kill_poll_s=0.001, **{"clock_ms": lambda: AT_MS} | how)
    task = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        await feed.close()
        await task


def resolved(live: LiveBook) -> Resolution:
    """What the book that stands answers."""
    return live.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", AT_MS)


def size(live: LiveBook) -> tuple[str, float, int | None]:
    """Reason, size lever and version of that answer."""
    resolution = resolved(live)
    return resolution.reason, resolution.lever("size_mult"), resolution.snapshot_version


def v(version: int, size_mult: float = 1.2, **fields: Any) -> Snapshot:
    """Snapshot of one override."""
    return make_snapshot(make_override({"size_mult": size_mult}, {"bucket": "micro"}), version=version, **fields)
