"""Postings: the trades inside a subset, whichever subset was asked for before, in however many batches."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.postings import Inside, Postings

CODES = st.integers(0, 3)


@st.composite
def rows(draw: st.DrawFn) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    actions = draw(st.lists(st.integers(1, 3), max_size=12))
    trade = np.repeat(np.arange(len(actions), dtype=np.int64), actions)
    codes = draw(st.lists(st.tuples(CODES, CODES, CODES), min_size=len(trade), max_size=len(trade)))
    return np.array(codes, dtype=np.int32).reshape(-1, 3), trade


SUBSETS = st.lists(st.tuples(st.integers(0, 5), CODES, CODES), max_size=12)


def plain(codes: npt.NDArray[Any], trade: npt.NDArray[np.int64], subset: tuple[int, ...]) -> tuple[list[int], int]:
    hit = [
        i for i, row in enumerate(codes.tolist()) if all(v in (0, code) for v, code in zip(subset, row, strict=True))
    ]
    first = [i for k, i in enumerate(hit) if k == 0 or trade[i] != trade[hit[k - 1]]]
    return first, len(hit)


def of_each(found: Inside) -> list[tuple[list[int], int]]:
    borders = zip(found.start[:-1], found.start[1:], strict=True)
    return [(found.rows[a:b].tolist(), n) for (a, b), n in zip(borders, found.n_actions.tolist(), strict=True)]


@given(rows(), SUBSETS)
def test_inside_is_the_first_matching_row_of_each_trade(
    found: tuple[npt.NDArray[Any], npt.NDArray[np.int64]], subsets: list[tuple[int, ...]]
) -> None:
    wanted = np.array(subsets, dtype=np.int32).reshape(-1, 3)
    inside = Postings(*found).inside(wanted)
    assert of_each(inside) == [plain(*found, subset) for subset in subsets]
    assert inside.n.tolist() == [len(first) for first, _ in of_each(inside)]


@pytest.mark.parametrize("n_subsets", [0, 1, 7, 14_500])
def test_batches_are_all_of_it_and_each_small(n_subsets: int) -> None:
    codes = np.ones((3000, 2), dtype=np.int32)  # each subset may reach all of it
    postings = Postings(codes, np.arange(3000))
    batches = list(postings.batches(np.ones((n_subsets, 2), dtype=np.int32)))
    assert [i for batch in batches for i in range(n_subsets)[batch]] == list(range(n_subsets))
    assert all((batch.stop - batch.start) * 3000 <= 16_003_000 for batch in batches)
    assert len(batches) == max(1, -(-n_subsets * 3000 // 16_000_000))
