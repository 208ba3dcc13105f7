"""A command is signed, written, and answered, or nobody answers in time: then it stands all the same."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from app.operator.commanding import commanded, signature
from app.topic_admin import Replication, create_topics
from app.topic_reader import follow_partition
from learning.commands import ControlEvent, SnapshotCommand
from leverloop.brokers import embedded_path
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.errors import BadConfig, Unavailable
from leverloop.patterns import MODULES, Module
from leverloop.testing import make_snapshot
from streams.codec import decode_control, encode
from streams.topics import CONTROL, CONTROL_EVENTS, OVERRIDES, layout


def test_a_signature_says_who_and_why() -> None:
    first, second = signature(" so ", "jane"), signature("so", None)
    assert (first.who, first.why) == ("jane", "so")
    assert second.who
    assert first.id != second.id


@pytest.mark.parametrize(
    ("reason", "who", "message"),
    [("", "jane", "--reason: say why"), (" ", "jane", "--reason"), ("x" * 1_001, "jane", "--reason"),
     ("so", "x" * 129, "--who"), ("so", "  ", "--who")],
)  # fmt: skip
def test_a_command_without_a_reason_or_a_name_is_none(reason: str, who: str, message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        signature(reason, who)


KILL = SnapshotCommand(command="kill", id="c", who="jane", why="so", at_ms=1)


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"embedded://{tmp_path}/log.db"
    await create_topics(url, layout(app_id="test", partitions=1), replication=Replication(factor=1, min_insync=1))
    return url


def record(topic: str, key: str, value: bytes) -> NewRecord:
    return NewRecord(topic=topic, partition=0, key=key.encode(), value=value, timestamp_ms=1)


def answer(module: Module, version: int, command_id: str = "c") -> NewRecord:
    event = ControlEvent(id=command_id, command="kill", outcome="announced", module=module, version=version)
    return record(CONTROL_EVENTS, command_id, encode(event))


async def answered(url: str, *answers: NewRecord, timeout_s: float = 20.0) -> list[ControlEvent]:
    """What becomes of a kill that a worker answers so, as soon as it stands on the topic."""

    async def worker() -> None:
        async with aclosing(follow_partition(url, CONTROL, 0, 0)) as commands:
            await anext(commands)
        with EmbeddedLog(embedded_path(url) or "") as log:
            log.append(list(answers))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker())
        return await commanded(url, KILL, answers=2, timeout_s=timeout_s)


async def test_an_answer_that_a_worker_gives_again_counts_once(url: str) -> None:
    shown = [record(OVERRIDES, module, encode(make_snapshot(module=module, version=7))) for module in MODULES]
    found = await answered(url, answer("pm", 7), answer("pm", 7), answer("dm", 9, "other"), answer("dm", 7), *shown)
    assert [(event.module, event.version, event.id) for event in found] == [("pm", 7, "c"), ("dm", 7, "c")]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            [answer("pm", 7), answer("pm", 7)],
            r"was answered \(pm announced 7\), but the rest has not been answered within 0.5 s: has the worker stopped",
        ),
        (
            [answer("pm", 7), answer("dm", 8)],
            r"was answered \(pm announced 7, dm announced 8\), but clients cannot read all of it within 0.5 s: has the worker stopped",
        ),
    ],
)
async def test_an_answer_that_is_not_all_is_told(url: str, answers: list[NewRecord], message: str) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await answered(url, *answers, timeout_s=0.5)
    assert raised.group_contains(Unavailable, match=f"kill was written to {CONTROL} and {message}")


async def test_a_command_that_nobody_answers_stands(url: str, tmp_path: Path) -> None:
    with pytest.raises(
        Unavailable, match=r"kill was written to leverloop.control and nobody has answered within 0.2 s"
    ):
        await commanded(url, KILL, answers=2, timeout_s=0.2)
    with EmbeddedLog(tmp_path / "log.db") as log:
        (record,) = log.read(CONTROL, 0, 0)
    assert record.key == b"command"
    assert decode_control(record.value or b"", received_at_ms=1) == KILL
    assert msgspec.json.decode(record.value or b"")["who"] == "jane"
