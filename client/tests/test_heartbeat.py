"""Heartbeats: what is written is what is read, anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.heartbeat import Heartbeat, decode_heartbeat, encode_heartbeat, heartbeat_key

counts = st.integers(0, 2**53 - 1)


@given(st.builds(Heartbeat, version=counts, content_hash=st.text(), valid_until_ms=counts))
def test_what_is_written_is_what_is_read(heartbeat: Heartbeat) -> None:
    assert decode_heartbeat(encode_heartbeat(heartbeat)) == heartbeat


def test_a_later_publisher_may_say_more() -> None:
    raw = b'{"version": 7, "hash": "ab", "valid_until_ms": 9, "published_at_ms": 8}'
    assert decode_heartbeat(raw) == Heartbeat(version=7, content_hash="ab", valid_until_ms=9)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{}", b'{"version": -1, "hash": "a", "valid_until_ms": 1}', b"[" * 99])
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInput, match="heartbeat: expected a version, a hash and valid_until_ms"):
        decode_heartbeat(raw)


def test_each_module_has_its_own() -> None:
    assert {heartbeat_key("pm"), heartbeat_key("dm")} == {"pm/heartbeat", "dm/heartbeat"}
