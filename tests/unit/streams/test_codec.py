"""Codec: what one stage writes the next reads; what nobody of us wrote is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.commands import LessonCommand, SnapshotCommand
from learning.findings import Decided, Findings
from learning.outcome import Companion, OutcomeVoided
from leverloop.errors import BadInput, InvariantBroken
from leverloop.events import MAX_EVENT_BYTES
from leverloop.testing import make_snapshot
from streams.codec import (
    Draft,
    EpochMarker,
    OnOutcomes,
    Watermark,
    dead_letter,
    decode_control,
    decode_drafts,
    decode_findings,
    decode_outcomes,
    encode,
    targets,
)
from tests.laws.examples import DAY_MS, START_MS, an_outcome, some_evidence

MESSAGES: list[OnOutcomes] = [
    an_outcome(rr_raw=None, companions=(Companion(group="g|exit", scope={"bucket_rank_position": 3}),)),
    OutcomeVoided(outcome_id="a1", trade_id="t1", group="g|entry"),
    Watermark(source="leverloop.trades/3", epoch_at_ms=START_MS),
    Decided(epoch_at_ms=START_MS, tested={"g|entry": (20, 1)}),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_stands_on_the_outcomes_topic_reads_back(message: OnOutcomes) -> None:
    assert decode_outcomes(encode(message)) == message


def test_findings_and_markers_read_back() -> None:
    findings = Findings(partition=1, epoch_at_ms=START_MS, evidence={"ls_1": some_evidence()})
    assert decode_findings(encode(findings)) == findings
    marker = EpochMarker(epoch_at_ms=START_MS, who="worker", why="quiet_market", at_ms=START_MS)
    assert decode_control(encode(marker), received_at_ms=START_MS) == marker


def test_commands_read_back_on_control_and_where_they_are_passed_on_to() -> None:
    kill = SnapshotCommand(command="kill", id="c1", who="jane", why="so", at_ms=START_MS)
    pin = SnapshotCommand(command="pin", id="c2", module="pm", version=3, who="jane", why="so", at_ms=START_MS)
    off = LessonCommand(command="disable", id="c3", lesson_id="ls_1", who="jane", why="so", at_ms=START_MS)
    for command in (kill, pin, off):
        assert decode_control(encode(command), received_at_ms=START_MS) == command
    assert decode_drafts(encode(pin)) == pin
    assert decode_findings(encode(off)) == off
    draft = Draft(module="pm", epoch_at_ms=START_MS, size_bytes=9, snapshot=make_snapshot())
    assert decode_drafts(encode(draft)) == draft


def test_a_draft_is_about_its_module_and_a_command_about_those_it_names() -> None:
    draft = Draft(module="pm", epoch_at_ms=START_MS, size_bytes=9, snapshot=None)
    kill = SnapshotCommand(command="kill", id="c", who="me", why="so", at_ms=1)
    assert targets(draft) == ("pm",)
    assert targets(kill) == ("pm", "dm")
    assert targets(SnapshotCommand(command="kill", id="c", module="dm", who="me", why="so", at_ms=1)) == ("dm",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('"command": "pin", "module": "pm"', "version: expected a version with pin, was None"),
        ('"command": "rollback", "version": 3', "module: expected a module with rollback, was None"),
        ('"command": "unpin"', "module: expected a module with unpin, was None"),
        ('"command": "kill", "version": 3', "version: expected none with kill, was 3"),
        ('"command": "kill", "module": "xx"', "control record"),
        ('"command": "kill", "why": ""', "control record"),
        ('"command": "disable"', "control record"),
    ],
)
def test_a_command_that_does_not_say_all_it_has_to_is_bad_input(fields: str, message: str) -> None:
    raw = f'{{"id": "c1", "who": "jane", "why": "so", "at_ms": 1, {fields}}}'.encode()
    with pytest.raises(BadInput, match=message):
        decode_control(raw, received_at_ms=START_MS)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"{}", b'{"kind": "\xff"}', b'{"kind": "other"}', b"[]"])
def test_a_message_of_ours_that_does_not_read_is_an_invariant_broken(raw: bytes) -> None:
    with pytest.raises(InvariantBroken, match="outcomes topic: "):
        decode_outcomes(raw)
    with pytest.raises(InvariantBroken, match="findings topic: "):
        decode_findings(raw)
    with pytest.raises(InvariantBroken, match="drafts topic: "):
        decode_drafts(raw)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b'{"command": "\xff"}', b'{"command": "hodl"}', b'{"command": "epoch_marker"}']
)
def test_a_control_record_that_does_not_read_is_bad_input(raw: bytes) -> None:
    with pytest.raises(BadInput, match=r"\$: expected a control record"):
        decode_control(raw, received_at_ms=START_MS)


@pytest.mark.parametrize(("ahead_ms", "taken"), [(DAY_MS, True), (DAY_MS + 1, False), (2**60, False)])
def test_a_marker_far_ahead_of_its_arrival_is_bad_input(ahead_ms: int, taken: bool) -> None:
    raw = encode(EpochMarker(epoch_at_ms=START_MS + ahead_ms, who="me", why="to see", at_ms=START_MS))
    if taken:
        marker = decode_control(raw, received_at_ms=START_MS)
        assert isinstance(marker, EpochMarker)
        assert marker.epoch_at_ms == START_MS + ahead_ms
    else:
        with pytest.raises(
            BadInput, match=f"epoch_at_ms: expected at most a day after it reached the topic at {START_MS}"
        ):
            decode_control(raw, received_at_ms=START_MS)


@given(st.binary(max_size=100), st.text(max_size=30))
def test_a_dead_letter_can_always_be_written_and_holds_the_bytes(original: bytes, name: str) -> None:
    bad = BadInput(f"scope.{name}", "a string", "\ud800")
    letter = dead_letter(bad, topic="t", partition=0, offset=1, received_at_ms=2, original=original)
    assert encode(letter)
    assert base64.b64decode(letter.original_b64) == original
    assert letter.original is None or letter.original.encode() == original


@pytest.mark.parametrize(("size", "kept"), [(MAX_EVENT_BYTES, True), (MAX_EVENT_BYTES + 1, False)])
def test_a_dead_letter_shows_text_as_long_as_an_event_may_be(size: int, kept: bool) -> None:
    letter = dead_letter(BadInput("$", "x"), topic="t", partition=0, offset=1, received_at_ms=2, original=b"x" * size)
    assert (letter.original is not None) is kept
