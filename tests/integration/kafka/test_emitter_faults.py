"""What keeps an emitter from its brokers, for real: nothing that was taken is lost, and the order stays."""

import asyncio
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.devbroker import DevBroker
from leverloop import open_blocking_emitter
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC, EmitterStatus
from leverloop.emit.blocking import BlockingEmitter
from leverloop.emit.kafka import KafkaEmitter
from leverloop.emit.refused import REFUSED_BYTES
from leverloop.errors import Unavailable
from leverloop.events import parse_action
from tests.integration.kafka.test_emitter import AT_MS, DEFAULTS, action, trade
from tests.integration.kafka.topics import admin_of, create, read

pytestmark = pytest.mark.kafka
PATIENCE_S = 90.0  # of a machine that does other things too

LOGGING_PM = """
import asyncio, sys
from leverloop.emit.kafka import KafkaEmitter
from leverloop.events import ActionLogged

async def run():
    address, directory, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
    async with KafkaEmitter(address, buffer_dir=directory, start_timeout_s=1.0) as emitter:
        for number in range(most):
            emitter.log_action(ActionLogged(
                action_id=f"a{number:06d}", trade_id="t000000", module="pm", pattern_key="pm.uptrend.S1.buy_flag",
                action_type="add", event_at_ms=1_750_000_000_000 + number, scope={"timeframe": "1h"},
            ))
            print(number, flush=True)
            await asyncio.sleep(0)
        await asyncio.Event().wait()

asyncio.run(run())
"""


async def test_no_broker_at_the_start(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    await asyncio.to_thread(own_kafka_broker.stop)
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "buffer") as emitter:
        for number in range(100):
            emitter.log_action(action(number))
        status = emitter.status()
        assert (status.waiting_count, status.sent_count, status.connected) == (100, 0, False)
        assert f"Kafka at {own_kafka_broker.bootstrap} does not answer: KafkaConnectionError" in status.trouble
        with pytest.raises(Unavailable, match=r"100 events are not acknowledged by .* after 0\.1 s .*kept in .*buffer"):
            await emitter.flush(0.1)
        await asyncio.to_thread(own_kafka_broker.restart)
        await emitter.flush(PATIENCE_S)
        status = emitter.status()
        assert (status.waiting_count, status.sent_count, status.trouble) == (0, 100, "")
    assert await _action_ids(own_kafka_broker.bootstrap) == _ids(100)


async def test_a_broker_lost_for_longer_than_it_waits_and_back(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "b", stall_timeout_s=2.0) as emitter:
        for number in range(100):
            emitter.log_action(action(number))
        await emitter.flush(PATIENCE_S)
        await asyncio.to_thread(own_kafka_broker.kill)
        for number in range(100, 200):
            emitter.log_action(action(number))
        await _until(emitter, lambda status: "does not answer" in status.trouble)  # it has given the producer up
        for number in range(200, 300):
            emitter.log_action(action(number))
        await asyncio.to_thread(own_kafka_broker.restart)
        await emitter.flush(PATIENCE_S)
        assert emitter.status().sent_count == 300
    found = await _action_ids(own_kafka_broker.bootstrap)
    assert _first_of_each(found) == _ids(300)  # what was in flight may be there twice


