"""Publish: which modules a message is about, and what it does to one."""

import asyncio

import msgspec
import pytest

from learning.commands import SnapshotCommand
from learning.publishing import Published, Terms
from leverloop.errors import BadConfig, Unavailable
from leverloop.snapshot import Snapshot, encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot
from streams.codec import Draft
from streams.publish import history_key, kept_snapshot, step_of

GOOD = make_snapshot(make_override({"size_mult": 1.02}, {"bucket": "micro"}), version=5)
TERMS = Terms(valid_ms=1_000, engine_version="engine", config_hash="hash")
DRAFT = Draft(module="pm", epoch_at_ms=AT_MS, size_bytes=1, snapshot=GOOD)
KILL = SnapshotCommand(command="kill", id="c", who="me", why="so", at_ms=1)


def test_every_version_has_its_key_in_the_history() -> None:
    assert history_key("pm", 12) == b"pm/12"


def test_each_kind_of_message_has_its_step() -> None:
    drafted = step_of(Published(), "pm", DRAFT, None, TERMS, offset=3, at_ms=AT_MS)
    assert drafted is not None
    assert (drafted.event.outcome, drafted.state.offset, drafted.announced) == ("announced", 3, drafted.written)
    spoken_of = Draft(module="pm", epoch_at_ms=AT_MS, size_bytes=1 << 30, snapshot=None)
    refused = step_of(drafted.state, "pm", spoken_of, None, TERMS, offset=4, at_ms=AT_MS)
    assert refused is not None
    assert (refused.event.outcome, refused.written, refused.state.standing) == ("refused", None, drafted.announced)
    assert refused.event.reason.startswith("snapshot: expected at most 30.00 MiB")
    none = Draft(module="pm", epoch_at_ms=AT_MS, size_bytes=0, snapshot=None, reason="a lever that is no number")
    refused = step_of(drafted.state, "pm", none, None, TERMS, offset=4, at_ms=AT_MS)
    assert refused is not None
    assert (refused.event.outcome, refused.event.reason, refused.state.refusal, refused.state.standing) == (
        "refused", none.reason, none.reason, drafted.announced,
    )  # fmt: skip
    killed = step_of(drafted.state, "pm", KILL, None, TERMS, offset=5, at_ms=AT_MS)
    assert killed is not None
    assert killed.announced is not None
    assert not list(killed.announced.overrides())


PIN = SnapshotCommand(command="pin", id="p", module="pm", version=5, who="me", why="so", at_ms=1)
KEPT = Published(version=5, standing=GOOD, kept={5: 7})


def asked(raw: bytes | Exception | None, *, away: int = 0) -> tuple[Snapshot | None, str]:
    """What is read back for a pin, of a history that has this at offset 7, and does not answer so many times."""
    answers: list[bytes | Exception | None] = [*[Unavailable("away", retry_after_s=0.0)] * away, raw]

    async def read_back(offset: int) -> bytes | None:
        assert offset == 7
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    found = asyncio.run(kept_snapshot(KEPT, PIN, read_back))
    assert answers == []
    return found


def test_a_kept_version_is_read_back_once_the_log_answers() -> None:
    assert asked(encode_snapshot(GOOD), away=2) == (GOOD, "")
    assert asked(encode_snapshot(make_snapshot(version=6))) == (None, "")
    assert asked(None) == (None, "")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (
            msgspec.json.encode(msgspec.json.decode(encode_snapshot(GOOD)) | {"schema_version": 2}),
            "version 5 of pm cannot be read back: $: expected a snapshot of a format that this release reads (Invalid enum value 2",
        ),
        (b"\xff", "version 5 of pm cannot be read back: $: expected a snapshot of a format that this release reads"),
        (BadConfig("no such topic"), "version 5 of pm cannot be read back: no such topic"),
    ],
)
def test_a_kept_version_that_cannot_be_read_is_refused_and_the_worker_goes_on(
    raw: bytes | Exception, reason: str
) -> None:
    kept, unread = asked(raw)
    assert (kept, unread.startswith(reason)) == (None, True)
    step = step_of(KEPT, "pm", PIN, kept, TERMS, offset=9, at_ms=AT_MS, unread=unread)
    assert step is not None
    assert (step.event.outcome, step.event.reason, step.state.standing) == ("refused", unread, GOOD)
    assert step_of(step.state, "pm", PIN, kept, TERMS, offset=10, at_ms=AT_MS, unread=unread) is None
