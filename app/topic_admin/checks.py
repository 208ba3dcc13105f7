"""What a topic must be like, and what is wrong with one that is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from leverloop.errors import BadConfig
from streams.topics import TopicSpec

__all__ = ["FoundTopic", "Problem", "Replication", "nothing_there", "problems_of", "topic_config"]

_FOREVER_MS: Final = -1


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """Copies of every partition, and how many must have a record before it is acknowledged.

    Three and two survive the loss of a broker, both of records and of service; a single broker takes one
    and one, and loses what it acknowledged with its disk.
    """

    factor: int = 3
    min_insync: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.min_insync <= self.factor:
            raise BadConfig(
                f"expected 1 <= min.insync.replicas <= replication factor, were {self.min_insync} and {self.factor}: "
                "more in-sync replicas than there are copies would refuse every write"
            )


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a topic is not what it must be."""

    topic: str
    expected: str
    found: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.topic}: expected {self.expected}, found {self.found}; {self.way_out}"


class FoundTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is."""

    partitions: int
    replicas: int | None
    """Copies of the partition that has the fewest; None where the log keeps none by design."""
    config: dict[str, str]
    """What holds for the topic, set on it or inherited; a key is left out where the log has no such thing."""


def topic_config(spec: TopicSpec, replication: Replication) -> dict[str, str]:
    """Kafka's configuration of a topic.

    Examples
    --------
    >>> topic_config(TopicSpec(name="t", partitions=1, cleanup="compact"), Replication())
    {'cleanup.policy': 'compact', 'min.insync.replicas': '2', 'unclean.leader.election.enable': 'false'}
    """
    config = {
        "cleanup.policy": spec.cleanup,
        "min.insync.replicas": str(replication.min_insync),
        "unclean.leader.election.enable": "false",
    }
    if spec.cleanup == "delete":
        config |= {"retention.ms": str(spec.retention_ms), "retention.bytes": "-1"}
    if spec.max_message_bytes is not None:
        config["max.message.bytes"] = str(spec.max_message_bytes)
    if spec.compression != "producer":
        config["compression.type"] = spec.compression
    return config


def nothing_there(specs: Sequence[TopicSpec]) -> Problem:
    """One problem for topics of which none exists: nobody has created them yet."""
    return Problem(
        topic=f"{specs[0].name} and {len(specs) - 1} more",
        expected="topics",
        found="none of those names",
        way_out="create them: leverloop topics create",
    )


def problems_of(
    spec: TopicSpec,
    found: FoundTopic | None,
    *,
    replication: Replication,
    enough_retention_ms: int = _FOREVER_MS,
) -> Iterator[Problem]:
    """Problems of one topic, None where it does not exist; parameters as for `verify_topics`."""
    if found is None:
        way_out = "create it: leverloop topics create"
        yield Problem(topic=spec.name, expected="a topic", found="none of that name", way_out=way_out)
        return
    if found.partitions != spec.partitions:
        yield Problem(
            topic=spec.name,
            expected=f"{spec.partitions} partitions",
            found=str(found.partitions),
            way_out="set LEVERLOOP_PARTITIONS to what the inputs have, or move to new topics and replay: "
            "partitions are not added to a topic in use, its keys would change place",
        )
    if found.replicas is not None and found.replicas < replication.factor:
        yield Problem(
            topic=spec.name,
            expected=f"{replication.factor} replicas of every partition",
            found=str(found.replicas),
            way_out="add replicas with kafka-reassign-partitions.sh, or accept the risk with "
            f"LEVERLOOP_REPLICATION_FACTOR={found.replicas}",
        )
    for key, wanted, holds in _demands(spec, found.config, replication, enough_retention_ms):
        if not holds:
            yield Problem(
                topic=spec.name,
                expected=f"{key} {wanted}",
                found=found.config[key],
                way_out=f"kafka-configs.sh --alter --entity-type topics --entity-name {spec.name} "
                f"--add-config {key}={topic_config(spec, replication)[key]}",
            )


def _demands(
    spec: TopicSpec, config: Mapping[str, str], replication: Replication, enough_retention_ms: int
) -> Iterator[tuple[str, str, bool]]:
    """Yield (key, what it must be, whether it is so) for every key the log knows."""
    if "cleanup.policy" in config:
        yield "cleanup.policy", spec.cleanup, config["cleanup.policy"] == spec.cleanup
    if spec.cleanup == "delete" and "retention.ms" in config:
        least_ms = enough_retention_ms if spec.retention_ms == _FOREVER_MS else spec.retention_ms
        kept_ms = int(config["retention.ms"])
        wanted = "-1 (for ever)" if least_ms == _FOREVER_MS else f"of {least_ms} or more, or -1"
        yield "retention.ms", wanted, kept_ms == _FOREVER_MS or kept_ms >= least_ms != _FOREVER_MS
    if spec.cleanup == "delete" and "retention.bytes" in config:
        yield "retention.bytes", "-1 (whatever the size)", config["retention.bytes"] == "-1"
    if spec.max_message_bytes is not None and "max.message.bytes" in config:
        wanted = f"of {spec.max_message_bytes} or more"
        yield "max.message.bytes", wanted, int(config["max.message.bytes"]) >= spec.max_message_bytes
    if "min.insync.replicas" in config:
        wanted = f"of {replication.min_insync} or more"
        yield "min.insync.replicas", wanted, int(config["min.insync.replicas"]) >= replication.min_insync
    if "unclean.leader.election.enable" in config:
        key = "unclean.leader.election.enable"
        yield key, "false (a lagging replica as leader forgets records)", config[key] == "false"
