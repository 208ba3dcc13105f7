"""Announced table: the newest version of each module."""

from leverloop.testing import make_snapshot
from tables.announced import AnnouncedState, stored_announced


def test_each_module_has_its_own_version() -> None:
    state = AnnouncedState()
    state.apply(b"pm", stored_announced(make_snapshot(version=4)))
    state.apply(b"dm", stored_announced(make_snapshot(version=9, module="dm")))
    state.apply(b"pm", stored_announced(make_snapshot(version=5)))
    assert state.versions == {"pm": 5, "dm": 9}
    assert len(state) == 2
    state.apply(b"pm", None)
    assert state.versions["pm"] == 5
