"""Regime weights: which factors of an edge have told the truth, by pattern, category and regime (spec section 9, v5.1).

1. A partition sets each trade of its groups against the factors of its group as they were known the epoch before,
   and sums up (`weight_sums`). Sums are of integers: adding them is exact and free of order.
2. Once a day the sums of all partitions become weights (`regime_weights`): the correlation of a factor with how well
   the trade went in the direction of the group's edge, at each level from the full signature to the category.
3. Each subset's edge takes the mean of the weights of its trades' signatures (`learning.regimes`).

A factor that says what comes next is raised, one that does not is left alone, one that misleads is lowered.
Never learned from the edge itself, which contains the factors, and on trades, each once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import add
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from learning.cells import RR_SCALE, GroupCells, day_of
from learning.edge import EdgeWeights
from learning.evidence import day_share
from learning.factor_history import factors_before
from learning.parameters import DAY_MS, Parameters
from learning.regimes import REGIME, RegimeWeight, RegimeWeights, category_of, levels, named, regime_codes
from learning.statistics import GroupView

__all__ = ["GroupWeightSums", "merged_sums", "regime_weights", "weight_sums"]

Sums = tuple[int, ...]
"""Trades; then of each factor, over the trades before which it was known: n, and sums of x, xx, xy, y, yy."""

_FACTORS: Final = EdgeWeights.__struct_fields__
_SIDE: Final = np.array([1.0, 1.0, 1.0, -1.0])
"""Variance lowers an edge: where it goes with good trades it has to lower it less."""
_UNITS: Final = np.array([1e6, 1e6, 1e6, 1e3])
"""Of a factor, and of variance in R squared: squares of a million trades sum up in 64 bits up to 30 R."""
_RR_UNITS: Final = 10_000.0
_PER_FACTOR: Final = 6
_FEWEST: Final = 30
_PRIOR: Final = 20
"""Trades' worth of trust in the level above (spec section 9: r n / (n + 20))."""
_LOW: Final = 0.3
_HIGH: Final = 1.7
_TAU_MS: Final = 30.0 * DAY_MS
_DIGITS: Final = 6
"""Of a weight: a thousandth of what chance does to it, and half the bytes of all of them."""


class GroupWeightSums(msgspec.Struct, frozen=True, kw_only=True):
    """A group's part in the regime weights: sums over its trades for each signature with enough of them.

    Signatures are cut off from behind: "" is the group, "macro=Dip" all its trades in a dip, and so on.
    """

    group: str
    by_signature: tuple[tuple[str, Sums], ...]


