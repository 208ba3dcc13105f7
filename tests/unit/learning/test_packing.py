"""Packed rows, many at once, are the rows one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learning.packing import Joined, PackedRows
from learning.places import group_of_place, place_of
from learning.rows import FIXED, Row, packed
from leverloop.scope import DEFAULT_SCHEMA

GROUPS = ("pm.up.S1.a|add", "pm.up.S1.b|add", "dm.x|size")
PARTS = st.lists(st.sampled_from([b"", b"a", b"ab", b"b", b"x" * 300, b"x" * 299 + b"y"]))


@st.composite
def rows_of(draw: st.DrawFn) -> list[Row]:
    section = st.binary(max_size=30)
    return [
        Row(
            outcome_id=b"%d" % i,
            fixed=draw(st.binary(min_size=FIXED.itemsize, max_size=FIXED.itemsize)),
            place=place_of(draw(st.sampled_from(GROUPS)), draw(st.sampled_from([{}, {"bucket": "nano"}])), DEFAULT_SCHEMA),
            companions=draw(section),
            names=draw(section),
            values=draw(section),
        )
        for i in range(draw(st.integers(0, 8)))
    ]  # fmt: skip


@given(PARTS)
def test_numbers_are_equal_for_equal_parts_only(parts: list[bytes]) -> None:
    numbers, distinct = Joined.of(parts).numbered()
    assert [distinct[number] for number in numbers.tolist()] == parts
    assert distinct == list(dict.fromkeys(parts))


@given(PARTS, st.data())
def test_parts_are_taken_and_gathered(parts: list[bytes], data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(parts) - 1))) if parts else []
    taken = Joined.of(parts).taken(np.array(wanted, dtype=np.int64))
    assert [taken.part(i) for i in range(len(wanted))] == [parts[i] for i in wanted]
    assert taken.gathered().tobytes() == b"".join(parts[i] for i in wanted)


@given(rows_of(), st.integers(0, 5))
def test_every_row_comes_back_in_its_group(rows: list[Row], skip: int) -> None:
    ids = Joined.of([row.outcome_id for row in rows])
    many = PackedRows(ids, Joined.of([bytes(skip) + packed(row) for row in rows]), skip)
    assert [many.row(at) for at in range(len(many))] == rows
    assert many.fixed.tobytes() == b"".join(row.fixed for row in rows)
    found = {group: [some.row(at) for at in range(len(some))] for group, some in many.by_group()}
    wanted: dict[str, list[Row]] = {}
    for row in rows:
        wanted.setdefault(group_of_place(row.place), []).append(row)
    assert found == wanted
