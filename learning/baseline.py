"""What a trade of a segment earns anyway: the baseline that an edge is measured against (spec section 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from learning.cells import RR_SCALE, GroupCells

__all__ = ["LEVELS", "Baselines", "GroupBaseline", "baseline_sums", "merged", "segment_names"]

LEVELS: Final = ("category", "marginals", "none", "segment")
"""Where a baseline can come from, by name."""

_SEGMENT_N: Final = 10
_MARGINAL_N: Final = 5

Segment = tuple[str, str]
Sums = tuple[int, int]
"""(distinct trades, sum of rr in 1e-5 R)"""
_NOTHING: Final[Sums] = (0, 0)


class GroupBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """A group's part in the baseline of its category: per segment, each trade once."""

    group: str
    category: str
    """``module|action_category``: baselines are kept per category, over all its groups."""
    segments: tuple[tuple[Segment, Sums], ...]


def baseline_sums(cells: GroupCells, epoch_at_ms: int, segment: tuple[str, str]) -> GroupBaseline:
    """Partial baseline of one group: its outcomes that count by the epoch and are first of their category.

    Merged over all groups of a category, each trade counts once, in the segment of its first action.

    Notes
    -----
    Source: spec section 6, rr_baseline.
    """
    rows = np.arange(cells.n)
    first = cells.column("first_of_category", rows) & (cells.column("counts_from_ms", rows) <= epoch_at_ms)
    rows = rows[first]
    dims = [cells.dimensions.index(name) for name in segment]
    codes = cells.codes(rows)[:, dims].astype(np.int64)
    packed, inverse, n = np.unique(codes[:, 0] << 16 | codes[:, 1], return_inverse=True, return_counts=True)
    sums = np.zeros(len(packed), dtype=np.int64)
    np.add.at(sums, inverse, cells.column("rr_q", rows))
    names = [segment_names(cells, dims, (int(code) >> 16, int(code) & 0xFFFF)) for code in packed]
    return GroupBaseline(
        group=cells.group,
        category=f"{cells.module}|{cells.action_category}",
        segments=tuple(sorted(zip(names, zip(n.tolist(), sums.tolist(), strict=True), strict=True))),
    )


def segment_names(cells: GroupCells, dims: list[int], codes: tuple[int, int]) -> Segment:
    """Names of a segment's two values, empty where missing."""
    return cells.value_name(dims[0], codes[0]), cells.value_name(dims[1], codes[1])


def merged(*parts: Iterable[GroupBaseline]) -> tuple[GroupBaseline, ...]:
    """Partial baselines put together, by category, group and segment; equal ones are added.

    Notes
    -----
    Adding is of integers: associative and commutative, and nothing added changes nothing. Source: spec section 6.

    Examples
    --------
    >>> part = GroupBaseline(group="a", category="pm|entry", segments=((("micro", "1h"), (10, 500_000)),))
    >>> merged([part], [part])[0].segments
    ((('micro', '1h'), (20, 1000000)),)
    >>> merged([part], []) == merged([], [part]) == (part,)
    True
    """
    sums: dict[tuple[str, str], dict[Segment, Sums]] = {}
    for part in (one for several in parts for one in several):
        known = sums.setdefault((part.category, part.group), {})
        for segment, (n, rr_q) in part.segments:
            own_n, own_q = known.get(segment, (0, 0))
            known[segment] = (own_n + n, own_q + rr_q)
    return tuple(
        GroupBaseline(group=group, category=category, segments=tuple(sorted(known.items())))
        for (category, group), known in sorted(sums.items())
    )


class Baselines:
    """Merged baselines of all categories.

    Examples
    --------
    >>> parts = [GroupBaseline(group="a", category="pm|entry", segments=((("micro", "1h"), (10, 500_000)),)),
    ...          GroupBaseline(group="b", category="pm|entry", segments=((("micro", "1h"), (40, 0)),))]
    >>> Baselines(parts).value("pm|entry", "b", ("micro", "1h"))
    (0.5, 'segment')
    >>> Baselines(parts).value("pm|entry", "b", ("mid", "4h"))
    (0.1, 'category')
    """

    def __init__(self, parts: Iterable[GroupBaseline]) -> None:
        # (category, first value, second value) with None for any value, and beside it the group with None for all
        # groups: each part is added to all eight of its margins, so that every question is a look-up.
        self._sums: dict[tuple[str, str | None, str | None, str | None], Sums] = {}
        for part in merged(parts):
            for (first, second), (n, rr_q) in part.segments:
                for group in (part.group, None):
                    for margin in ((first, second), (first, None), (None, second), (None, None)):
                        known_n, known_q = self._sums.get((part.category, group, *margin), _NOTHING)
                        self._sums[part.category, group, *margin] = (known_n + n, known_q + rr_q)

    def value(self, category: str, group: str, segment: Segment) -> tuple[float, str]:
        """Baseline in R for a trade of a group and segment, and the level it comes from.

        The levels, in their order: the segment over other groups with n >= 10; the n-weighted mean of
        its two one-dimension marginals with n >= 5; the category, all groups; 0.
        """
        first, second = segment
        n, rr_q = self._others(category, group, first, second)
        if n >= _SEGMENT_N:
            return _mean(n, rr_q), "segment"
        marginals = (self._others(category, group, first, None), self._others(category, group, None, second))
        used = [sums for sums in marginals if sums[0] >= _MARGINAL_N]
        if used:
            return _mean(sum(n for n, _ in used), sum(rr_q for _, rr_q in used)), "marginals"
        n, rr_q = self._sums.get((category, None, None, None), _NOTHING)
        return (_mean(n, rr_q), "category") if n else (0.0, "none")

    def _others(self, category: str, group: str, first: str | None, second: str | None) -> Sums:
        """Sums over the category's trades outside the group, None for any value."""
        all_n, all_q = self._sums.get((category, None, first, second), _NOTHING)
        own_n, own_q = self._sums.get((category, group, first, second), _NOTHING)
        return all_n - own_n, all_q - own_q


def _mean(n: int, rr_q: int) -> float:
    return rr_q / n / RR_SCALE