async def test_brokers_that_come_back_at_another_address(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    before = own_kafka_broker.bootstrap
    await create(before, *DEFAULTS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"kafka://{before};kafka://127.0.0.1:{port}"
    async with KafkaEmitter(url, buffer_dir=tmp_path / "buffer", stall_timeout_s=2.0) as emitter:
        emitter.log_action(action(0))
        await emitter.flush(PATIENCE_S)
        await asyncio.to_thread(own_kafka_broker.stop)
        emitter.log_action(action(1))
        await asyncio.to_thread(lambda: own_kafka_broker.start(tmp_path / "kafka", port=port))
        await emitter.flush(PATIENCE_S)
    assert _first_of_each(await _action_ids(own_kafka_broker.bootstrap)) == _ids(2)


async def test_a_process_killed_while_the_broker_is_away(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    await asyncio.to_thread(own_kafka_broker.stop)
    logged = await asyncio.to_thread(_killed_after, own_kafka_broker.bootstrap, tmp_path / "buffer", 500)
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "buffer") as emitter:
        status = emitter.status()
        assert logged <= status.recovered_count == status.waiting_count <= 1_000
        assert (status.sent_count, status.connected) == (0, False)
        emitter.log_action(action(5_000))
        await asyncio.to_thread(own_kafka_broker.restart)
        await emitter.flush(PATIENCE_S)
    found = await _action_ids(own_kafka_broker.bootstrap)
    assert found == [*_ids(status.recovered_count), "a005000"]


async def test_a_process_killed_while_it_sends(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    chance = random.Random(7)
    logged = await asyncio.to_thread(
        _killed_after, own_kafka_broker.bootstrap, tmp_path / "buffer", chance.randint(2_000, 4_000), most=20_000
    )
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "buffer") as emitter:
        await emitter.flush(PATIENCE_S)
    found = _first_of_each(await _action_ids(own_kafka_broker.bootstrap))
    assert found == _ids(len(found))  # in order, none missing in between
    assert len(found) >= logged  # and none of those that `log_action` had returned for


async def test_a_clean_stop_without_a_broker_leaves_all_to_the_next_start(
    own_kafka_broker: DevBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    options = {"buffer_dir": tmp_path / "buffer", "close_timeout_s": 0.2, "start_timeout_s": 1.0}
    with caplog.at_level(logging.WARNING, logger="leverloop.emit"):
        async with KafkaEmitter(own_kafka_broker.bootstrap, **options) as emitter:
            emitter.log_action(action(0))
            await emitter.flush(PATIENCE_S)
            await asyncio.to_thread(own_kafka_broker.kill)
            for number in range(1, 50):
                emitter.log_action(action(number))
    assert emitter.status().waiting_count == 49
    assert "events_left: 49 events are not acknowledged" in caplog.text
    await asyncio.to_thread(own_kafka_broker.restart)
    async with KafkaEmitter(own_kafka_broker.bootstrap, **options) as emitter:
        assert emitter.status().recovered_count == 49
        await emitter.flush(PATIENCE_S)
    assert _first_of_each(await _action_ids(own_kafka_broker.bootstrap)) == _ids(50)


async def test_a_full_buffer_is_said_and_takes_again_when_the_broker_is_back(
    own_kafka_broker: DevBroker, tmp_path: Path
) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    await asyncio.to_thread(own_kafka_broker.stop)
    options = {"buffer_dir": tmp_path / "buffer", "buffer_bytes": 1024 * 1024, "start_timeout_s": 1.0}
    async with KafkaEmitter(own_kafka_broker.bootstrap, **options) as emitter:
        taken = 0
        while not emitter.status().untaken_count:
            try:
                emitter.log_action(action(taken))
                taken += 1
            except Unavailable as error:
                said = str(error)
        status = emitter.status()
        assert f"buffer full: {tmp_path}/buffer has {status.buffer_bytes} bytes, the limit is 1048576" in said
        assert f"{taken} events wait for {own_kafka_broker.bootstrap}: Kafka at" in said
        assert (status.taken_count, status.waiting_count, status.untaken_count) == (taken, taken, 1)
        await asyncio.to_thread(own_kafka_broker.restart)
        await emitter.flush(PATIENCE_S)
        emitter.log_action(action(taken))
    assert await _action_ids(own_kafka_broker.bootstrap) == _ids(taken + 1)


async def test_an_event_that_its_topic_never_takes_holds_up_no_other(
    kafka_broker: str, unique_id: str, tmp_path: Path
) -> None:
    await create(kafka_broker, unique_id, max_message_bytes="3000")
    noise = random.Random(3).randbytes(20_000).hex()  # what compresses is small enough
    huge = {number: action(number) for number in (20, 41)}
    for event in huge.values():
        event.scope["curator"] = noise
    async with KafkaEmitter(
        kafka_broker, actions_topic=unique_id, trades_topic=unique_id, buffer_dir=tmp_path
    ) as emitter:
        for number in range(60):
            emitter.log_action(huge.get(number, action(number)))
        await emitter.flush(PATIENCE_S)
        status = emitter.status()
        assert (status.sent_count, status.refused_count, status.waiting_count) == (58, 2, 0)
        emitter.log_action(action(60))
    found = await _action_ids(kafka_broker, unique_id)
    assert _first_of_each(found) == [name for name in _ids(61) if name not in {"a000020", "a000041"}]
    lines = [json.loads(line) for line in _lines(tmp_path / "refused.jsonl")]
    assert [line["event"]["action_id"] for line in lines] == ["a000020", "a000041"]
    assert all("MessageSizeTooLargeError" in line["reason"] and line["topic"] == unique_id for line in lines)


async def test_what_cannot_be_set_aside_stays_in_the_buffer(kafka_broker: str, unique_id: str, tmp_path: Path) -> None:
    await create(kafka_broker, unique_id, max_message_bytes="3000")
    huge = action(0)
    huge.scope["curator"] = random.Random(3).randbytes(20_000).hex()
    refused = tmp_path / "refused.jsonl"
    refused.touch()
    os.truncate(refused, REFUSED_BYTES)
    async with KafkaEmitter(
        kafka_broker, actions_topic=unique_id, trades_topic=unique_id, buffer_dir=tmp_path
    ) as emitter:
        emitter.log_action(huge)
        emitter.log_action(action(1))
        full = "cannot be set aside: MessageSizeTooLargeError"
        assert "the limit is" in (await _until(emitter, lambda status: full in status.trouble)).trouble
        assert emitter.status().waiting_count == 2
        refused.unlink()
        await emitter.flush(PATIENCE_S)
        assert (emitter.status().sent_count, emitter.status().refused_count) == (1, 1)
    assert [json.loads(line)["event"]["action_id"] for line in _lines(refused)] == ["a000000"]


async def test_topics_that_are_missing_when_the_broker_comes_are_said_and_waited_for(
    own_kafka_broker: DevBroker, tmp_path: Path
) -> None:
    await asyncio.to_thread(own_kafka_broker.stop)
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "b", start_timeout_s=1.0) as emitter:
        emitter.log_trade(trade(0))
        await asyncio.to_thread(own_kafka_broker.restart)
        await _until(emitter, lambda status: "leverloop topics create" in status.trouble)
        assert f"topics {ACTIONS_TOPIC}, {TRADES_TOPIC} do not exist" in emitter.status().trouble
        await create(own_kafka_broker.bootstrap, *DEFAULTS)
        await emitter.flush(PATIENCE_S)
    assert [record.key for record in await read(own_kafka_broker.bootstrap, TRADES_TOPIC)] == [b"t000000"]


async def test_a_broker_that_hangs_holds_up_neither_logging_nor_the_end(
    own_kafka_broker: DevBroker, tmp_path: Path
) -> None:
    await create(own_kafka_broker.bootstrap, *DEFAULTS)
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "b", close_timeout_s=0.2) as emitter:
        emitter.log_action(action(0))
        await emitter.flush(PATIENCE_S)
        os.kill(own_kafka_broker.pid, signal.SIGSTOP)  # its sockets stay open, and nobody answers
        for number in range(1, 200):
            emitter.log_action(action(number))
        await _until(emitter, lambda status: "no acknowledgement for" in status.trouble)
        begin_s = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begin_s < 8.0  # it takes 1.2 s, and a request's timeout is 10 s
    os.kill(own_kafka_broker.pid, signal.SIGCONT)
    async with KafkaEmitter(own_kafka_broker.bootstrap, buffer_dir=tmp_path / "b") as emitter:
        await emitter.flush(PATIENCE_S)
    assert _first_of_each(await _action_ids(own_kafka_broker.bootstrap)) == _ids(200)


async def test_a_clock_that_the_broker_does_not_believe_is_said_and_waited_for(
    kafka_broker: str, unique_id: str, tmp_path: Path
) -> None:
    limit = "message.timestamp.before.max.ms"  # here the broker is ahead: its side is the one that can be moved
    await create(kafka_broker, unique_id, **{limit: "1"})
    async with KafkaEmitter(
        kafka_broker, actions_topic=unique_id, trades_topic=unique_id, buffer_dir=tmp_path
    ) as emitter:
        for number in range(20):
            emitter.log_action(action(number))
        await _until(emitter, lambda status: "InvalidTimestampError" in status.trouble)
        assert emitter.status().refused_count == 0
        async with admin_of(kafka_broker) as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, unique_id, {limit: "3600000"})])
        await emitter.flush(PATIENCE_S)
    assert _first_of_each(await _action_ids(kafka_broker, unique_id)) == _ids(20)


