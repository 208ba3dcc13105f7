"""Laws of the check: what was made to order has no problem, and every single departure is found and named."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.topic_admin.checks import FoundTopic, Problem, Replication, problems_of, topic_config
from leverloop.errors import BadConfig
from streams.topics import TopicSpec, layout

DAY_MS = 86_400_000
KAFKA_DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
}
TWO_OF_THREE = Replication()

specs = st.builds(
    TopicSpec,
    name=st.from_regex(r"[a-z]+(\.[a-z]+)?", fullmatch=True),
    partitions=st.integers(1, 64),
    cleanup=st.sampled_from(["delete", "compact"]),
    retention_ms=st.just(-1) | st.integers(1, 1000 * DAY_MS),
    max_message_bytes=st.none() | st.integers(2 << 20, 64 << 20),
    compression=st.sampled_from(["producer", "zstd"]),
)
replications = st.integers(1, 5).flatmap(
    lambda factor: st.builds(Replication, factor=st.just(factor), min_insync=st.integers(1, factor))
)


def as_created(spec: TopicSpec, replication: Replication, **changed: Any) -> FoundTopic:
    """The topic as Kafka has it after it was created to order."""
    topic = FoundTopic(
        partitions=spec.partitions,
        replicas=replication.factor,
        config=KAFKA_DEFAULTS | topic_config(spec, replication),
    )
    return msgspec.structs.replace(topic, **changed)


def problems(spec: TopicSpec, found: FoundTopic | None, **options: Any) -> list[Problem]:
    return list(problems_of(spec, found, **{"replication": TWO_OF_THREE} | options))


@given(specs, replications)
def test_a_topic_created_to_order_has_no_problem(spec: TopicSpec, replication: Replication) -> None:
    assert problems(spec, as_created(spec, replication), replication=replication) == []


@given(specs, replications)
def test_more_than_demanded_is_no_problem(spec: TopicSpec, replication: Replication) -> None:
    found = as_created(spec, replication, replicas=replication.factor + 1)
    found.config["min.insync.replicas"] = str(replication.min_insync + 1)
    found.config["max.message.bytes"] = str(1 << 30)
    if spec.cleanup == "delete":
        found.config["retention.ms"] = "-1"
    assert problems(spec, found, replication=replication) == []


@given(specs, st.integers(1, 64))
def test_any_other_number_of_partitions_is_a_problem(spec: TopicSpec, partitions: int) -> None:
    found = problems(spec, as_created(spec, TWO_OF_THREE, partitions=partitions))
    assert [problem.expected for problem in found] == (
        [] if partitions == spec.partitions else [f"{spec.partitions} partitions"]
    )


@given(specs, st.sampled_from(["delete", "compact", "compact,delete"]))
def test_any_other_cleanup_policy_is_a_problem(spec: TopicSpec, policy: str) -> None:
    found = as_created(spec, TWO_OF_THREE)
    found.config["cleanup.policy"] = policy
    assert ["cleanup.policy" in problem.expected for problem in problems(spec, found)] == (
        [] if policy == spec.cleanup else [True]
    )


@given(specs, st.just(-1) | st.integers(1, 1000 * DAY_MS), st.just(-1) | st.integers(1, 1000 * DAY_MS))
def test_retention_is_long_enough_or_a_problem(spec: TopicSpec, kept_ms: int, enough_ms: int) -> None:
    found = as_created(spec, TWO_OF_THREE)
    found.config["retention.ms"] = str(kept_ms)
    least_ms = enough_ms if spec.retention_ms == -1 else spec.retention_ms
    infinity = float("inf")
    fine = spec.cleanup == "compact" or (infinity if kept_ms == -1 else kept_ms) >= (
        infinity if least_ms == -1 else least_ms
    )
    assert ["retention.ms" in p.expected for p in problems(spec, found, enough_retention_ms=enough_ms)] == (
        [] if fine else [True]
    )


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("retention.bytes", "1000", "expected retention.bytes -1 (whatever the size), found 1000"),
        ("max.message.bytes", "1048588", "expected max.message.bytes of 33554432 or more, found 1048588"),
        ("min.insync.replicas", "1", "expected min.insync.replicas of 2 or more, found 1"),
        ("unclean.leader.election.enable", "true", "(a lagging replica as leader forgets records), found true"),
    ],
)
def test_each_setting_is_named_with_the_command_that_sets_it_right(key: str, value: str, says: str) -> None:
    spec = TopicSpec(name="leverloop.snapshots", partitions=1, cleanup="delete", max_message_bytes=32 << 20)
    found = as_created(spec, TWO_OF_THREE)
    right = found.config[key]
    found.config[key] = value
    (problem,) = problems(spec, found)
    assert says in str(problem)
    assert problem.way_out.startswith(
        "kafka-configs.sh --alter --entity-type topics --entity-name leverloop.snapshots "
    )
    assert problem.way_out.endswith(f"--add-config {key}={right}")


def test_missing_topic_and_too_few_replicas_are_named_with_the_way_out() -> None:
    spec = TopicSpec(name="leverloop.actions", partitions=8, cleanup="delete")
    assert [str(problem) for problem in problems(spec, None)] == [
        "leverloop.actions: expected a topic, found none of that name; create it: leverloop topics create"
    ]
    (problem,) = problems(spec, as_created(spec, TWO_OF_THREE, replicas=1))
    assert (problem.expected, problem.found) == ("3 replicas of every partition", "1")
    assert "LEVERLOOP_REPLICATION_FACTOR=1" in problem.way_out


def test_a_log_without_replicas_or_settings_is_judged_by_its_partitions_alone() -> None:
    spec = TopicSpec(name="t", partitions=2, cleanup="compact", max_message_bytes=32 << 20)
    assert problems(spec, FoundTopic(partitions=2, replicas=None, config={})) == []
    assert len(problems(spec, FoundTopic(partitions=3, replicas=None, config={}))) == 1


def test_every_default_topic_of_the_layout_is_created_durable() -> None:
    for spec in layout(app_id="leverloop", partitions=8):
        config = topic_config(spec, TWO_OF_THREE)
        assert config["min.insync.replicas"] == "2"
        assert config.get("retention.bytes", "-1") == "-1"
        assert ("retention.ms" in config) == (spec.cleanup == "delete")


@pytest.mark.parametrize(("factor", "min_insync"), [(1, 2), (3, 0), (0, 0)])
def test_replication_that_refuses_every_write_is_refused(factor: int, min_insync: int) -> None:
    with pytest.raises(BadConfig, match=f"were {min_insync} and {factor}: more in-sync replicas"):
        Replication(factor=factor, min_insync=min_insync)
