"""The emitter on real Kafka: what `flush` has let through is in the topic, whatever the broker does meanwhile."""

import asyncio
import socket

import pytest
from aiokafka import TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from app.devbroker import DevBroker
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC
from leverloop.emit.kafka import KafkaEmitter
from leverloop.errors import BadConfig, BadInput, InvariantBroken, Unavailable
from leverloop.events import ActionLogged, TradeClosed, parse_action, parse_trade
from leverloop.partitions import partition_of
from streams import topics as engine
from tests.integration.kafka.topics import create, read

AT_MS = 1_750_000_000_000
PARTITIONS = 4
DEFAULTS = (ACTIONS_TOPIC, TRADES_TOPIC)


def action(number: int, trade: int = 0) -> ActionLogged:
    return ActionLogged(
        action_id=f"a{number:06d}",
        trade_id=f"t{trade:06d}",
        module="pm",
        pattern_key="pm.uptrend.S1.buy_flag",
        action_type="add",
        event_at_ms=AT_MS + number,
        scope={"timeframe": "1h"},
    )


def trade(number: int) -> TradeClosed:
    return TradeClosed(
        trade_id=f"t{number:06d}",
        module="pm",
        symbol="X",
        opened_at_ms=AT_MS,
        event_at_ms=AT_MS + 60_000,
        rr=1.5,
        return_frac=0.03,
        max_drawdown_frac=0.02,
        max_gain_frac=0.03,
    )


def test_client_and_engine_mean_the_same_topics() -> None:
    assert (engine.ACTIONS, engine.TRADES) == DEFAULTS


@given(st.binary(min_size=1, max_size=64), st.integers(1, 64))
def test_partitions_are_those_of_every_other_kafka_client(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


@pytest.mark.kafka
async def test_flushed_events_are_in_their_topics_in_order_by_trade(kafka_broker: str, unique_id: str) -> None:
    actions, trades = f"{unique_id}-actions", f"{unique_id}-trades"
    await create(kafka_broker, actions, trades, partitions=PARTITIONS)
    async with KafkaEmitter(f"kafka://{kafka_broker}", actions_topic=actions, trades_topic=trades) as emitter:
        for number in range(500):
            emitter.log_action(action(number, number % 20))
        for number in range(20):
            emitter.log_trade(trade(number))
        assert emitter.unacknowledged == 520
        await emitter.flush()
        assert emitter.unacknowledged == 0

    logged = await read(kafka_broker, actions, partitions=PARTITIONS)
    found = [parse_action(record.value, received_at_ms=AT_MS + 60_000) for record in logged]
    assert sorted(event.action_id for event in found) == [action(number).action_id for number in range(500)]
    for number in range(20):
        one = [event.event_at_ms for event in found if event.trade_id == f"t{number:06d}"]
        assert one == sorted(one)
    closed = await read(kafka_broker, trades, partitions=PARTITIONS)
    assert sorted(
        (parse_trade(record.value, received_at_ms=AT_MS + 60_000) for record in closed),
        key=lambda found: found.trade_id,
    ) == [trade(number) for number in range(20)]
    for record in logged + closed:
        assert record.partition == partition_of(record.key, PARTITIONS)


@pytest.mark.kafka
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_nothing_is_lost_reordered_or_repeated_when_the_broker_restarts(
    own_kafka_broker: DevBroker, how: str
) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    async with KafkaEmitter(own_kafka_broker.bootstrap) as emitter:
        for number in range(1000):
            emitter.log_action(action(number))
        await asyncio.to_thread({"stop": own_kafka_broker.stop, "kill": own_kafka_broker.kill}[how])
        for number in range(1000, 2000):
            emitter.log_action(action(number))
        await asyncio.to_thread(own_kafka_broker.restart)
        await emitter.flush()
    ids = [
        parse_action(record.value, received_at_ms=AT_MS).action_id for record in await read(*_actions(own_kafka_broker))
    ]
    assert ids == [action(number).action_id for number in range(2000)]


@pytest.mark.kafka
async def test_a_producer_that_failed_for_good_is_replaced_and_nothing_is_lost(
    kafka_broker: str, unique_id: str
) -> None:
    await create(kafka_broker, unique_id)
    async with KafkaEmitter(kafka_broker, actions_topic=unique_id, trades_topic=unique_id) as emitter:
        emitter.log_action(action(0))
        await emitter.flush()
        failed = emitter._producer
        # A gap in the sequence: the broker refuses the next batch (OUT_OF_ORDER_SEQUENCE_NUMBER), which is final.
        failed._txn_manager.increment_sequence_number(TopicPartition(unique_id, 0), 7)
        for number in range(1, 100):
            emitter.log_action(action(number))
        await emitter.flush()
        assert emitter._producer is not failed
        emitter.log_action(action(100))
    ids = [parse_action(record.value, received_at_ms=AT_MS).action_id for record in await read(kafka_broker, unique_id)]
    assert ids == [action(number).action_id for number in range(101)]


@pytest.mark.kafka
async def test_a_full_buffer_and_a_silent_broker_are_said(own_kafka_broker: DevBroker) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    emitter = KafkaEmitter(own_kafka_broker.bootstrap, buffer_records=10, flush_timeout_s=0.2)
    await emitter.__aenter__()
    await asyncio.to_thread(own_kafka_broker.kill)
    for number in range(10):
        emitter.log_action(action(number))
    with pytest.raises(Unavailable, match="buffer full: 10 records wait for"):
        emitter.log_trade(trade(0))
    with pytest.raises(Unavailable, match=r"10 records are not acknowledged by 127\.0\.0\.1:\d+ after 0\.2 s"):
        await emitter.close()
    assert emitter.unacknowledged == 10
    with pytest.raises(InvariantBroken, match="not open"):
        emitter.log_trade(trade(0))


@pytest.mark.kafka
async def test_missing_topics_are_named_at_the_start(kafka_broker: str, unique_id: str) -> None:
    await create(kafka_broker, f"{unique_id}-actions")
    emitter = KafkaEmitter(kafka_broker, actions_topic=f"{unique_id}-actions", trades_topic=f"{unique_id}-trades")
    with pytest.raises(BadConfig, match=rf"topics {unique_id}-trades do not exist at .*: leverloop topics create"):
        await emitter.__aenter__()


async def test_no_broker_at_the_start_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and nobody listens
        emitter = KafkaEmitter(f"127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:\d+ does not answer: KafkaConnectionError"):
            await emitter.__aenter__()


@pytest.mark.kafka
async def test_an_event_that_the_engine_would_refuse_for_its_size_is_refused_here(
    kafka_broker: str, unique_id: str
) -> None:
    await create(kafka_broker, unique_id)
    async with KafkaEmitter(kafka_broker, actions_topic=unique_id, trades_topic=unique_id) as emitter:
        huge = action(0)
        huge.scope["curator"] = "x" * 70_000
        with pytest.raises(BadInput, match="at most 65536 bytes"):
            emitter.log_action(huge)
    assert await read(kafka_broker, unique_id) == []


def _actions(broker: DevBroker) -> tuple[str, str]:
    return broker.bootstrap, ACTIONS_TOPIC
