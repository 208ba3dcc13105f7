"""The feed on real Kafka: the newest record first, then each newer one, over deletions, restarts and large snapshots."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator

import pytest

from app.devbroker import DevBroker
from app.topic_admin import Replication, create_topics
from leverloop.errors import Unavailable
from leverloop.feeds import FeedRecord
from leverloop.feeds.kafka import KafkaFeed
from streams.topics import OVERRIDES, layout
from tests.integration.kafka.topics import create, write

pytestmark = pytest.mark.kafka
SOON_S = 30.0
NOW_MS = 1_750_000_000_000


async def test_newest_record_of_the_module_comes_first_then_each_newer_one(kafka_broker: str, unique_id: str) -> None:
    await create(kafka_broker, unique_id, cleanup_policy="compact")
    await write(kafka_broker, unique_id, [b"pm 1", b"pm 2"], key=b"pm")
    await write(kafka_broker, unique_id, [b"dm 1"], key=b"dm")
    feed = KafkaFeed(f"kafka://{kafka_broker}", topic=unique_id, clock_ms=lambda: NOW_MS)
    follower = feed.follow("pm")
    assert await _next(follower) == FeedRecord(key="pm", value=b"pm 2", offset=1, received_at_ms=NOW_MS)
    await write(kafka_broker, unique_id, [b"dm 2"], key=b"dm")
    await write(kafka_broker, unique_id, [b"pm 3", None, b"pm 4"], key=b"pm")
    assert [(await _next(follower)).value for _ in range(2)] == [b"pm 3", b"pm 4"]
    await feed.close()


async def test_heartbeats_are_followed_by_their_own_key(kafka_broker: str, unique_id: str) -> None:
    await create(kafka_broker, unique_id, cleanup_policy="compact")
    await write(kafka_broker, unique_id, [b"snapshot"], key=b"pm")
    await write(kafka_broker, unique_id, [b"beat"], key=b"pm/heartbeat")
    feed = KafkaFeed(kafka_broker, topic=unique_id)
    assert (await _next(feed.follow("pm/heartbeat"))).value == b"beat"
    assert (await _next(feed.follow("pm"))).value == b"snapshot"
    await feed.close()


async def test_snapshots_and_heartbeats_are_followed_together(kafka_broker: str, unique_id: str) -> None:
    await create(kafka_broker, unique_id, cleanup_policy="compact")
    await write(kafka_broker, unique_id, [b"beat 1", b"beat 2"], key=b"pm/heartbeat")
    await write(kafka_broker, unique_id, [b"snapshot 1", b"snapshot 2"], key=b"pm")
    feed = KafkaFeed(kafka_broker, topic=unique_id)
    follower = feed.follow("pm", "pm/heartbeat")
    first = [await _next(follower) for _ in range(2)]
    assert [(r.key, r.value) for r in first] == [("pm", b"snapshot 2"), ("pm/heartbeat", b"beat 2")]
    await write(kafka_broker, unique_id, [b"beat 3"], key=b"pm/heartbeat")
    third = await _next(follower)
    assert (third.key, third.value) == ("pm/heartbeat", b"beat 3")
    await feed.close()


async def test_a_deleted_snapshot_is_not_the_newest(kafka_broker: str, unique_id: str) -> None:
    await create(kafka_broker, unique_id, cleanup_policy="compact")
    await write(kafka_broker, unique_id, [b"old", None], key=b"pm")
    feed = KafkaFeed(kafka_broker, topic=unique_id)
    follower = feed.follow("pm")
    first = asyncio.create_task(_next(follower))
    await write(kafka_broker, unique_id, [b"new"], key=b"pm")
    assert (await first).value == b"new"
    await feed.close()


async def test_snapshots_of_production_size_pass_through_the_layouts_topic(own_kafka_broker: DevBroker) -> None:
    specs = [spec for spec in layout(app_id="leverloop", partitions=1) if spec.name == OVERRIDES]
    await create_topics(own_kafka_broker.bootstrap, specs, replication=Replication(factor=1, min_insync=1))
    large = random.Random(0).randbytes(30 * 1024 * 1024)  # does not shrink under zstd
    limit = {"max_request_size": 33 * 1024 * 1024, "compression_type": "zstd"}
    await write(own_kafka_broker.bootstrap, OVERRIDES, [b"first", large], key=b"pm", **limit)
    feed = KafkaFeed(own_kafka_broker.bootstrap)
    follower = feed.follow("pm")
    assert (await _next(follower)).value == large
    await write(own_kafka_broker.bootstrap, OVERRIDES, [large[::-1]], key=b"pm", **limit)
    assert (await _next(follower)).value == large[::-1]
    await feed.close()


async def test_a_follower_outlives_the_broker(own_kafka_broker: DevBroker) -> None:
    address = own_kafka_broker.bootstrap
    await create(address, OVERRIDES, cleanup_policy="compact")
    await write(address, OVERRIDES, [b"before"], key=b"pm")
    feed = KafkaFeed(address)
    follower = feed.follow("pm")
    assert (await _next(follower)).value == b"before"
    await asyncio.to_thread(own_kafka_broker.kill)
    await asyncio.to_thread(own_kafka_broker.restart)
    await write(address, OVERRIDES, [b"after"], key=b"pm")
    assert (await _next(follower)).value == b"after"
    await feed.close()


async def test_close_ends_every_follower_wherever_it_waits(kafka_broker: str, unique_id: str) -> None:
    await create(kafka_broker, unique_id, cleanup_policy="compact")
    await write(kafka_broker, unique_id, [b"x"], key=b"pm")
    feed = KafkaFeed(kafka_broker, topic=unique_id)
    idle = feed.follow("pm")
    assert (await _next(idle)).value == b"x"  # and nobody asks for the next
    catching_up = asyncio.create_task(_values(feed.follow("pm")))
    waiting = feed.follow("pm")
    assert (await _next(waiting)).value == b"x"
    for_the_next = asyncio.create_task(_values(waiting))
    await asyncio.sleep(0)  # both have begun
    async with asyncio.timeout(2.0):
        await feed.close()
        assert await catching_up in ([], [b"x"])
        assert await for_the_next == []
        assert await _values(idle) == []
        assert await _values(feed.follow("pm")) == []


async def test_a_cancelled_follower_gives_up_its_connection(kafka_broker: str, unique_id: str) -> None:
    await create(kafka_broker, unique_id, cleanup_policy="compact")
    feed = KafkaFeed(kafka_broker, topic=unique_id)
    waiting = asyncio.create_task(_values(feed.follow("pm")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not feed._consumers


async def test_a_missing_topic_and_a_missing_broker_are_unavailable(kafka_broker: str, unique_id: str) -> None:
    with pytest.raises(Unavailable, match=rf"topic {unique_id} does not exist at .*: leverloop topics create"):
        await anext(KafkaFeed(kafka_broker, topic=unique_id, timeout_s=1.0).follow("pm"))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and nobody listens
        with pytest.raises(Unavailable, match=r"cannot be read: KafkaConnectionError") as refused:
            await anext(KafkaFeed(f"127.0.0.1:{nobody.getsockname()[1]}").follow("pm"))
    assert refused.value.retry_after_s > 0


async def _next(follower: AsyncIterator[FeedRecord]) -> FeedRecord:
    async with asyncio.timeout(SOON_S):
        return await anext(follower)


async def _values(follower: AsyncIterator[FeedRecord]) -> list[bytes]:
    return [record.value async for record in follower]
