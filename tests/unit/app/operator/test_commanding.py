"""A command is signed, written, and answered, or nobody answers in time: then it stands all the same."""

from pathlib import Path

import msgspec
import pytest

from app.operator.commanding import commanded, signature
from app.topic_admin import Replication, create_topics
from learning.commands import SnapshotCommand
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import BadConfig, Unavailable
from streams.codec import decode_control
from streams.topics import CONTROL, layout


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


async def test_a_command_that_nobody_answers_stands(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/log.db"
    await create_topics(url, layout(app_id="test", partitions=1), replication=Replication(factor=1, min_insync=1))
    command = SnapshotCommand(command="kill", id="c", who="jane", why="so", at_ms=1)
    with pytest.raises(
        Unavailable, match=r"kill was written to leverloop.control and nobody has answered within 0.2 s"
    ):
        await commanded(url, command, answers=2, timeout_s=0.2)
    with EmbeddedLog(tmp_path / "log.db") as log:
        (record,) = log.read(CONTROL, 0, 0)
    assert record.key == b"command"
    assert decode_control(record.value or b"", received_at_ms=1) == command
    assert msgspec.json.decode(record.value or b"")["who"] == "jane"
