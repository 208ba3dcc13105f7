"""Laws of publishing: whatever an operator commands between epochs, and however often records are read again."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from learning.commands import SnapshotCommand
from learning.movement import Limits
from learning.publishing import Published, Terms
from leverloop.book import OverrideBook
from leverloop.snapshot import Snapshot, decode_snapshot, encode_snapshot, validate
from leverloop.testing import AT_MS, make_override, make_snapshot
from streams.codec import Draft, OnDrafts, decode_drafts, encode, targets
from streams.publish import step_of
from tables.announced import AnnouncedState, stored_announced

TERMS = Terms(
    valid_ms=1_000, engine_version="engine", config_hash="hash", limits=Limits(max_movement=0.02, max_bytes=4_096)
)
HOUR_MS = 3_600_000
SCOPE = {"bucket": "micro"}


def draft(size: float | None, number: int, *, broken: bool) -> Draft:
    overrides = [make_override({"size_mult": size}, SCOPE)] if size is not None else []
    snapshot = make_snapshot(*overrides, epoch_at_ms=AT_MS + number * HOUR_MS)
    if broken:
        snapshot = msgspec.structs.replace(snapshot, content_hash="0")
    return Draft(module="pm", epoch_at_ms=snapshot.epoch_at_ms, size_bytes=1, snapshot=snapshot)


def said(name: Any, version: int, number: int) -> SnapshotCommand:
    return SnapshotCommand(
        command=name, id=f"c{number}", module="pm", version=version if name in ("pin", "rollback") else None,
        who="me", why="so", at_ms=1,
    )  # fmt: skip


SAID = st.one_of(
    st.tuples(st.just("epoch"), st.none() | st.floats(0.7, 1.3), st.booleans()),
    st.tuples(st.just("epoch"), st.floats(1.0, 1.1), st.just(False)),
    st.tuples(st.sampled_from(["pin", "rollback"]), st.integers(0, 12), st.none()),
    st.tuples(st.sampled_from(["unpin", "kill", "revive"]), st.none(), st.none()),
)


@st.composite
def drafts_topics(draw: st.DrawFn) -> list[bytes]:
    """A drafts topic: epochs and commands in some order, some of the commands twice."""
    messages: list[bytes] = []
    for number, (name, value, broken) in enumerate(draw(st.lists(SAID, max_size=25))):
        is_epoch = name == "epoch"
        message: OnDrafts = draft(value, number, broken=bool(broken)) if is_epoch else said(name, value or 0, number)
        messages += [encode(message)] * draw(st.integers(1, 2))
    return messages


class Publisher:
    """The publish stage without Faust: a table, a history, what clients were told, and the audit."""

    def __init__(self) -> None:
        self.table = AnnouncedState()
        self.history: list[Snapshot] = []
        self.told: list[Snapshot] = []
        self.audit: list[Any] = []

    @property
    def state(self) -> Published:
        return self.table.of("pm")

    def read(self, offset: int, raw: bytes, *, crash: bool = False) -> None:
        """Take a record; with `crash`, the end comes after the history and before the table."""
        message = decode_drafts(raw)
        for module in targets(message):
            state = self.table.of(module)
            if offset < state.offset:
                continue
            if offset > state.offset:
                wanted = state.kept.get(getattr(message, "version", None) or 0)
                kept = None if wanted is None else self.history[wanted]
                step = step_of(state, module, message, kept, TERMS, offset=offset, at_ms=AT_MS + offset)
                if step is None:
                    continue
                state = self._written(step.state, step.written)
                self.audit.append(step.event)
                if crash:
                    return
                self.table.apply(module.encode(), stored_announced(state))
                if step.announced is None:
                    continue
            if state.standing is not None:
                self.told.append(state.standing)

    def _written(self, state: Published, written: Snapshot | None) -> Published:
        if written is None:
            return state
        self.history.append(written)
        return msgspec.structs.replace(state, kept=state.kept | {written.version: len(self.history) - 1})


def published(topic: list[bytes]) -> Publisher:
    publisher = Publisher()
    for offset, raw in enumerate(topic):
        publisher.read(offset, raw)
    return publisher


@given(drafts_topics())
def test_what_clients_see_always_validates_and_versions_only_grow(topic: list[bytes]) -> None:
    publisher = published(topic)
    for snapshot in publisher.told:
        assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    versions = [snapshot.version for snapshot in publisher.told]
    assert versions == sorted(set(versions))
    written = [snapshot.version for snapshot in publisher.history]
    assert written == list(range(1, len(written) + 1))
    assert set(versions) <= set(written)


@given(drafts_topics())
def test_while_it_is_killed_nobody_gets_a_lever(topic: list[bytes]) -> None:
    publisher = Publisher()
    for offset, raw in enumerate(topic):
        publisher.read(offset, raw)
        if publisher.state.killed and publisher.told:
            book = OverrideBook(publisher.told[-1], holdout_share=0.0)
            found = book.resolve("pm.uptrend.S1.buy_flag", "entry", SCOPE, "t1", AT_MS)
            assert (found.reason, dict(found.levers)) == ("DISABLED", {})


@given(drafts_topics())
def test_a_pin_holds_through_epochs_and_unpin_brings_the_newest(topic: list[bytes]) -> None:
    publisher = published(topic)
    state = publisher.state
    if not state.killed and state.pinned is not None and state.standing is not None:
        assert state.standing.content_hash == state.pinned.content_hash
    offset = len(topic)
    publisher.read(offset, encode(said("revive", 0, 900)))
    publisher.read(offset + 1, encode(said("unpin", 0, 901)))
    newest = [each for each in publisher.history if each.command is None and _is_good(publisher, each)]
    if state.pinned is not None and newest:
        assert publisher.told[-1].content_hash == newest[-1].content_hash


def _is_good(publisher: Publisher, snapshot: Snapshot) -> bool:
    return any(e.version == snapshot.version and e.outcome in ("announced", "held") for e in publisher.audit)


@given(drafts_topics(), st.data())
def test_every_kept_version_that_is_sound_can_be_rolled_back_to(topic: list[bytes], data: st.DataObject) -> None:
    publisher = published(topic)
    for number, command in enumerate(("revive", "unpin")):
        publisher.read(len(topic) + number, encode(said(command, 0, 900 + number)))
    sound = [each for each in publisher.history if each.flags.learning_overrides_enabled and each.content_hash != "0"]
    if not sound:
        return
    old = data.draw(st.sampled_from(sound))
    newest = publisher.state.version
    publisher.read(len(topic) + 2, encode(said("rollback", old.version, 902)))
    last = publisher.told[-1]
    assert (last.version, last.content_hash) == (newest + 1, old.content_hash)
    assert list(last.overrides()) == list(old.overrides())
    validate(last)


@given(drafts_topics(), st.data())
def test_records_that_are_read_again_change_nothing(topic: list[bytes], data: st.DataObject) -> None:
    """A crash within or after any record: the table comes back, and the topic is read again from some record before."""
    calm, crashed = published(topic), Publisher()
    offset, crashes = 0, data.draw(st.integers(0, 3))
    while offset < len(topic):
        crash = data.draw(st.sampled_from(["", "within", "after"])) if crashes else ""
        crashed.read(offset, topic[offset], crash=crash == "within")
        offset += 1
        if crash:
            crashes -= 1
            offset = data.draw(st.integers(0, offset - (crash == "within")))
    assert msgspec.structs.replace(crashed.state, kept={}) == msgspec.structs.replace(calm.state, kept={})
    assert crashed.state.kept.keys() == calm.state.kept.keys()
    assert _once(crashed.history) == calm.history
    assert _once(crashed.audit) == calm.audit
    seen = [snapshot.version for snapshot in crashed.told]
    assert seen == sorted(seen)
    assert set(seen) == {snapshot.version for snapshot in calm.told}


def _once(found: list[Any]) -> list[Any]:
    """What was written twice, by a step that was done again, counts once."""
    return [each for place, each in enumerate(found) if each not in found[:place]]


@given(drafts_topics())
def test_every_version_and_every_command_stands_in_the_audit(topic: list[bytes]) -> None:
    publisher = published(topic)
    assert sorted(e.version for e in publisher.audit if e.version is not None) == [s.version for s in publisher.history]
    commands = {m.id for raw in topic if isinstance(m := decode_drafts(raw), SnapshotCommand)}
    heard = [event for event in publisher.audit if event.command != "epoch"]
    assert {event.id for event in heard} == commands
    assert len(heard) == len(commands)
    assert all((event.who, event.why) == ("me", "so") for event in heard)
    assert all(event.reason for event in publisher.audit if event.outcome in ("refused", "held", "unchanged"))