def weight_sums(
    cells: GroupCells, view: GroupView, day_mean: Mapping[int, float], known_at_ms: int, parameters: Parameters
) -> GroupWeightSums:
    """Sums of one group, which lives in one partition: x is a factor as of the epoch before the trade's action.

    Parameters
    ----------
    cells, view
        The group, and its rows at an epoch with their baselines.
    day_mean
        UTC day -> mean rr over all trades of all groups, in R.
    known_at_ms
        Epoch by which a trade must count: that of the day means, which know of nothing later.
    parameters
        The rules.

    Notes
    -----
    y = sign(delta_rr) (rr - baseline - b m), of each trade once, with its first action in the group: delta_rr as of the
    same epoch as x, m the mean of the day of the close, b how much of it the group shares (least squares within 0 and
    1, as in the search of lessons). Days move together; without that a factor would be praised for the market's
    weather. Signatures with less than 30 trades are left out, they are in those they fall back to. Source: spec
    section 9. Cost: O(n log n) in the group's rows.
    """
    counts_from_ms = cells.column("counts_from_ms", view.rows)
    rows = np.flatnonzero(view.clustered.first & (counts_from_ms <= known_at_ms))
    step = parameters.epoch_ms
    epoch_before = -(-cells.column("action_at_ms", view.rows[rows]) // step) * step - step
    trades = view.trades
    before = factors_before(trades, rows, counts_from_ms[rows], epoch_before, parameters.recurrence_tau_days * DAY_MS)
    above = view.rr_q[rows] / RR_SCALE - trades.segment_rr[trades.segment[rows]]
    day, at = np.unique(day_of(trades.closed_at_ms[rows]), return_inverse=True)
    means = np.array([day_mean.get(one, 0.0) for one in day.tolist()], dtype=np.float64)[at]
    y = before.sign * (above - day_share(means, above) * means)
    told = np.flatnonzero(np.abs(before.sign) == 1.0)  # with no edge yet, or none at all, nothing was said
    factors = np.stack([getattr(before, name)[told] for name in _FACTORS])
    return GroupWeightSums(
        group=cells.group,
        by_signature=_by_signature(cells, view.rows[rows[told]], _observed(factors, y[told])),
    )


def merged_sums(*parts: Iterable[GroupWeightSums]) -> tuple[GroupWeightSums, ...]:
    """Sums put together, by group and signature; equal ones are added.

    Notes
    -----
    Adding is of integers: associative and commutative, and nothing added changes nothing. Source: spec section 9.

    Examples
    --------
    >>> part = GroupWeightSums(group="pm.up.S1.a|add", by_signature=(("", (2, 1)), ("macro=Dip", (1, 0))))
    >>> merged_sums([part], [part])[0].by_signature
    (('', (4, 2)), ('macro=Dip', (2, 0)))
    """
    groups: dict[str, dict[str, Sums]] = {}
    for part in (one for several in parts for one in several):
        known = groups.setdefault(part.group, {})
        for signature, sums in part.by_signature:
            known[signature] = _added(known.get(signature), sums)
    return tuple(
        GroupWeightSums(group=group, by_signature=tuple(sorted(known.items())))
        for group, known in sorted(groups.items())
    )


def regime_weights(parts: Iterable[GroupWeightSums], previous: RegimeWeights | None, at_ms: int) -> RegimeWeights:
    """Weights from the sums of all groups, as an exponentially weighted mean over time (tau 30 days).

    Parameters
    ----------
    parts
        Of all partitions, in any order.
    previous
        The weights of the time before. A key that is new goes on from what it fell back to; without any weights
        before, the first are taken as they are.
    at_ms
        Now. At the same time again, nothing changes.

    Notes
    -----
    With r the correlation of x and y over n trades at a level, and R that of the next level (0 behind the last),
    R' = (n r + 20 R) / (n + 20) from 30 trades on, else R; the weight is 1 + R' within 0.3 and 1.7, for variance
    1 - R'. Where the next level is neutral that is 1 + r n / (n + 20). Source: spec section 9. Cost: O(keys).

    Examples
    --------
    >>> # Twenty times a factor of 0 and a loss of 1 R, twenty times 1 and a win; of the others nothing is known.
    >>> sums = (40, 40, 20 * 10**6, 20 * 10**12, 20 * 10**10, 0, 40 * 10**8, *[0] * 18)
    >>> found = regime_weights([GroupWeightSums(group="pm.up.S1.a|add", by_signature=(("", sums),))], None, 0)
    >>> found.weights_of("pm.down.S2.b|add", "").time_efficiency  # another pattern: r = 1, n = 40
    1.666667
    """
    groups = merged_sums(parts)
    shrunk: dict[tuple[str, str], tuple[int, npt.NDArray[np.float64]]] = {}
    categories: dict[str, Sums] = {}
    for part in groups:
        category = category_of(part.group)
        categories[category] = _added(categories.get(category), dict(part.by_signature)[""])
    for category, sums in categories.items():
        shrunk[category, ""] = (sums[0], _toward(sums, np.zeros(len(_FACTORS))))
    for part in groups:
        for signature, sums in part.by_signature:  # sorted: what it falls back to stands before it
            key, *further = levels(part.group, signature)
            following = next(shrunk[level][1] for level in further if level in shrunk)
            shrunk[key] = (sums[0], _toward(sums, following))
    step = 1.0 if previous is None else -math.expm1(-max(at_ms - previous.at_ms, 0) / _TAU_MS)
    found: dict[str, dict[str, RegimeWeight]] = {}
    for (group, signature), (n, r) in sorted(shrunk.items(), key=lambda item: item[0]):
        if n >= _FEWEST:
            before = None if previous is None else previous.weights_of(group, signature)
            found.setdefault(group, {})[signature] = _weight(n, r, before, step)
    return RegimeWeights(at_ms=at_ms, of=found)


def _observed(factors: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """What each trade adds to the sums: (n_trades, 25) int64."""
    y_q = np.rint(y * _RR_UNITS).astype(np.int64)
    columns = [np.ones_like(y_q)]
    for x, units in zip(factors, _UNITS, strict=True):
        known = ~np.isnan(x)
        x_q = np.rint(np.where(known, x, 0.0) * units).astype(np.int64)
        y_known = np.where(known, y_q, 0)
        columns += [known.astype(np.int64), x_q, x_q * x_q, x_q * y_known, y_known, y_known * y_known]
    return np.stack(columns, axis=1)


def _by_signature(
    cells: GroupCells, rows: npt.NDArray[np.int64], observed: npt.NDArray[np.int64]
) -> tuple[tuple[str, Sums], ...]:
    """Sums of the group, and of each signature with enough trades, by name."""
    if not len(rows):
        return (("", (0,) * observed.shape[1]),)
    codes = regime_codes(cells, rows)
    order = np.lexsort(codes.T[::-1])
    codes, observed = codes[order], observed[order]
    changed = np.zeros(codes.shape, dtype=np.bool_)
    changed[0] = True
    changed[1:] = np.logical_or.accumulate(codes[1:] != codes[:-1], axis=1)
    found = [("", tuple(observed.sum(axis=0).tolist()))]
    for level in range(1, len(REGIME) + 1):
        starts = np.flatnonzero(changed[:, level - 1])
        sums = np.add.reduceat(observed, starts)
        enough = np.flatnonzero(sums[:, 0] >= _FEWEST)
        found += [(named(cells, codes[starts[i], :level]), tuple(sums[i].tolist())) for i in enough.tolist()]
    return tuple(sorted(found))


def _added(known: Sums | None, sums: Sums) -> Sums:
    return sums if known is None else tuple(map(add, known, sums))


def _toward(sums: Sums, following: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Correlation of each factor, (4,), shrunken toward that of the next level."""
    found = following.copy()
    for j in range(len(_FACTORS)):
        first = 1 + _PER_FACTOR * j
        n, x, xx, xy, y, yy = sums[first : first + _PER_FACTOR]
        if n >= _FEWEST:
            x_spread, y_spread = n * xx - x * x, n * yy - y * y
            r = (n * xy - x * y) / math.sqrt(x_spread) / math.sqrt(y_spread) if x_spread and y_spread else 0.0
            found[j] = (n * min(max(r, -1.0), 1.0) + _PRIOR * following[j]) / (n + _PRIOR)
    return found


def _weight(n: int, shrunk: npt.NDArray[np.float64], before: EdgeWeights | None, step: float) -> RegimeWeight:
    weights = np.clip(1.0 + _SIDE * shrunk, _LOW, _HIGH)
    if before is not None:
        stood = np.array(msgspec.structs.astuple(before))
        weights = np.clip(stood + step * (weights - stood), _LOW, _HIGH)
    return RegimeWeight(
        weights=EdgeWeights(**dict(zip(_FACTORS, weights.round(_DIGITS).tolist(), strict=True))),
        n_samples=n,
        confidence=round(n / (n + _PRIOR), _DIGITS),
    )
