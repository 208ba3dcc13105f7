"""Publish: a snapshot is announced if it may be applied and none newer was (spec section 11)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.snapshot import decode_snapshot, encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot
from streams.publish import announced
from tables.announced import AnnouncedState, stored_announced

GOOD = make_snapshot(make_override({"size_mult": 1.2}, {"bucket": "micro"}), version=5)


def after(*versions: int) -> AnnouncedState:
    state = AnnouncedState()
    for version in versions:
        state.apply(b"pm", stored_announced(make_snapshot(version=version)))
    return state


def test_it_is_announced_as_it_is_with_its_time_and_how_long_it_holds() -> None:
    found = announced(encode_snapshot(GOOD), AnnouncedState(), AT_MS + 7, 1000)
    assert found is not None
    assert (found.published_at_ms, found.valid_until_ms) == (AT_MS + 7, AT_MS + 1007)
    assert found.content_hash == GOOD.content_hash
    assert decode_snapshot(encode_snapshot(found)) == found


@pytest.mark.parametrize(("last", "passes"), [(4, True), (5, True), (6, False)])
def test_an_older_one_stays_back_and_the_last_one_is_said_again(last: int, passes: bool) -> None:
    assert (announced(encode_snapshot(GOOD), after(last), AT_MS, 1) is not None) is passes


def test_modules_do_not_hold_each_other_back() -> None:
    state = after(9)
    assert announced(encode_snapshot(make_snapshot(version=1, module="dm")), state, AT_MS, 1) is not None


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"{", "snapshot"),
        (encode_snapshot(GOOD).replace(b'"size_mult":1.2', b'"size_mult":1.4'), "size_mult"),
        (encode_snapshot(GOOD).replace(b'"size_mult":1.2', b'"size_mult":1.1'), "content_hash"),
        (encode_snapshot(msgspec.structs.replace(GOOD, content_hash="0")), "content_hash"),
    ],
)
def test_one_that_must_not_be_applied_is_refused(raw: bytes, field: str) -> None:
    with pytest.raises(BadInput, match=field):
        announced(raw, AnnouncedState(), AT_MS, 1)


@given(st.lists(st.integers(0, 9), min_size=1))
def test_announced_versions_never_go_back(versions: list[int]) -> None:
    state, seen = AnnouncedState(), []
    for version in versions:
        found = announced(encode_snapshot(make_snapshot(version=version)), state, AT_MS, 1)
        if found is not None:
            state.apply(b"pm", stored_announced(found))
            seen.append(found.version)
    assert seen == sorted(seen)
    assert max(versions) == seen[-1]
