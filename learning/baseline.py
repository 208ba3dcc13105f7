"""What a trade of a segment earns anyway: the baseline that an edge is measured against (spec section 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from learning.cells import RR_SCALE, GroupCells

__all__ = ["Baselines", "GroupBaseline", "baseline_sums", "segment_names"]

_SEGMENT_N: Final = 10
_MARGINAL_N: Final = 5

Segment = tuple[str, str]
Sums = tuple[int, int]
"""(distinct trades, sum of rr in 1e-5 R)"""


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
        self._total: dict[tuple[str, Segment], list[int]] = {}
        self._own: dict[tuple[str, str, Segment], Sums] = {}
        self._category: dict[str, list[int]] = {}
        for part in parts:
            for segment, (n, rr_q) in part.segments:
                self._own[part.category, part.group, segment] = (n, rr_q)
                for sums in (
                    self._total.setdefault((part.category, segment), [0, 0]),
                    self._category.setdefault(part.category, [0, 0]),
                ):
                    sums[0] += n
                    sums[1] += rr_q

    def value(self, category: str, group: str, segment: Segment) -> tuple[float, str]:
        """Baseline in R for a trade of a group and segment, and the level it comes from.

        The levels, in their order: the segment over other groups with n >= 10; the n-weighted mean of
        its two one-dimension marginals with n >= 5; the category, all groups; 0.
        """
        n, rr_q = self._others(category, group, (segment,))
        if n >= _SEGMENT_N:
            return _mean(n, rr_q), "segment"
        known = [name for of, name in self._total if of == category]
        marginals = [
            self._others(category, group, [name for name in known if name[side] == segment[side]]) for side in (0, 1)
        ]
        used = [sums for sums in marginals if sums[0] >= _MARGINAL_N]
        if used:
            return _mean(sum(n for n, _ in used), sum(rr_q for _, rr_q in used)), "marginals"
        n, rr_q = self._category.get(category, (0, 0))
        return (_mean(n, rr_q), "category") if n else (0.0, "none")

    def _others(self, category: str, group: str, segments: Iterable[Segment]) -> Sums:
        """Sums over the given segments of the category's trades outside the group."""
        n = rr_q = 0
        for segment in segments:
            all_n, all_q = self._total.get((category, segment), (0, 0))
            own_n, own_q = self._own.get((category, group, segment), (0, 0))
            n += all_n - own_n
            rr_q += all_q - own_q
        return n, rr_q


def _mean(n: int, rr_q: int) -> float:
    return rr_q / n / RR_SCALE
