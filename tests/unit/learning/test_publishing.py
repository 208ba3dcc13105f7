"""What drafts and commands make of what stands, case by case; the laws are in tests/laws/test_publishing.py."""

from typing import Any

import msgspec
import pytest

from learning.commands import SnapshotCommand
from learning.movement import Limits
from learning.publishing import Published, Step, Terms, commanded, drafted, kept_at, oversized, unwritten
from leverloop.snapshot import Snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot

TERMS = Terms(valid_ms=1_000, engine_version="engine", config_hash="hash")
HOUR_MS = 3_600_000


class Desk:
    """A module, its history, and what was announced of it."""

    def __init__(self, terms: Terms = TERMS) -> None:
        self.terms = terms
        self.state = Published()
        self.history: dict[int, Snapshot] = {}
        self.announced: list[Snapshot] = []
        self.offset = -1

    def epoch(self, size: float, number: int, **fields: Any) -> Step | None:
        snapshot = make_snapshot(
            make_override({"size_mult": size}, {"bucket": "micro"}), epoch_at_ms=AT_MS + number * HOUR_MS
        )
        return self._took(drafted(self.state, msgspec.structs.replace(snapshot, **fields), self.terms, **self._now()))

    def command(self, name: Any, version: int | None = None, command_id: str = "") -> Step | None:
        command = SnapshotCommand(
            command=name, id=command_id or f"c{self.offset}", module="pm", version=version, who="me", why="so", at_ms=5
        )
        kept = self.history.get(version or 0)
        return self._took(commanded(self.state, "pm", command, kept, self.terms, **self._now()))

    def _now(self) -> dict[str, int]:
        self.offset += 1
        return {"offset": self.offset, "at_ms": AT_MS + self.offset}

    def _took(self, step: Step | None) -> Step | None:
        if step is not None:
            self.state = step.state
            if step.written is not None:
                self.history[step.written.version] = step.written
                self.state = kept_at(self.state, step.written.version, len(self.history))
            if step.announced is not None:
                self.announced.append(step.announced)
        return step

    @property
    def size(self) -> float | None:
        """Size lever that clients see."""
        sizes = [each.levers["size_mult"] for each in self.announced[-1].overrides()]
        return sizes[0] if sizes else None


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    for number, size in enumerate((1.02, 1.04, 1.06), start=1):
        desk.epoch(size, number)
    return desk


def outcome(step: Step | None) -> tuple[str, str]:
    assert step is not None
    return step.event.outcome, step.event.reason


def test_an_epoch_is_announced_with_its_version_parent_and_times(desk: Desk) -> None:
    last = desk.announced[-1]
    assert (last.version, last.parent_version, last.published_at_ms, last.valid_until_ms) == (
        3, 2, AT_MS + 2, AT_MS + 1_002,
    )  # fmt: skip
    assert desk.announced[0].parent_version is None
    assert last.command is None


def test_a_draft_that_was_told_before_is_told_once(desk: Desk) -> None:
    assert desk.epoch(1.06, 3) is None


def test_a_draft_that_must_not_be_applied_stays_in_the_history(desk: Desk) -> None:
    step = desk.epoch(1.08, 4, content_hash="0")
    assert step is not None
    assert step.announced is None
    assert step.written is not None
    assert step.written.version == 4
    assert "content_hash" in desk.state.refusal
    assert desk.state.standing == desk.announced[-1] == desk.history[3]
    desk.epoch(1.08, 4)
    assert (desk.announced[-1].version, desk.announced[-1].parent_version, desk.state.refusal) == (5, 3, "")


def test_a_draft_that_goes_too_far_is_refused_and_can_be_wanted_all_the_same() -> None:
    desk = Desk(msgspec.structs.replace(TERMS, limits=Limits(max_movement=0.01)))
    desk.epoch(1.0, 1)
    kind, reason = outcome(desk.epoch(1.3, 2))
    assert kind == "refused"
    assert "LEVERLOOP_SNAPSHOT_MAX_MOVEMENT" in reason
    assert "`leverloop overrides rollback 2`" in reason
    assert desk.size == 1.0
    desk.command("rollback", 2)
    assert desk.size == 1.3


