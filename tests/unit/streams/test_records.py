"""Records: what a stage sees of a broker's message."""

from types import SimpleNamespace

import pytest

from streams.records import Record, record_of


@pytest.mark.parametrize(("value", "seen"), [(b"x", b"x"), (None, b"")])
def test_a_record_is_the_message_with_its_place_and_time(value: bytes | None, seen: bytes) -> None:
    message = SimpleNamespace(
        topic="leverloop.trades", partition=3, offset=7, value=value, key=b"k", timestamp=1_700_000_000.123
    )
    found = record_of(SimpleNamespace(message=message))
    assert found == Record(
        topic="leverloop.trades", partition=3, offset=7, key=b"k", value=seen, received_at_ms=1_700_000_000_123
    )
    assert found.source == "leverloop.trades/3"
