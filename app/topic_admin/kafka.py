"""Topics of a Kafka cluster, through aiokafka's admin client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from app.topic_admin.checks import FoundTopic, Replication, topic_config
from leverloop.errors import BadConfig, Unavailable
from streams.topics import TopicSpec

__all__ = ["KafkaTopics"]

_USABLE_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.02
_REQUEST_TIMEOUT_MS: Final = 15_000


class KafkaTopics:
    """See `app.topic_admin.store.TopicStore`.

    Parameters
    ----------
    addresses
        ``host:port`` of some brokers; the rest are found through them.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._admin: Any = None

    async def create(self, specs: Sequence[TopicSpec], replication: Replication) -> list[str]:
        """Create the topics that do not exist, return their names when they have leaders."""
        wanted = [
            NewTopic(spec.name, spec.partitions, replication.factor, topic_configs=topic_config(spec, replication))
            for spec in specs
        ]
        try:
            answer = await (await self._client()).create_topics(wanted)
        except KafkaError as error:
            raise self._unavailable(error) from error
        created = []
        refused = []
        for topic, code, reason in answer.topic_errors:
            if code == 0:
                created.append(topic)
            elif code != TopicAlreadyExistsError.errno:
                refused.append(f"- {topic}: {reason or for_code(code).__name__}")
        if refused:
            raise BadConfig(
                f"Kafka at {', '.join(self._addresses)} refused topics as asked for "
                f"(replication factor {replication.factor}, min.insync.replicas {replication.min_insync}):\n"
                + "\n".join(refused)
            )
        await self._await_leaders(specs)
        return created

    async def find(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        """Those of the named topics that exist."""
        try:
            admin = await self._client()
            described = await admin.describe_topics(list(names))
            there = [topic for topic in described if topic["error_code"] != UnknownTopicOrPartitionError.errno]
            resources = [ConfigResource(ConfigResourceType.TOPIC, topic["topic"]) for topic in there]
            answers = await admin.describe_configs(resources) if resources else []
        except KafkaError as error:
            raise self._unavailable(error) from error
        config = {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]}
            for answer in answers
            for resource in answer.resources
        }
        return {
            topic["topic"]: FoundTopic(
                partitions=len(topic["partitions"]),
                replicas=min((len(partition["replicas"]) for partition in topic["partitions"]), default=0),
                config=config[topic["topic"]],
            )
            for topic in there
        }

    async def close(self) -> None:
        """Give up the connections."""
        if self._admin is not None:
            await self._admin.close()
            self._admin = None

    async def _client(self) -> Any:
        if self._admin is None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._addresses, request_timeout_ms=_REQUEST_TIMEOUT_MS)
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._admin

    async def _await_leaders(self, specs: Sequence[TopicSpec]) -> None:
        """Wait until clients can use the topics: the controller answers before the brokers know of them."""
        admin = await self._client()
        names = [spec.name for spec in specs]
        try:
            async with asyncio.timeout(_USABLE_WITHIN_S):
                while not all(map(_is_led, await admin.describe_topics(names))):  # noqa: ASYNC110  # Kafka tells nobody
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise Unavailable(
                f"Kafka at {', '.join(self._addresses)} took the topics, but has no leaders for them "
                f"after {_USABLE_WITHIN_S:.0f} s: look at its log"
            ) from error
        except KafkaError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: KafkaError) -> Unavailable:
        return Unavailable(f"Kafka at {', '.join(self._addresses)} does not answer: {error!r}", retry_after_s=5.0)


def _is_led(topic: dict[str, Any]) -> bool:
    partitions = topic["partitions"]
    return topic["error_code"] == 0 and all(p["error_code"] == 0 and p["leader"] >= 0 for p in partitions)
