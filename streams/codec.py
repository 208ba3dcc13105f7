"""What stands on the topics between the stages, as bytes."""

from __future__ import annotations

import base64
import contextlib
from typing import Final

import msgspec

from learning.commands import LESSON_COMMANDS, SNAPSHOT_COMMANDS, LessonCommand, SnapshotCommand
from learning.findings import Decided, Findings
from learning.outcome import Outcome, OutcomeVoided
from leverloop.errors import BadInput, InvariantBroken
from leverloop.events import MAX_EVENT_BYTES
from leverloop.patterns import MODULES, Module
from leverloop.snapshot import Snapshot

__all__ = [
    "DeadLetter",
    "Draft",
    "EpochMarker",
    "OnControl",
    "OnDrafts",
    "OnFindings",
    "OnOutcomes",
    "Watermark",
    "dead_letter",
    "decode_control",
    "decode_drafts",
    "decode_findings",
    "decode_kept",
    "decode_outcomes",
    "encode",
    "targets",
]


class Watermark(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="watermark"):
    """An input has passed an epoch: everything it had to say before stands before this in the partition."""

    source: str
    """``topic/partition``, or ``control`` for a marker."""
    epoch_at_ms: int
    offset: int | None = None
    """Of the first record past the epoch: what stands before it in the input was heard. A marker has none."""


class EpochMarker(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="epoch_marker"):
    """A record of the control topic that closes an epoch in a quiet market (spec section 10)."""

    epoch_at_ms: int
    who: str
    why: str
    at_ms: int


class Draft(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="draft"):
    """A snapshot that the book proposes; one that is too large for the topic, or none at all, is only spoken of."""

    module: Module
    epoch_at_ms: int
    size_bytes: int
    snapshot: Snapshot | None
    reason: str = ""
    """Why the lessons make no snapshot; empty if they do, or it is too large."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was refused: why, which field, where it stands, and its bytes."""

    reason: str
    field: str
    topic: str
    partition: int
    offset: int
    received_at_ms: int
    original_b64: str
    """The record's value, base64."""
    original: str | None = None
    """The value once more as text, where it is text and no longer than an event may be."""


OnOutcomes = Outcome | OutcomeVoided | Watermark | Decided
OnFindings = Findings | LessonCommand
OnDrafts = Draft | SnapshotCommand
OnControl = EpochMarker | SnapshotCommand | LessonCommand


class _Command(msgspec.Struct):
    command: str


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_OUTCOMES: Final = msgspec.json.Decoder(Outcome | OutcomeVoided | Watermark | Decided)
_FINDINGS: Final = msgspec.json.Decoder(Findings | LessonCommand)
_DRAFTS: Final = msgspec.json.Decoder(Draft | SnapshotCommand)
_SNAPSHOT: Final = msgspec.json.Decoder(Snapshot)
_COMMAND: Final = msgspec.json.Decoder(_Command)
_MARKER: Final = msgspec.json.Decoder(EpochMarker)
_SNAPSHOT_COMMAND: Final = msgspec.json.Decoder(SnapshotCommand)
_LESSON_COMMAND: Final = msgspec.json.Decoder(LessonCommand)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_AHEAD_MS: Final = 86_400_000
_FIELD_CHARS: Final = 128  # with the reason, of four bytes each, they are part of a key in the read model:
_REASON_CHARS: Final = 400  # PostgreSQL indexes at most 2,704 bytes


def encode(message: msgspec.Struct) -> bytes:
    """JSON of a message."""
    return _ENCODER.encode(message)


def decode_outcomes(raw: bytes) -> OnOutcomes:
    """Return a message of the outcomes topic; nobody but us writes there, so a bad one is an invariant broken."""
    try:
        return _OUTCOMES.decode(raw)
    except _UNREADABLE as error:
        raise InvariantBroken(f"outcomes topic: {error}") from error


def decode_findings(raw: bytes) -> OnFindings:
    """Return a message of the findings topic."""
    try:
        return _FINDINGS.decode(raw)
    except _UNREADABLE as error:
        raise InvariantBroken(f"findings topic: {error}") from error


def decode_drafts(raw: bytes) -> OnDrafts:
    """Return a message of the drafts topic."""
    try:
        return _DRAFTS.decode(raw)
    except _UNREADABLE as error:
        raise InvariantBroken(f"drafts topic: {error}") from error


def decode_kept(raw: bytes) -> Snapshot:
    """Return a snapshot of the history as it was written, good or not; another release may have written it."""
    try:
        return _SNAPSHOT.decode(raw)
    except _UNREADABLE as error:
        raise BadInput("$", f"a snapshot of a format that this release reads ({error})") from error


def targets(message: OnDrafts) -> tuple[Module, ...]:
    """Modules that a message of the drafts topic is about."""
    return MODULES if message.module is None else (message.module,)


def decode_control(raw: bytes, *, received_at_ms: int) -> OnControl:
    """Return a record of the control topic; operators write there, so a bad one is bad input.

    A marker more than a day ahead of its arrival is absurd, as an event would be: every epoch up to it
    would be mined. To pin and to roll back takes a version and a module; the other commands take no version.
    """
    try:
        name = _COMMAND.decode(raw).command
        if name in LESSON_COMMANDS:
            return _LESSON_COMMAND.decode(raw)
        if name in SNAPSHOT_COMMANDS:
            return _sound(_SNAPSHOT_COMMAND.decode(raw))
        marker = _MARKER.decode(raw)
    except _UNREADABLE as error:
        raise BadInput("$", f"a control record ({error})", raw[:64]) from error
    if marker.epoch_at_ms > received_at_ms + _AHEAD_MS:
        raise BadInput(
            "epoch_at_ms", f"at most a day after it reached the topic at {received_at_ms}", marker.epoch_at_ms
        )
    return marker


def _sound(command: SnapshotCommand) -> SnapshotCommand:
    """Return the command if it says all that it has to, and no more."""
    of_version = command.command in ("pin", "rollback")
    if of_version != (command.version is not None):
        raise BadInput("version", f"{'a version' if of_version else 'none'} with {command.command}", command.version)
    if command.module is None and command.command not in ("kill", "revive"):
        raise BadInput("module", f"a module with {command.command}", None)
    return command


def dead_letter(
    bad: BadInput, *, topic: str, partition: int, offset: int, received_at_ms: int, original: bytes
) -> DeadLetter:
    """Return the dead letter of a record that was refused; it can be written, whatever the record was."""
    text = None
    if len(original) <= MAX_EVENT_BYTES:  # as JSON text a byte can take six, and a letter has its limit too
        with contextlib.suppress(UnicodeDecodeError):
            text = original.decode()
    return DeadLetter(
        reason=_writable(str(bad), _REASON_CHARS),
        field=_writable(bad.field, _FIELD_CHARS),
        topic=topic,
        partition=partition,
        offset=offset,
        received_at_ms=received_at_ms,
        original_b64=base64.b64encode(original).decode(),
        original=text,
    )


def _writable(text: str, limit: int) -> str:
    """Text that UTF-8 can write (JSON can name a field by half a character), cut to so many characters."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
