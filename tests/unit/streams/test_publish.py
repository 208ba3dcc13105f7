"""Publish: which modules a message is about, and what it does to one."""

from learning.commands import SnapshotCommand
from learning.publishing import Published, Terms
from leverloop.testing import AT_MS, make_override, make_snapshot
from streams.codec import Draft
from streams.publish import history_key, step_of, targets

GOOD = make_snapshot(make_override({"size_mult": 1.02}, {"bucket": "micro"}), version=5)
TERMS = Terms(valid_ms=1_000, engine_version="engine", config_hash="hash")
DRAFT = Draft(module="pm", epoch_at_ms=AT_MS, size_bytes=1, snapshot=GOOD)
KILL = SnapshotCommand(command="kill", id="c", who="me", why="so", at_ms=1)


def test_a_draft_is_about_its_module_and_a_command_about_those_it_names() -> None:
    assert targets(DRAFT) == ("pm",)
    assert targets(KILL) == ("pm", "dm")
    assert targets(SnapshotCommand(command="kill", id="c", module="dm", who="me", why="so", at_ms=1)) == ("dm",)


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
    killed = step_of(drafted.state, "pm", KILL, None, TERMS, offset=5, at_ms=AT_MS)
    assert killed is not None
    assert killed.announced is not None
    assert not list(killed.announced.overrides())
