"""What we hand out for others' tests keeps the contract of the real things."""

import msgspec
import pytest

from leverloop.errors import BadInput, Unavailable
from leverloop.events import parse_action, parse_trade
from leverloop.snapshot import Snapshot, decode_snapshot, encode_snapshot
from leverloop.testing import AT_MS, MemoryEmitter, MemoryFeed, make_override, make_snapshot

from .examples import ACTION, TRADE, changed

ACTION_T1 = parse_action(changed(ACTION, "action_id", "a1"), received_at_ms=AT_MS)
TRADE_T1 = parse_trade(changed(TRADE, "trade_id", "t1"), received_at_ms=AT_MS)


async def test_a_memory_emitter_keeps_what_was_logged() -> None:
    async with MemoryEmitter() as emitter:
        emitter.log_action(ACTION_T1)
        emitter.log_trade(TRADE_T1)
    assert (emitter.actions, emitter.trades) == ([ACTION_T1], [TRADE_T1])


async def test_a_memory_emitter_refuses_what_a_real_one_refuses() -> None:
    emitter = MemoryEmitter(capacity_count=1)
    with pytest.raises(BadInput, match="size_frac"):
        emitter.log_action(msgspec.structs.replace(ACTION_T1, size_frac=float("nan")))
    emitter.log_action(ACTION_T1)
    with pytest.raises(Unavailable, match="1 events wait"):
        emitter.log_trade(TRADE_T1)
    await emitter.flush()
    emitter.log_trade(TRADE_T1)
    assert (len(emitter.actions), len(emitter.trades)) == (1, 1)


async def test_a_memory_feed_gives_what_was_published_and_raises_what_is_an_error() -> None:
    feed = MemoryFeed()
    feed.publish(make_snapshot(version=1), b"x", Unavailable("no broker"), make_snapshot(version=2))
    records = feed.follow("pm")
    first, second = await anext(records), await anext(records)
    assert (decode_snapshot(first.value).version, first.offset) == (1, 0)
    assert (second.value, second.offset) == (b"x", 1)
    with pytest.raises(Unavailable, match="no broker"):
        await anext(records)
    async for record in feed.follow("pm"):
        assert decode_snapshot(record.value).version == 2
        await feed.close()


def test_snapshots_are_sealed_and_sorted_by_type() -> None:
    size = make_override({"size_mult": 1.1}, {"bucket": "micro"})
    delay = make_override({"entry_delay_bars": 1.0}, {"bucket": "micro"})
    snapshot = make_snapshot(delay, size, version=3, valid_until_ms=AT_MS)
    assert isinstance(decode_snapshot(encode_snapshot(snapshot)), Snapshot)
    assert (snapshot.pattern_strength_overrides, snapshot.pattern_overrides) == ((size,), (delay,))
    assert (snapshot.version, snapshot.valid_until_ms) == (3, AT_MS)


def test_levers_of_two_types_make_no_override() -> None:
    with pytest.raises(ValueError, match="levers of one type"):
        make_override({"size_mult": 1.1, "entry_delay_bars": 1.0}, {"bucket": "micro"})
