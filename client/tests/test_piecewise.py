"""Cutting a snapshot's bytes: the pieces say what the whole says, whatever stands in the strings."""

from typing import Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.piecewise import cut
from leverloop.snapshot import Snapshot, decode_snapshot, encode_snapshot, in_order, override_id, read_snapshot
from leverloop.testing import make_override, make_snapshot

from .strategies import snapshots

NAMES = ("alloc_overrides", "pattern_overrides", "pattern_strength_overrides")
WORDS = ("alpha", "},{", "}]", '"},{"', "\\", "é" * 20)


def large(overrides_count: int, word: str = "alpha") -> Snapshot:
    """Snapshot that is cut into several pieces, with a word of the test's in each scope."""
    found = [
        make_override(
            {"alloc_mult": 1.1},
            {"curator": f"{word}{i}", "chain": "sol"},
            pattern_key="dm.curator.x.y",
            action_category="allocation",
        )
        for i in range(overrides_count)
    ]
    return make_snapshot(*found, module="dm")


@given(snapshots())
def test_what_is_read_in_pieces_is_what_was_written(snapshot: Snapshot) -> None:
    raw = encode_snapshot(snapshot)
    assert cut(raw, NAMES) is not None
    assert read_snapshot(raw) == (snapshot, {override_id(o): o for o in snapshot.overrides()})


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("overrides_count", [1, 60, 1_500])
def test_marks_within_strings_change_nothing(word: str, overrides_count: int) -> None:
    snapshot = large(overrides_count, word)
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def test_a_large_snapshot_has_many_pieces_and_no_long_one() -> None:
    raw = encode_snapshot(large(1_500))
    pieces = cut(raw, NAMES)
    assert pieces is not None
    lengths = [end - start for spans in pieces.spans for start, end in spans]
    assert len(lengths) > 10
    assert max(lengths) <= 34_000


def test_bytes_that_are_laid_out_otherwise_are_decoded_in_one_go() -> None:
    snapshot = large(60)
    spread = msgspec.json.format(encode_snapshot(snapshot), indent=2)
    assert cut(spread, NAMES) is None
    assert decode_snapshot(spread) == snapshot


def _twice(raw: bytes) -> bytes:
    return raw.replace(b'"pattern_overrides":[]', b'"pattern_overrides":[],"pattern_overrides":[]')


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda raw: raw[:-1], "truncated"),
        (lambda raw: raw[:40_000], "truncated"),
        (lambda raw: raw.replace(b'"chain":"sol"', b'"chain":[1]', 1), "scope"),
        (lambda raw: raw.replace(b"},{", b"},,{", 1), "malformed"),
        (lambda raw: raw.replace(b"1.1", b"1.4", 1), "a number in 0.7..1.3"),
        (lambda raw: raw.replace(b"1.1", b"1.2", 1), "content_hash"),
        (lambda raw: raw.replace(b'"curator":"alpha1"', b'"curator":"alpha0"', 1), "a duplicate key"),
    ],
)
def test_what_is_spoilt_is_refused(spoil: Any, problem: str) -> None:
    raw = encode_snapshot(large(200))
    assert len(raw) > 60_000
    with pytest.raises(BadInput, match=problem):
        decode_snapshot(spoil(raw))


def test_of_a_list_that_is_there_twice_json_takes_the_last() -> None:
    raw = encode_snapshot(large(2))
    assert cut(_twice(raw), NAMES) is None
    assert decode_snapshot(_twice(raw)) == large(2)


ids = st.lists(st.text("ab|0", max_size=6).map(lambda head: f"{head}|{crc32(head.encode()):032x}"), unique=True)


@given(ids)
def test_ids_come_in_order(found: list[str]) -> None:
    assert list(in_order(found)) == sorted(found)


def test_ids_come_in_order_where_one_group_has_very_many() -> None:
    found = [override_id(o) for o in large(5_000).overrides()]
    assert list(in_order(found)) == sorted(found)
