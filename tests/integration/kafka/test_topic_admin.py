"""Topics on real Kafka: the layout is created as it is demanded, and every departure is seen."""

import socket
import time

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.devbroker import DevBroker
from app.topic_admin import Problem, Replication, create_topics, require_topics, verify_topics
from leverloop.errors import BadConfig, Unavailable
from streams.topics import TopicSpec, layout

pytestmark = pytest.mark.kafka
ONE = Replication(factor=1, min_insync=1)
CREATE_WITHIN_S = 10.0


async def test_layout_is_created_once_and_then_verified(own_kafka_broker: DevBroker) -> None:
    url = f"kafka://{own_kafka_broker.bootstrap}"
    specs = layout(app_id="leverloop", partitions=8)
    began_s = time.monotonic()
    assert await create_topics(url, specs, replication=ONE) == [spec.name for spec in specs]
    assert await verify_topics(url, specs, replication=ONE) == []
    assert time.monotonic() - began_s < CREATE_WITHIN_S
    await require_topics(url, specs, replication=ONE)
    assert await create_topics(url, specs, replication=ONE) == []


async def test_topics_survive_the_broker(own_kafka_broker: DevBroker) -> None:
    url = f"kafka://{own_kafka_broker.bootstrap}"
    specs = layout(app_id="leverloop", partitions=3)
    await create_topics(url, specs, replication=ONE)
    own_kafka_broker.kill()
    own_kafka_broker.restart()
    assert await verify_topics(url, specs, replication=ONE) == []


async def test_every_departure_is_seen(kafka_broker: str, unique_id: str) -> None:
    compacted = TopicSpec(name=f"{unique_id}-compacted", partitions=2, cleanup="compact", max_message_bytes=4 << 20)
    kept = TopicSpec(name=f"{unique_id}-kept", partitions=1, cleanup="delete")
    missing = TopicSpec(name=f"{unique_id}-missing", partitions=1, cleanup="delete")
    url = f"kafka://{kafka_broker}"
    await create_topics(url, [compacted, kept], replication=ONE)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker)
    await admin.start()
    try:
        await admin.create_partitions({compacted.name: NewPartitions(3)})
        settings = {
            compacted.name: {"cleanup.policy": "compact,delete", "max.message.bytes": "1000"},
            kept.name: {"retention.ms": "3600000", "unclean.leader.election.enable": "true"},
        }
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, config) for topic, config in settings.items()]
        )
    finally:
        await admin.close()

    specs = [compacted, kept, missing]
    found = await verify_topics(url, specs, replication=Replication())
    assert [(problem.topic.removeprefix(f"{unique_id}-"), *_what(problem)) for problem in found] == [
        ("compacted", "2 partitions", "3"),
        ("compacted", "3 replicas of every partition", "1"),
        ("compacted", "cleanup.policy compact", "compact,delete"),
        ("compacted", "max.message.bytes of 4194304 or more", "1000"),
        ("compacted", "min.insync.replicas of 2 or more", "1"),
        ("kept", "3 replicas of every partition", "1"),
        ("kept", "retention.ms -1 (for ever)", "3600000"),
        ("kept", "min.insync.replicas of 2 or more", "1"),
        ("kept", "unclean.leader.election.enable false (a lagging replica as leader forgets records)", "true"),
        ("missing", "a topic", "none of that name"),
    ]
    enough = await verify_topics(url, [kept], replication=ONE, enough_retention_ms=3_600_000)
    assert [_what(problem)[1] for problem in enough] == ["true"]
    with pytest.raises(BadConfig) as refused:
        await require_topics(url, specs, replication=Replication())
    assert str(refused.value).splitlines() == [
        f"the topics at {url} are not fit to work on:",
        *(f"- {problem}" for problem in found),
    ]


async def test_three_copies_on_one_broker_are_refused_with_kafkas_reason(kafka_broker: str, unique_id: str) -> None:
    spec = TopicSpec(name=unique_id, partitions=1, cleanup="delete")
    with pytest.raises(BadConfig, match=r"replication factor 3(?s:.)*only 1 broker\(s\) are registered"):
        await create_topics(f"kafka://{kafka_broker}", [spec], replication=Replication())


async def test_a_topic_of_somebody_else_is_left_as_it_is(kafka_broker: str, unique_id: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(unique_id, num_partitions=5, replication_factor=1)])
    finally:
        await admin.close()
    spec = TopicSpec(name=unique_id, partitions=2, cleanup="delete")
    new = msgspec.structs.replace(spec, name=f"{unique_id}-new")
    assert await create_topics(f"kafka://{kafka_broker}", [spec, new], replication=ONE) == [new.name]
    (problem,) = await verify_topics(f"kafka://{kafka_broker}", [spec, new], replication=ONE)
    assert _what(problem) == ("2 partitions", "5")


async def test_a_broker_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"kafka://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:\d+ does not answer: KafkaConnectionError"):
            await verify_topics(url, layout(app_id="leverloop", partitions=1), replication=ONE)


def _what(problem: Problem) -> tuple[str, str]:
    return problem.expected, problem.found
