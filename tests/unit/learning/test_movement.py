"""Limits of a snapshot against its parent: what moves, what comes and goes, what is too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.movement import Limits, moved, require_size, require_within
from leverloop.errors import BadInput
from leverloop.snapshot import Snapshot
from leverloop.testing import make_override, make_snapshot

SIZES = st.floats(0.7, 1.3)


def book(*sizes: float) -> Snapshot:
    return make_snapshot(*(make_override({"size_mult": size}, {"curator": f"c{n}"}) for n, size in enumerate(sizes)))


EMPTY = book()


@pytest.mark.parametrize(
    ("before", "after", "ranges"),
    [
        (1.0, 1.3, 0.5),
        (1.3, 1.0, 0.0),
        (1.2, 1.1, 0.0),
        (1.1, 1.2, 1 / 6),
        (0.7, 1.3, 0.5),
        (1.3, 0.7, 0.5),
        (0.9, 0.8, 1 / 6),
    ],
)
def test_only_what_goes_away_from_neutral_moves(before: float, after: float, ranges: float) -> None:
    assert moved(book(before), book(after)) == pytest.approx(ranges)


def test_what_is_not_there_is_neutral_and_a_threshold_has_none() -> None:
    assert moved(EMPTY, book(1.15)) == pytest.approx(0.25)
    assert moved(book(1.3), EMPTY) == 0.0

    def threshold(value: float) -> Snapshot:
        return make_snapshot(
            make_override({"signal_thresholds.min_ts_for_add": value}, {"bucket": "micro"}, action_category="add")
        )

    assert moved(EMPTY, threshold(0.6)) == 0.0
    assert moved(threshold(0.6), threshold(0.5)) == pytest.approx(0.1)


@given(st.lists(SIZES, min_size=1, max_size=8), st.data())
def test_nothing_moves_on_its_way_home(sizes: list[float], data: st.DataObject) -> None:
    share = data.draw(st.floats(0.0, 1.0))
    home = [1.0 + share * (size - 1.0) for size in sizes]
    assert moved(book(*sizes), book(*home)) == pytest.approx(0.0, abs=1e-12)
    assert moved(EMPTY, book(*sizes)) == pytest.approx(sum(abs(size - 1.0) / 0.6 for size in sizes))


def test_an_epoch_may_move_so_much_and_no_more() -> None:
    limits = Limits(max_movement=0.25)
    require_within(book(*[1.2] * 15), EMPTY, limits)  # 5 ranges: what 20 overrides may
    with pytest.raises(BadInput, match=r"total movement of at most 5 lever ranges against version 1 .*, was 5\.3"):
        require_within(book(*[1.2] * 16), EMPTY, limits)
    require_within(book(*[1.2] * 16), None, limits)


def test_so_many_may_come_and_go() -> None:
    limits = Limits(max_changed=3, max_overrides=4, max_movement=9.0)
    require_within(book(*[1.1] * 3), EMPTY, limits)
    with pytest.raises(BadInput, match=r"at most 3 that come or go against version 1 .*, was 4"):
        require_within(EMPTY, book(*[1.1] * 4), limits)
    with pytest.raises(BadInput, match=r"at most 4 overrides .*, was 5"):
        require_within(book(*[1.1] * 5), book(*[1.1] * 5), limits)


def test_a_snapshot_that_is_too_large_is_told_by_how_much() -> None:
    require_size(1 << 20, Limits(max_bytes=1 << 20))
    with pytest.raises(BadInput, match=r"at most 1\.00 MiB .*, was '1\.50 MiB'"):
        require_size(3 << 19, Limits(max_bytes=1 << 20))