def test_a_program_without_an_event_loop_logs_from_its_threads(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    address = own_kafka_broker.bootstrap
    asyncio.run(create(address, *DEFAULTS))

    def log(emitter: BlockingEmitter, first: int) -> None:
        for number in range(first, first + 250):
            emitter.log_action(action(number, trade=first))

    with open_blocking_emitter(f"kafka://{address}", buffer_dir=tmp_path / "buffer") as emitter:
        threads = [threading.Thread(target=log, args=(emitter, first)) for first in (0, 250, 500, 750)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        emitter.flush(PATIENCE_S)
        status = emitter.status()
        assert (status.taken_count, status.sent_count, status.waiting_count) == (1_000, 1_000, 0)
    found = asyncio.run(_action_ids(address))
    assert sorted(found) == _ids(1_000)
    for first in (0, 250, 500, 750):
        one = [name for name in found if first <= int(name[1:]) < first + 250]
        assert one == sorted(one)


def _killed_after(address: str, directory: Path, logged: int, most: int = 1_000) -> int:
    """Run a PM and kill it once it has logged so many; return how many it had logged for certain."""
    with subprocess.Popen(
        [sys.executable, "-c", LOGGING_PM, address, str(directory), str(most)], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if int(line) + 1 >= logged:
                break
        program.kill()
        after = [int(line) for line in program.stdout.read().split("\n") if line]
        assert program.wait() == -signal.SIGKILL
    return max([logged, *(number + 1 for number in after)])


async def _until(emitter: KafkaEmitter, holds: object) -> EmitterStatus:
    assert callable(holds)
    async with asyncio.timeout(PATIENCE_S):
        while not holds(status := emitter.status()):  # noqa: ASYNC110 - nobody tells of trouble
            await asyncio.sleep(0.05)
    return status


async def _action_ids(address: str, topic: str = ACTIONS_TOPIC) -> list[str]:
    records = await read(address, topic)
    return [parse_action(record.value, received_at_ms=AT_MS).action_id for record in records]


def _ids(count: int) -> list[str]:
    return [action(number).action_id for number in range(count)]


def _first_of_each(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
