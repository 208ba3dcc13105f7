"""Topics of the embedded log: created once, verified, left alone where they are somebody else's."""

from pathlib import Path

import pytest

from app.topic_admin import Replication, create_topics, require_topics, verify_topics
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import BadConfig
from streams.topics import TopicSpec, layout

PRODUCTION = Replication()  # without meaning here, and no problem either


async def test_layout_is_created_once_and_then_verified(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/new folder/log.db"
    specs = layout(app_id="leverloop", partitions=4)
    assert await create_topics(url, specs, replication=PRODUCTION) == [spec.name for spec in specs]
    assert await verify_topics(url, specs, replication=PRODUCTION) == []
    assert await create_topics(url, specs, replication=PRODUCTION) == []


async def test_before_the_file_is_there_all_topics_are_missing_at_once_and_no_file_is_made(tmp_path: Path) -> None:
    specs = layout(app_id="leverloop", partitions=4)
    url = f"embedded://{tmp_path}/log.db"
    (problem,) = await verify_topics(url, specs, replication=PRODUCTION)
    more = f"{specs[0].name} and {len(specs) - 1} more"
    way_out = "create them: leverloop topics create"
    assert str(problem) == f"{more}: expected topics, found none of those names; {way_out}"
    (alone,) = await verify_topics(url, specs[:1], replication=PRODUCTION)
    assert (alone.topic, alone.found) == (specs[0].name, "none of that name")
    assert not (tmp_path / "log.db").exists()


async def test_every_departure_is_seen_and_left_as_it_is(tmp_path: Path) -> None:
    with EmbeddedLog(tmp_path / "log.db") as log:
        log.create_topic("few", 2, {"cleanup.policy": "compact"})
        log.create_topic("forgets", 4, {"cleanup.policy": "delete", "retention.ms": "3600000"})
        log.create_topic("plain", 4)
    specs = [
        TopicSpec(name="few", partitions=4, cleanup="compact"),
        TopicSpec(name="forgets", partitions=4, cleanup="delete"),
        TopicSpec(name="plain", partitions=4, cleanup="delete"),
    ]
    url = f"embedded://{tmp_path}/log.db"
    assert await create_topics(url, specs, replication=PRODUCTION) == []
    found = await verify_topics(url, specs, replication=PRODUCTION)
    assert [(problem.topic, problem.expected, problem.found) for problem in found] == [
        ("few", "4 partitions", "2"),
        ("forgets", "retention.ms -1 (for ever)", "3600000"),
    ]
    with pytest.raises(
        BadConfig, match=r"not fit to work on:\n- few: expected 4 partitions, found 2; (.|\n)*- forgets:"
    ):
        await require_topics(url, specs, replication=PRODUCTION)
    assert await verify_topics(url, specs[1:], replication=PRODUCTION, enough_retention_ms=3_600_000) == []


@pytest.mark.parametrize("url", ["pigeon://roof", "embedded://", "", "/var/log.db"])
async def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match=r"broker URL .*: expected (kafka|embedded)://"):
        await verify_topics(url, [], replication=PRODUCTION)