def test_a_draft_that_was_refused_and_comes_again_is_told_once_until_it_is_refused_no_more() -> None:
    strict = msgspec.structs.replace(TERMS, limits=Limits(max_movement=0.01))
    desk = Desk(strict)
    desk.epoch(1.0, 1)
    assert outcome(desk.epoch(1.3, 2))[0] == "refused"
    told = desk.state
    assert desk.epoch(1.3, 2) is None
    assert desk.state == told
    assert outcome(desk.epoch(1.3, 3))[0] == "refused"
    desk.terms = TERMS
    assert outcome(desk.epoch(1.3, 3)) == ("announced", "")
    assert (desk.state.version, desk.state.refusal, desk.state.refused, desk.size) == (4, "", "", 1.3)


def test_a_draft_that_is_too_large_is_refused(desk: Desk) -> None:
    small = msgspec.structs.replace(TERMS, limits=Limits(max_bytes=1_024))
    step = unwritten(desk.state, "pm", AT_MS, oversized(4_096, small), offset=9)
    assert step is not None
    assert unwritten(step.state, "pm", AT_MS, "again", offset=10) is None
    assert unwritten(step.state, "pm", AT_MS + 1, "the next", offset=10) is not None
    assert (step.event.outcome, step.written, step.state.version) == ("refused", None, 3)
    assert "LEVERLOOP_SNAPSHOT_MAX_BYTES" in step.state.refusal
    assert oversized(4_096, TERMS) == "snapshot: 4096 bytes, too large for its topic"
    desk.terms = small
    assert outcome(desk.epoch(1.08, 4))[0] == "refused"
    assert desk.size == 1.06


def test_a_pin_holds_until_it_is_taken_off(desk: Desk) -> None:
    desk.command("pin", 2)
    assert (desk.size, desk.announced[-1].version) == (1.04, 4)
    assert desk.announced[-1].content_hash == desk.history[2].content_hash
    assert desk.announced[-1].command is not None
    assert (desk.announced[-1].command.who, desk.announced[-1].command.of_version) == ("me", 2)
    assert outcome(desk.epoch(1.08, 4)) == ("held", "version 2 is pinned")
    assert desk.size == 1.04
    desk.command("unpin")
    assert (desk.size, desk.announced[-1].version) == (1.08, 6)


def test_a_rollback_is_old_content_under_a_new_version_until_the_next_epoch(desk: Desk) -> None:
    desk.command("rollback", 1)
    assert (desk.size, desk.announced[-1].version, desk.announced[-1].parent_version) == (1.02, 4, 3)
    desk.epoch(1.08, 4)
    assert (desk.size, desk.announced[-1].version) == (1.08, 5)


def test_a_kill_neutralises_through_epochs_until_revived(desk: Desk) -> None:
    desk.command("kill")
    assert desk.size is None
    assert not desk.announced[-1].flags.learning_overrides_enabled
    assert outcome(desk.epoch(1.08, 4)) == ("held", "killed")
    assert desk.size is None
    desk.command("revive")
    assert desk.size == 1.08
    assert desk.announced[-1].flags.learning_overrides_enabled


def test_a_kill_before_the_first_epoch_holds_what_comes() -> None:
    fresh = Desk()
    assert outcome(fresh.command("kill")) == ("accepted", "nothing stands for pm, and what epochs bring is held")
    assert outcome(fresh.command("revive")) == ("accepted", "nothing stands for pm, and what epochs bring is announced")
    fresh.command("kill")
    assert fresh.announced == []
    assert outcome(fresh.epoch(1.02, 1)) == ("held", "killed")
    fresh.command("revive")
    assert fresh.size == 1.02


@pytest.fixture
def wanted() -> Desk:
    """A module whose only draft was refused for its overrides, and is pinned all the same."""
    desk = Desk(msgspec.structs.replace(TERMS, limits=Limits(max_overrides=0)))
    assert outcome(desk.epoch(1.02, 1))[0] == "refused"
    assert outcome(desk.command("pin", 1))[0] == "announced"
    return desk


