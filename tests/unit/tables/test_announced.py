"""Announced table: what is published of each module comes back from its record, of any version."""

from learning.publishing import Published
from leverloop.heartbeat import Heartbeat
from leverloop.testing import make_override, make_snapshot
from tables.announced import AnnouncedState, stored_announced

STANDING = make_snapshot(make_override({"size_mult": 1.02}, {"bucket": "micro"}), version=4)
NEWER = make_snapshot(make_override({"size_mult": 1.04}, {"bucket": "micro"}), version=5)
FULL = Published(
    offset=7, version=6, standing=STANDING, newest=NEWER, pinned=STANDING, killed=True, refusal="too far",
    commands=("a", "b"), kept={4: 0, 5: 2},
    refused="1750000000000/0",
)  # fmt: skip


def read(published: Published) -> Published:
    state = AnnouncedState()
    state.apply(b"pm", stored_announced(published))
    return state.of("pm")


def test_all_of_it_comes_back() -> None:
    assert read(FULL) == FULL
    assert read(Published()) == Published()


def test_what_stands_is_stored_once() -> None:
    same = Published(version=4, standing=STANDING, newest=STANDING)
    other = Published(version=4, standing=STANDING, newest=NEWER)
    assert read(same) == same
    assert len(stored_announced(same)) < len(stored_announced(other))


def test_what_stands_has_a_heartbeat_and_nothing_else() -> None:
    state = AnnouncedState()
    state.apply(b"dm", stored_announced(Published(version=9)))
    assert state.heartbeats(7) == []
    state.apply(b"pm", stored_announced(FULL))
    beat = Heartbeat(version=4, content_hash=STANDING.content_hash, valid_until_ms=7)
    assert state.heartbeats(7) == [("pm", beat)]


def test_each_module_has_its_own() -> None:
    state = AnnouncedState()
    assert (state.of("pm"), len(state)) == (Published(), 0)
    state.apply(b"pm", stored_announced(FULL))
    state.apply(b"dm", stored_announced(Published(version=9)))
    state.apply(b"pm", None)
    assert (state.of("pm").version, state.of("dm").version, len(state)) == (6, 9, 2)
