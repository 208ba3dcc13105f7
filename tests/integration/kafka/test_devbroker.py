"""The development broker is a broker: it keeps what it acknowledged, and it never outlives its parent."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.devbroker import DevBroker
from leverloop.errors import InvariantBroken, Unavailable

pytestmark = pytest.mark.kafka
GONE_WITHIN_S = 20.0


async def test_session_broker_takes_and_gives_records(kafka_broker: str, unique_id: str) -> None:
    await _create(kafka_broker, unique_id)
    await _write(kafka_broker, unique_id, [b"one", b"two"])
    assert await _read(kafka_broker, unique_id) == [b"one", b"two"]


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_same_directory_and_address_keep_every_acknowledged_record(own_kafka_broker: DevBroker, how: str) -> None:
    address = own_kafka_broker.bootstrap
    await _create(address, "kept")
    await _write(address, "kept", [b"%d" % i for i in range(100)])
    {"stop": own_kafka_broker.stop, "kill": own_kafka_broker.kill}[how]()
    assert not _listens(address)
    assert own_kafka_broker.restart().bootstrap == address
    assert await _read(address, "kept") == [b"%d" % i for i in range(100)]


async def test_data_may_move_to_another_port(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    before = own_kafka_broker.bootstrap
    await _create(before, "kept")
    await _write(before, "kept", [b"x"])
    own_kafka_broker.stop()
    own_kafka_broker.start(tmp_path / "kafka")
    assert own_kafka_broker.bootstrap != before
    assert await _read(own_kafka_broker.bootstrap, "kept") == [b"x"]


async def test_nobody_creates_a_topic_by_writing_to_it(kafka_broker: str, unique_id: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([unique_id])
        assert described["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION
        assert unique_id not in await admin.list_topics()
    finally:
        await admin.close()


def test_broker_dies_with_a_parent_that_is_killed(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    own_kafka_broker.stop()  # the fixture has seen to it that there is Java; this test wants a broker of another process
    program = (
        "import pathlib, sys; from app.devbroker import DevBroker;"
        "print(DevBroker().start(pathlib.Path(sys.argv[1])).pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "other")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        broker = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert not select.select([broker], [], [], 0)[0]  # it lives
            parent.kill()
            assert select.select([broker], [], [], GONE_WITHIN_S)[0] == [broker]
        finally:
            os.close(broker)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_no_process_is_left_behind(own_kafka_broker: DevBroker, how: str) -> None:
    group = os.getpgid(own_kafka_broker.pid)
    os.killpg(group, 0)  # it is there
    {"stop": own_kafka_broker.stop, "kill": own_kafka_broker.kill}[how]()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_second_broker_is_kept_off_the_data(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"another broker runs on .*/kafka: stop it, or take another directory"):
        DevBroker().start(tmp_path / "kafka")
    own_kafka_broker.stop()
    DevBroker().start(tmp_path / "kafka").stop()


def test_a_broker_that_cannot_start_says_why(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    taken = int(own_kafka_broker.bootstrap.rpartition(":")[2])
    second = DevBroker()
    with pytest.raises(Unavailable, match=r"exit code 1 .*Address already in use"):
        second.start(tmp_path / "other", port=taken)
    second.start(tmp_path / "other").stop()


def test_a_started_broker_is_not_started_twice(own_kafka_broker: DevBroker, tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken, match="runs already"):
        own_kafka_broker.start(tmp_path / "kafka")


def test_foreground_command_prints_its_address_and_stops_on_sigterm(
    own_kafka_broker: DevBroker, tmp_path: Path
) -> None:
    own_kafka_broker.stop()
    with subprocess.Popen(
        [sys.executable, "-m", "app.devbroker", str(tmp_path / "other"), "--port", "0"], stdout=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        address = command.stdout.readline().decode().strip()
        assert _listens(address)
        command.send_signal(signal.SIGTERM)
        assert command.wait(GONE_WITHIN_S) == 0
        assert not _listens(address)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def _create(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _write(address: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        for sent in [await producer.send(topic, value) for value in values]:
            await sent


async def _read(address: str, topic: str) -> list[bytes]:
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        return [(await consumer.getone()).value for _ in range(end)]
