"""What a day did to everybody: the mean rr of its trades beside the lessons, of all groups or of a group's others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from learning.cells import RR_SCALE, GroupCells, day_of
from learning.findings import AcceptedLesson, DaySums, Decided

__all__ = ["day_means", "day_sums", "merged_days", "of_others"]


def day_sums(groups: Iterable[GroupCells], epoch_at_ms: int, lessons: Sequence[AcceptedLesson]) -> DaySums:
    """Trades of each day known at an epoch, and what they made beside the lessons that any of their actions met.

    Notes
    -----
    Each trade counts with the first of its actions of any group, so that what partitions find can be added up. In
    1e-5 R, rounded trade by trade: exact, free of order.
    """

    def of(cells: GroupCells) -> DaySums:
        rows = np.arange(cells.n)
        rows = rows[cells.column("first_of_trade", rows) & (cells.column("counts_from_ms", rows) <= epoch_at_ms)]
        met = (cells.met(lesson.group, lesson.scope, rows) for lesson in lessons)
        return _by_day(cells, rows, _taken_off(len(rows), lessons, met))

    return merged_days(of(cells) for cells in groups)


def merged_days(parts: Iterable[DaySums]) -> DaySums:
    """Sums of all partitions."""
    sums: dict[int, tuple[int, int]] = {}
    for part in parts:
        for day, n, rr_q in part:
            known = sums.get(day, (0, 0))
            sums[day] = (known[0] + n, known[1] + rr_q)
    return tuple((day, *sums[day]) for day in sorted(sums))


def day_means(days: DaySums) -> dict[int, float]:
    """Day -> mean, in R.

    Examples
    --------
    >>> day_means(((20_000, 4, 100_000),))
    {20000: 0.25}
    """
    return {day: rr_q / n / RR_SCALE for day, n, rr_q in days}


def of_others(
    cells: GroupCells, rows: npt.NDArray[np.int64], decided: Decided, matched: Mapping[str, npt.NDArray[np.float64]]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Mean rr of the trades of each row's day that did not act in the group, and how many they are.

    Parameters
    ----------
    cells
        The group.
    rows
        (n_rows,) rows that the decision knew of, those of a trade together.
    decided
        The decision of the epoch before: sums of all trades, and beside which lessons.
    matched
        Lesson -> (n_rows,) 1 on the rows of trades that met it, where that is known already.

    Returns
    -------
    tuple
        (n_rows,) R, beside the lessons, 0 where there are none; (n_rows,) trades.

    Notes
    -----
    A day's mean that contains the group takes a part of the group's own effect off with it: a third of it where
    a third of the trades are its own.
    """
    first = np.ones(len(rows), dtype=np.bool_)
    trade = cells.column("trade", rows)
    first[1:] = trade[1:] != trade[:-1]
    met = (
        matched[lesson.id][first] if lesson.id in matched else cells.met(lesson.group, lesson.scope, rows[first])
        for lesson in decided.days_beside
    )
    taken_off = _taken_off(int(first.sum()), decided.days_beside, met)
    own = {day: (n, rr_q) for day, n, rr_q in _by_day(cells, rows[first], taken_off)}
    others: dict[int, tuple[float, int]] = {}
    for day, n, rr_q in decided.days:
        own_n, own_rr_q = own.get(day, (0, 0))
        if n > own_n:
            others[day] = (rr_q - own_rr_q) / (n - own_n) / RR_SCALE, n - own_n
    of_row = day_of(cells.column("closed_at_ms", rows))
    found = [others.get(day, (0.0, 0)) for day in of_row.tolist()]
    return np.array([mean for mean, _ in found], dtype=np.float64), np.array([n for _, n in found], dtype=np.int64)


def _taken_off(
    n: int, beside: Sequence[AcceptedLesson], met: Iterable[npt.NDArray[np.float64] | npt.NDArray[np.bool_]]
) -> npt.NDArray[np.float64]:
    """Effects of the lessons that each of n trades met, in R."""
    taken_off = np.zeros(n)
    for lesson, hit in zip(beside, met, strict=True):
        taken_off += lesson.effect_rr * hit
    return taken_off


def _by_day(cells: GroupCells, rows: npt.NDArray[np.int64], taken_off: npt.NDArray[np.float64]) -> DaySums:
    """Sums of some rows, each of another trade, less what is taken off each, in R."""
    rr_q = cells.column("rr_q", rows) - np.rint(taken_off * RR_SCALE).astype(np.int64)
    days, inverse, n = np.unique(day_of(cells.column("closed_at_ms", rows)), return_inverse=True, return_counts=True)
    sums = np.zeros(len(days), dtype=np.int64)
    np.add.at(sums, inverse, rr_q)
    return tuple(zip(days.tolist(), n.tolist(), sums.tolist(), strict=True))
