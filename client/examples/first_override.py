"""A first override, from the snapshot to the logged action: `python first_override.py [URL]`.

Without a URL it writes a snapshot of its own and needs neither broker nor engine. With one, such as
kafka://broker:9092, it follows the snapshots there, and logs what it does.
"""

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

import leverloop
from leverloop.clock import now_ms
from leverloop.snapshot import encode_snapshot
from leverloop.testing import MemoryEmitter, make_override, make_snapshot

PATTERN = "pm.uptrend.S1.buy_flag"


def enter(live: leverloop.LiveBook, emitter: leverloop.Emitter, trade_id: str) -> None:
    """Size one entry by what was learned, and log it with the reason."""
    scope = {"macro_phase": "Dip", "bucket": "micro", "timeframe": "15m"}  # as it is before overrides
    at_ms = now_ms()
    resolution = live.resolve(PATTERN, "entry", scope, trade_id, at_ms)
    sized = leverloop.apply_pattern_strength_overrides(
        resolution, category="entry", a_value=0.6, e_value=0.3, position_size_frac=0.05
    )
    print(f"{resolution.reason}: {resolution.levers}, size 0.05 -> {sized.position_size_frac:.4f}")  # noqa: T201
    emitter.log_action(
        leverloop.ActionLogged(
            action_id=f"{trade_id}/entry", trade_id=trade_id, module="pm", pattern_key=PATTERN,
            action_type="entry_immediate", event_at_ms=at_ms, scope=scope, size_frac=sized.position_size_frac,
            a_value=sized.a_value, e_value=sized.e_value, decision=resolution.decision(),
        )
    )  # fmt: skip


async def main(url: str | None, folder: Path, wait_s: float = 10.0) -> None:
    """Wait for a snapshot, enter, stop."""
    if url is None:
        override = make_override({"size_mult": 1.2}, {"bucket": "micro"}, updated_at_ms=now_ms())
        (folder / "snapshot.json").write_bytes(encode_snapshot(make_snapshot(override, valid_until_ms=2**50)))
    feed = leverloop.open_feed(url or f"file://{folder}/snapshot.json")
    live = leverloop.LiveBook(feed, "pm", last_good_file=folder / "last-good.json", holdout_share=0.0)
    running = asyncio.create_task(live.run())
    try:
        with contextlib.suppress(leverloop.Unavailable):  # nothing learned yet: trade on, levers are neutral
            await live.wait_ready(wait_s)
        async with leverloop.open_emitter(url) if url else MemoryEmitter() as emitter:
            enter(live, emitter, "t1")
    finally:
        await feed.close()
        await running


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None, Path(folder)))
