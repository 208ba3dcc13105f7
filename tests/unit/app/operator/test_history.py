"""History: what was told of a module, on an embedded log; a module to choose, a version that is kept."""

from pathlib import Path
from typing import Any

import pytest

from app.operator.history import ModuleState, module_of, read_modules, read_version, read_versions, require_lesson, told
from app.topic_admin import Replication, create_topics
from learning.commands import ControlEvent
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.errors import BadConfig
from leverloop.heartbeat import Heartbeat, encode_heartbeat
from leverloop.snapshot import Snapshot, encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot
from streams.codec import encode
from streams.topics import CONTROL_EVENTS, LESSONS, OVERRIDES, SNAPSHOTS, layout


def event(command: str, outcome: Any, version: int | None = None, **fields: Any) -> ControlEvent:
    return ControlEvent(id="c", command=command, outcome=outcome, module="pm", version=version, **fields)


@pytest.mark.parametrize(
    ("events", "killed", "pinned"),
    [
        ([event("kill", "announced")], True, None),
        ([event("kill", "announced"), event("revive", "announced")], False, None),
        ([event("kill", "announced"), event("revive", "refused")], True, None),
        ([event("pin", "announced", of_version=3), event("epoch", "held")], False, 3),
        ([event("pin", "refused", of_version=3)], False, None),
        ([event("pin", "announced", of_version=3), event("unpin", "announced")], False, None),
        ([event("rollback", "announced", of_version=3)], False, None),
    ],
)
def test_the_last_that_was_done_holds(events: list[ControlEvent], killed: bool, pinned: int | None) -> None:
    state = ModuleState(module="pm")
    for each in events:
        told(state, each)
    assert (state.killed, state.pinned) == (killed, pinned)


def test_a_refusal_stands_until_an_epoch_is_not_refused() -> None:
    state, refusal = ModuleState(module="pm"), event("epoch", "refused", 4, reason="too far")
    told(state, refusal)
    told(state, event("kill", "announced", 5))
    assert state.refusal == refusal
    told(state, event("epoch", "held", 6))
    assert state.refusal is None


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A log with versions 1 to 3 of the PM, of which 2 was refused and 3 stands."""
    url = f"embedded://{tmp_path}/log.db"
    await create_topics(url, layout(app_id="test", partitions=1), replication=Replication(factor=1, min_insync=1))
    one, two, three = (
        make_snapshot(make_override({"size_mult": 1.0 + 0.1 * n}, {"bucket": "micro"}), version=n) for n in (1, 2, 3)
    )
    beat = Heartbeat(version=3, content_hash=three.content_hash, valid_until_ms=7)
    with EmbeddedLog(tmp_path / "log.db") as log:
        log.append(
            [
                *(record(SNAPSHOTS, f"pm/{each.version}", encode_snapshot(each)) for each in (one, two, two, three)),
                record(CONTROL_EVENTS, "a", encode(event("epoch", "announced", 1))),
                record(CONTROL_EVENTS, "b", encode(event("epoch", "refused", 2, reason="too far"))),
                record(CONTROL_EVENTS, "c", encode(event("epoch", "announced", 3))),
                record(OVERRIDES, "pm", encode_snapshot(one)),
                record(OVERRIDES, "pm", encode_snapshot(three)),
                record(OVERRIDES, "pm/heartbeat", encode_heartbeat(beat)),
                record(LESSONS, "ls_1", b"{}"),
            ]
        )
    return url


def record(topic: str, key: str, value: bytes) -> NewRecord:
    return NewRecord(topic=topic, partition=0, key=key.encode(), value=value, timestamp_ms=AT_MS)


async def test_versions_are_listed_once_with_what_became_of_them(url: str) -> None:
    found = await read_versions(url)
    assert [(each.version, each.outcome, each.reason, each.overrides) for each in found] == [
        (1, "announced", "", 1),
        (2, "refused", "too far", 1),
        (3, "stands", "", 1),
    ]
    assert await read_versions(url, "dm") == []


async def test_a_module_stands_with_its_heartbeat(url: str) -> None:
    (state,) = (await read_modules(url)).values()
    assert state.standing is not None
    assert state.heartbeat is not None
    assert (state.standing.version, state.heartbeat.version, state.refusal) == (3, 3, None)
    assert state.heard_at_ms == AT_MS


async def test_a_version_is_read_back_or_the_way_out_is_told(url: str) -> None:
    async def version(number: int | None) -> Snapshot:
        return await read_version(url, "pm", number)

    assert [(await version(number)).version for number in (1, 2, None)] == [1, 2, 3]
    with pytest.raises(BadConfig, match="version 9 of pm is not kept: kept are 1 to 3"):
        await version(9)
    with pytest.raises(BadConfig, match="version 1 of dm is not kept: none is kept yet"):
        await read_version(url, "dm", 1)
    with pytest.raises(BadConfig, match="nothing was announced for dm yet"):
        await read_version(url, "dm", None)


async def test_a_version_of_a_newer_release_is_said_to_be_one(url: str) -> None:
    with EmbeddedLog(url.removeprefix("embedded://")) as log:
        log.append([record(SNAPSHOTS, "pm/4", b'{"schema_version":2,"module":"pm","version":4}')])
    with pytest.raises(BadConfig, match=r"version 4 of pm cannot be read back: .*a format that this release reads"):
        await read_version(url, "pm", 4)


async def test_a_module_is_named_or_the_only_one(url: str) -> None:
    assert (await module_of(url, None), await module_of(url, "dm")) == ("pm", "dm")
    with pytest.raises(BadConfig, match="--module xx: one of pm, dm"):
        await module_of(url, "xx")
    with EmbeddedLog(url.removeprefix("embedded://")) as log:
        log.append([record(OVERRIDES, "dm", encode_snapshot(make_snapshot(module="dm")))])
    with pytest.raises(BadConfig, match=r"--module: which of dm, pm\?"):
        await module_of(url, None)


async def test_a_lesson_is_known_or_some_are_named(url: str) -> None:
    await require_lesson(url, "ls_1")
    with pytest.raises(BadConfig, match="no lesson ls_2: there are 1, such as ls_1"):
        await require_lesson(url, "ls_2")
