"""Commands: a command says who and why, and which one it is."""

import msgspec
import pytest

from learning.commands import LESSON_COMMANDS, SNAPSHOT_COMMANDS, LessonCommand, SnapshotCommand, remembered

KILL = {"command": "kill", "id": "c1", "who": "jane", "why": "fills look wrong", "at_ms": 7}
DISABLE = {**KILL, "command": "disable", "lesson_id": "ls_1"}


def test_every_command_is_of_one_kind() -> None:
    for name in SNAPSHOT_COMMANDS:
        assert msgspec.convert({**KILL, "command": name}, SnapshotCommand).command == name
    for name in LESSON_COMMANDS:
        assert msgspec.convert({**DISABLE, "command": name}, LessonCommand).command == name
    assert not set(SNAPSHOT_COMMANDS) & set(LESSON_COMMANDS)


@pytest.mark.parametrize("field", ["id", "who", "why"])
@pytest.mark.parametrize("value", ["", "  ", None])
def test_nobody_and_no_reason_are_refused(field: str, value: str | None) -> None:
    for kind, said in ((SnapshotCommand, KILL), (LessonCommand, DISABLE)):
        with pytest.raises(msgspec.ValidationError, match=field):
            msgspec.convert({**said, field: value}, kind)


def test_the_last_200_are_remembered() -> None:
    known: tuple[str, ...] = ()
    for i in range(300):
        known = remembered(known, f"c{i}")
    assert known == tuple(f"c{i}" for i in range(100, 300))
