"""The emitter on real Kafka: what `flush` has let through is in the topic, whatever the broker does meanwhile."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from app.devbroker import DevBroker
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC
from leverloop.emit.kafka import KafkaEmitter
from leverloop.errors import BadConfig, BadInput, InvariantBroken
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


def left_in(directory: Path, pattern: str) -> list[Path]:
    return list(directory.glob(pattern))


def test_client_and_engine_mean_the_same_topics() -> None:
    assert (engine.ACTIONS, engine.TRADES) == DEFAULTS


@given(st.binary(min_size=1, max_size=64), st.integers(1, 64))
def test_partitions_are_those_of_every_other_kafka_client(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


@pytest.mark.kafka
async def test_flushed_events_are_in_their_topics_in_order_by_trade(
    kafka_broker: str, unique_id: str, tmp_path: Path
) -> None:
    actions, trades = f"{unique_id}-actions", f"{unique_id}-trades"
    await create(kafka_broker, actions, trades, partitions=PARTITIONS)
    async with KafkaEmitter(
        f"kafka://{kafka_broker}", actions_topic=actions, trades_topic=trades, buffer_dir=tmp_path
    ) as emitter:
        for number in range(500):
            emitter.log_action(action(number, number % 20))
        for number in range(20):
            emitter.log_trade(trade(number))
        assert emitter.status().waiting_count == 520
        await emitter.flush()
        status = emitter.status()
        assert (status.taken_count, status.sent_count, status.waiting_count) == (520, 520, 0)
        assert (status.connected, status.trouble) == (True, "")
    assert left_in(tmp_path, "*.events") == []  # what was sent leaves nothing behind

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
    own_kafka_broker: DevBroker, how: str, tmp_path: Path
) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "buffer") as emitter:
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
    kafka_broker: str, unique_id: str, tmp_path: Path
) -> None:
    await create(kafka_broker, unique_id)
    async with KafkaEmitter(
        kafka_broker, actions_topic=unique_id, trades_topic=unique_id, buffer_dir=tmp_path
    ) as emitter:
        emitter.log_action(action(0))
        await emitter.flush()
        assert emitter._delivery is not None
        failed = emitter._delivery._producer
        # A gap in the sequence: the broker refuses the next batch (OUT_OF_ORDER_SEQUENCE_NUMBER), which is final.
        failed._txn_manager.increment_sequence_number(TopicPartition(unique_id, 0), 7)
        for number in range(1, 100):
            emitter.log_action(action(number))
        await emitter.flush()
        assert emitter._delivery._producer is not failed
        emitter.log_action(action(100))
    ids = [parse_action(record.value, received_at_ms=AT_MS).action_id for record in await read(kafka_broker, unique_id)]
    assert ids == [action(number).action_id for number in range(101)]


@pytest.mark.kafka
async def test_missing_topics_are_named_at_the_start(kafka_broker: str, unique_id: str, tmp_path: Path) -> None:
    await create(kafka_broker, f"{unique_id}-actions")
    topics = {"actions_topic": f"{unique_id}-actions", "trades_topic": f"{unique_id}-trades"}
    emitter = KafkaEmitter(kafka_broker, **topics, buffer_dir=tmp_path)
    with pytest.raises(BadConfig, match=rf"topics {unique_id}-trades do not exist at .*: leverloop topics create"):
        await emitter.__aenter__()
    await create(kafka_broker, f"{unique_id}-trades")
    async with emitter:  # and it holds nothing that keeps a second try from working
        emitter.log_trade(trade(0))


async def test_an_emitter_that_is_not_open_takes_nothing(tmp_path: Path) -> None:
    emitter = KafkaEmitter("127.0.0.1:9", buffer_dir=tmp_path)
    with pytest.raises(InvariantBroken, match="not open: use it as a context manager"):
        emitter.log_action(action(0))
    with pytest.raises(InvariantBroken, match="never open"):
        emitter.status()
    await emitter.close()  # nothing to give up
    assert left_in(tmp_path, "*") == []


def test_a_buffer_too_small_for_an_event_is_refused() -> None:
    with pytest.raises(BadConfig, match="buffer_bytes: expected at least 1048576, was 1000"):
        KafkaEmitter("127.0.0.1:9", buffer_bytes=1000)


def test_the_default_directory_tells_brokers_apart() -> None:
    paths = [KafkaEmitter(url)._directory for url in ("kafka://a", "kafka://b:19092;kafka://c")]
    assert paths == [Path(".leverloop/emit/a_9092"), Path(".leverloop/emit/b_19092+c_9092")]


@pytest.mark.kafka
async def test_an_event_that_the_engine_would_refuse_for_its_size_is_refused_here(
    kafka_broker: str, unique_id: str, tmp_path: Path
) -> None:
    await create(kafka_broker, unique_id)
    async with KafkaEmitter(
        kafka_broker, actions_topic=unique_id, trades_topic=unique_id, buffer_dir=tmp_path
    ) as emitter:
        huge = action(0)
        huge.scope["curator"] = "x" * 70_000
        with pytest.raises(BadInput, match="at most 65536 bytes"):
            emitter.log_action(huge)
    assert await read(kafka_broker, unique_id) == []


def _actions(broker: DevBroker) -> tuple[str, str]:
    return broker.bootstrap, ACTIONS_TOPIC