def test_what_was_pinned_stands_where_nothing_follows_it(wanted: Desk) -> None:
    expected = ("accepted", "version 2 stands until an epoch brings one: none has yet")
    assert outcome(wanted.command("unpin")) == expected
    assert (wanted.size, len(wanted.announced), wanted.state.pinned) == (1.02, 1, None)
    wanted.terms = TERMS
    assert outcome(wanted.epoch(1.04, 2)) == ("announced", "")
    assert wanted.size == 1.04


def test_a_revival_with_nothing_to_apply_is_switched_on(wanted: Desk) -> None:
    wanted.command("kill")
    wanted.command("unpin")
    assert not wanted.announced[-1].flags.learning_overrides_enabled
    assert outcome(wanted.command("revive")) == ("announced", "nothing is there to apply yet")
    assert (wanted.size, wanted.announced[-1].flags.learning_overrides_enabled, wanted.state.killed) == (
        None,
        True,
        False,
    )


def test_a_pin_under_a_kill_shows_once_revived(desk: Desk) -> None:
    desk.command("kill")
    kind, reason = outcome(desk.command("pin", 1))
    assert (kind, "revived" in reason, desk.size) == ("announced", True, None)
    desk.command("revive")
    assert desk.size == 1.02


@pytest.mark.parametrize(
    ("before", "command", "expected"),
    [
        ([], ("pin", 9), ("refused", "version 9 of pm is not kept: kept are 1 to 3 (`leverloop overrides list`)")),
        ([], ("rollback", 9), ("refused", "version 9 of pm is not kept: kept are 1 to 3 (`leverloop overrides list`)")),
        ([], ("unpin", None), ("unchanged", "nothing is pinned")),
        ([], ("revive", None), ("unchanged", "pm is not killed")),
        ([("kill", None)], ("kill", None), ("unchanged", "pm is killed already")),
        ([("kill", None)], ("rollback", 1), ("refused", "pm is killed: `pin 1`, then `revive`")),
        ([("pin", 2)], ("pin", 2), ("unchanged", "version 2 is pinned already")),
        ([("pin", 2)], ("rollback", 1), ("refused", "version 2 is pinned: `unpin` first, or `pin 1`")),
        (
            [("kill", None), ("revive", None)],
            ("pin", 4),
            ("refused", "version 4 of pm is switched off: `kill` does that"),
        ),
    ],
)
def test_what_is_not_done_says_why(desk: Desk, before: list[Any], command: Any, expected: tuple[str, str]) -> None:
    for each in before:
        desk.command(*each)
    stood = desk.announced[-1]
    step = desk.command(*command)
    assert outcome(step) == expected
    assert step is not None
    assert (step.written, step.announced, desk.announced[-1]) == (None, None, stood)


def test_what_has_left_the_history_is_said_so(desk: Desk) -> None:
    del desk.history[1]
    assert outcome(desk.command("pin", 1)) == ("refused", "version 1 of pm has left the history, which is 90 days long")


def test_nothing_kept_is_said_so() -> None:
    assert outcome(Desk().command("pin", 1)) == ("refused", "version 1 of pm is not kept: none is kept yet")


def test_a_kept_version_that_may_not_be_applied_is_refused(desk: Desk) -> None:
    desk.epoch(1.08, 4, content_hash="0")
    kind, reason = outcome(desk.command("rollback", 4))
    assert (kind, "version 4 may not be published: content_hash" in reason, desk.size) == ("refused", True, 1.06)


def test_what_was_sound_by_older_rules_is_judged_by_those_of_today(desk: Desk) -> None:
    desk.command("pin", 2)
    desk.command("kill")
    desk.terms = msgspec.structs.replace(TERMS, limits=Limits(max_bytes=900))
    kind, reason = outcome(desk.command("revive"))
    assert (kind, "LEVERLOOP_SNAPSHOT_MAX_BYTES" in reason, desk.size, desk.state.killed) == (
        "refused",
        True,
        None,
        True,
    )


def test_a_command_that_is_read_twice_is_done_once(desk: Desk) -> None:
    desk.command("kill", command_id="one")
    desk.command("revive", command_id="two")
    assert desk.command("kill", command_id="one") is None
    assert desk.size == 1.06
