"""Statistics of one subset of a group, at an epoch or when asked (spec section 6)."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from learning.baseline import Baselines, segment_names
from learning.cells import RR_SCALE, GroupCells
from learning.edge import edge_raw
from learning.parameters import DAY_MS, Parameters

__all__ = ["GroupView", "SubsetStats", "group_view", "subset_stats"]

_COHERENCE_N: Final = 5
_INT64: Final = 2**63


class SubsetStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics over the distinct trades of a subset; None is "not known", never 0."""

    n: int
    n_actions: int
    avg_rr: float
    variance: float | None
    win_rate: float
    rr_baseline: float
    """Mean over the trades of the baseline of their segment."""
    rr_baseline_level: str
    """The level most trades took their baseline from."""
    delta_rr: float
    time_efficiency: float
    field_coherence: float | None
    segments_tested: int
    segments_positive: int
    recurrence_raw: float
    recurrence_score: float
    edge_raw: float | None
    last_closed_at_ms: int


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """Counted rows of a group as arrays, (n_rows,) each, rows of a trade together, by time within it."""

    rows: npt.NDArray[np.int64]
    trade: npt.NDArray[np.int64]
    rr_q: npt.NDArray[np.int64]
    payback_days: npt.NDArray[np.float64]
    closed_at_ms: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    baseline_rr: npt.NDArray[np.float64]
    baseline_level: npt.NDArray[np.int64]
    levels: tuple[str, ...]
    epoch_at_ms: int


def group_view(cells: GroupCells, epoch_at_ms: int, baselines: Baselines, segment: tuple[str, str]) -> GroupView:
    """Rows of a group that count by an epoch, each with the baseline of its segment.

    Notes
    -----
    Cost: O(n log n) in the group's rows. Source: spec section 6.
    """
    rows = cells.counted(epoch_at_ms)
    dims = [cells.dimensions.index(name) for name in segment]
    codes = cells.codes(rows)[:, dims].astype(np.int64)
    packed, inverse = np.unique(codes[:, 0] << 16 | codes[:, 1], return_inverse=True)
    category = f"{cells.module}|{cells.action_category}"
    known = [
        baselines.value(category, cells.group, segment_names(cells, dims, (int(code) >> 16, int(code) & 0xFFFF)))
        for code in packed
    ]
    levels = tuple(sorted({level for _, level in known}))
    payback_ms, hold_ms = cells.column("payback_ms", rows), cells.column("hold_ms", rows)
    return GroupView(
        rows=rows,
        trade=cells.column("trade", rows),
        rr_q=cells.column("rr_q", rows),
        payback_days=np.where(payback_ms >= 0, payback_ms, hold_ms) / DAY_MS,
        closed_at_ms=cells.column("closed_at_ms", rows),
        segment=inverse.astype(np.int64),
        baseline_rr=np.array([value for value, _ in known], dtype=np.float64)[inverse],
        baseline_level=np.array([levels.index(level) for _, level in known], dtype=np.int64)[inverse],
        levels=levels,
        epoch_at_ms=epoch_at_ms,
    )


def subset_stats(view: GroupView, inside: npt.NDArray[np.bool_], parameters: Parameters) -> SubsetStats | None:
    """Statistics of the rows inside a subset, or None if there are none.

    Parameters
    ----------
    view
        The group at an epoch.
    inside
        (n_rows,) bool. A trade counts once, with its first action inside.
    parameters
        For the time constant of the recurrence.

    Notes
    -----
    Source: spec section 6.
    """
    hit = np.flatnonzero(inside)
    if not len(hit):
        return None
    trade = view.trade[hit]
    first = hit[np.concatenate([[True], trade[1:] != trade[:-1]])]
    n, rr_q = len(first), view.rr_q[first]
    rr = rr_q / RR_SCALE
    delta = rr - view.baseline_rr[first]
    delta_rr = math.fsum(delta) / n
    variance = _variance(rr_q) if n > 1 else None
    tested, positive = _segments(view.segment[first], delta, delta_rr)
    efficiency = 1.0 / (1.0 + math.fsum(view.payback_days[first]) / n)
    recurrence = _recurrence(view, first, delta, parameters)
    score = max(0.0, math.tanh(math.copysign(1.0, delta_rr) * recurrence))
    coherence = positive / tested if tested else None
    return SubsetStats(
        n=n,
        n_actions=len(hit),
        avg_rr=int(rr_q.sum()) / n / RR_SCALE,
        variance=variance,
        win_rate=int((rr_q > 0).sum()) / n,
        rr_baseline=math.fsum(view.baseline_rr[first]) / n,
        rr_baseline_level=view.levels[int(np.bincount(view.baseline_level[first]).argmax())],
        delta_rr=delta_rr,
        time_efficiency=efficiency,
        field_coherence=coherence,
        segments_tested=tested,
        segments_positive=positive,
        recurrence_raw=recurrence,
        recurrence_score=score,
        edge_raw=edge_raw(
            delta_rr=delta_rr,
            variance=variance,
            n=n,
            time_efficiency=efficiency,
            field_coherence=coherence,
            recurrence_score=score,
        ),
        last_closed_at_ms=int(view.closed_at_ms[first].max()),
    )


def _variance(rr_q: npt.NDArray[np.int64]) -> float:
    """Sample variance in R squared, from exact integer sums (Python's own where 64 bits could overflow)."""
    n, total = len(rr_q), int(rr_q.sum())
    largest = int(np.abs(rr_q).max())
    wide = rr_q if n * largest * largest < _INT64 else rr_q.astype(object)
    squares = int((wide * wide).sum())
    return (n * squares - total * total) / (n * (n - 1)) / RR_SCALE**2


def _segments(segment: npt.NDArray[np.int64], delta: npt.NDArray[np.float64], pooled: float) -> tuple[int, int]:
    """Segments with n >= 5, and those of them whose mean has the sign of the pooled one."""
    counts = np.bincount(segment)
    means = np.bincount(segment, weights=delta) / np.maximum(counts, 1)
    tested = counts >= _COHERENCE_N
    return int(tested.sum()), int((tested & (np.sign(means) == np.sign(pooled))).sum())


def _recurrence(
    view: GroupView, first: npt.NDArray[np.int64], delta: npt.NDArray[np.float64], parameters: Parameters
) -> float:
    """Event-time exponentially weighted mean of rr above the baseline; weights relative to the newest trade."""
    at = view.closed_at_ms[first]
    weight = np.exp((at - at.max()) / (parameters.recurrence_tau_days * DAY_MS))
    return math.fsum(weight * delta) / math.fsum(weight)
