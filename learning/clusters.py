"""What moves together: the observations of a group, clustered by blocks of days or by spell (spec section 6)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells, day_of
from learning.evidence import Effects, effects, effects_by_spell
from learning.postings import Postings

__all__ = ["REGIME", "ClusteredGroup", "block_days"]

REGIME: Final = ("macro_phase", "meso_phase", "micro_phase", "bucket_leader")
"""Dimensions that last, bits 0 to 3: what pins one of them has spells for clusters."""
_FEWEST_DAYS: Final = 20
"""With fewer, only an autocorrelation above 0.5 could be told from noise (2 sqrt(log10(T) / T))."""
_UNSEEN: Final = 5
"""Lags in a row without autocorrelation after which there is taken to be none (Politis and White's K, at least)."""


class ClusteredGroup:
    """Some rows of a group, with the clusters that errors are taken over.

    Parameters
    ----------
    cells
        The group.
    rows
        (n_rows,) rows, those of a trade together.
    """

    def __init__(self, cells: GroupCells, rows: npt.NDArray[np.int64]) -> None:
        self.codes = np.ascontiguousarray(cells.codes(rows).astype(np.int32))
        self.trade = cells.column("trade", rows)
        self.day = day_of(cells.column("closed_at_ms", rows))
        self._action_at_ms = cells.column("action_at_ms", rows)
        self.first = np.ones(len(rows), dtype=np.bool_)
        self.first[1:] = self.trade[1:] != self.trade[:-1]
        self._runs: dict[int, npt.NDArray[np.int64]] = {}
        self.regime = np.array([i for i, name in enumerate(cells.dimensions) if name in REGIME], dtype=np.int64)

    @cached_property
    def postings(self) -> Postings:
        """Rows by value."""
        return Postings(self.codes, self.trade)

    @cached_property
    def by_time(self) -> npt.NDArray[np.int64]:
        """Rows in the order of their actions: (n_rows,) int64."""
        return np.lexsort((self.trade, self._action_at_ms))

    @cached_property
    def _since(self) -> npt.NDArray[np.int64]:
        """Days since the first: (n_rows,) int64."""
        return self.day - self.day.min() if len(self.day) else self.day

    def blocks(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Block of days that each row belongs to, as long as the daily mean is autocorrelated: (n_rows,) int64.

        Parameters
        ----------
        values
            (n_rows,) rr, or what else is compared, NaN where not known; a trade counts with its first known row.
        """
        if not len(values):
            return np.zeros(0, dtype=np.int64)
        since = self._since
        known = np.flatnonzero(~np.isnan(values))
        trade = self.trade[known]
        known = known[np.concatenate([[True], trade[1:] != trade[:-1]])] if len(known) else known
        n = np.bincount(since[known], minlength=1)
        present = np.flatnonzero(n)
        means = np.bincount(since[known], weights=values[known], minlength=1)[present] / n[present]
        return since // block_days(present, means)

    def of_regime(self, codes: npt.NDArray[np.int32]) -> list[npt.NDArray[np.int64]]:
        """Clusterings that a subset's mean has to stand up to beside blocks of days: each (n_rows,) int64.

        Parameters
        ----------
        codes
            (n_dimensions,) codes of the subset, 0 where free.

        Notes
        -----
        None where it pins no regime; else its spells and the runs of each pinned regime by itself, as of `cautious`.
        Source: spec section 6.
        """
        pinned = [d for d in self.regime.tolist() if codes[d]]
        if not pinned:
            return []
        spells = self.runs((self.codes[:, pinned] == codes[pinned]).all(axis=1))
        return [spells, *(self._runs_of(d) for d in pinned)]

    def effects(
        self,
        subsets: npt.NDArray[np.int32],
        rr: npt.NDArray[np.float64],
        rr_beside_day: npt.NDArray[np.float64],
    ) -> Effects:
        """Effect of each subset, in the order given.

        Parameters
        ----------
        subsets
            (n_subsets, n_dimensions) codes, 0 where free.
        rr
            (n_rows,) compared where the subset pins a regime: errors by spell.
        rr_beside_day
            (n_rows,) compared where it pins none: errors by blocks of days.

        Notes
        -----
        Source: spec section 6, clusters for errors.
        """
        if not len(subsets):
            nothing, none = np.zeros(0), np.zeros(0, dtype=np.int64)
            return Effects(effect_rr=nothing, error_rr=nothing, n=none, n_clusters=none, n_fewer=none)
        regimes = subsets[:, self.regime]
        order = np.lexsort(regimes.T[::-1])
        free = (regimes == 0).all(axis=1)[order]
        parts = []
        if free.any():
            parts.append(self._effects(rr_beside_day, self.blocks(rr_beside_day), subsets[order[free]]))
        if not free.all():
            pinning = subsets[order[~free]]
            parts.append(
                effects_by_spell(self.codes, self.trade, rr, self.by_time, self.regime, pinning, self.postings)
            )
        back = np.argsort(np.concatenate([order[free], order[~free]]))

        def joined(name: str) -> npt.NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])[back]

        return Effects(**{name: joined(name) for name in Effects.__struct_fields__})

    def cautious(
        self,
        subsets: npt.NDArray[np.int32],
        rr: npt.NDArray[np.float64],
        rr_beside_day: npt.NDArray[np.float64],
    ) -> Effects:
        """Effect of each subset with the largest error of any clustering that it could hide behind.

        A subset that pins a slow and a fast regime has many short spells, all within few spells of the slow
        one: taken as independent they make an accident of the slow regime significant. So errors are also
        taken over the runs of each pinned regime by itself, and over blocks of days, and the largest stands.

        Parameters
        ----------
        subsets, rr, rr_beside_day
            As of `effects`.
        """
        found = self.effects(subsets, rr, rr_beside_day)
        if not len(subsets):
            return found
        error, n_clusters, n_fewer = found.error_rr.copy(), found.n_clusters.copy(), found.n_fewer.copy()
        pinning = np.flatnonzero(self.pins_regime(subsets)).tolist()
        if not pinning:
            return found
        blocks = self.blocks(rr)
        for i in pinning:
            pinned = [d for d in self.regime.tolist() if subsets[i, d]]
            for clusters in [*(self._runs_of(d) for d in pinned), blocks]:
                other = self._effects(rr, clusters, subsets[i : i + 1])
                error[i] = max(error[i], other.error_rr[0])
                n_clusters[i] = min(n_clusters[i], other.n_clusters[0])
                n_fewer[i] = min(n_fewer[i], other.n_fewer[0])
        return msgspec.structs.replace(found, error_rr=error, n_clusters=n_clusters, n_fewer=n_fewer)

    def pins_regime(self, subsets: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which subsets pin a regime: (n_subsets,) bool."""
        return (subsets[:, self.regime] != 0).any(axis=1)

    def pins_more(self, subsets: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which subsets pin a regime and something else besides: (n_subsets,) bool."""
        pinned = subsets != 0
        return self.pins_regime(subsets) & (pinned.sum(axis=1) > pinned[:, self.regime].sum(axis=1))

    def by_day(self, subsets: npt.NDArray[np.int32], rr: npt.NDArray[np.float64]) -> Effects:
        """Effect of each subset with errors by days, whatever it pins: never larger ones than by blocks of them."""
        return self._effects(rr, self._since, subsets)

    def within_regime(self, codes: npt.NDArray[np.int32], rr: npt.NDArray[np.float64]) -> Effects:
        """Effect of one subset against the trades that share the regime it pins: both sides saw the same days.

        Parameters
        ----------
        codes
            (n_dimensions,) that pin a regime, and more.
        rr
            (n_rows,) with the day's part taken out.

        Notes
        -----
        What the regime itself does, or did by accident in the spells there were, is on both sides and falls out, so
        that days are clusters enough: errors are by blocks of days.
        """
        regime = self.regime[codes[self.regime] != 0]
        rows = np.flatnonzero((self.codes[:, regime] == codes[regime]).all(axis=1))

        held, trade = self.codes[rows], self.trade[rows]
        postings = Postings(held, trade)

        def clustered(blocks: npt.NDArray[np.int64]) -> Effects:
            return effects(held, trade, rr[rows], blocks[rows], codes[None, :], postings)

        return clustered(self._blocks_beside(codes, rr, float(clustered(self._since).effect_rr[0])))

    def beside_others(self, codes: npt.NDArray[np.int32], rr: npt.NDArray[np.float64]) -> Effects:
        """Effect of one subset that pins a regime alone, once what the day did to other groups is taken out.

        Parameters
        ----------
        codes
            (n_dimensions,) that pin a regime and nothing else.
        rr
            (n_rows,) with the day's part taken out.

        Notes
        -----
        A difference of differences: against the group's trades in other spells, less the same of all other groups.
        What days do to everybody falls out, so days are clusters; the error is the largest of any clustering.
        """
        effect_rr = float(self.by_day(codes[None, :], rr).effect_rr[0])
        clusterings = [self._blocks_beside(codes, rr, effect_rr), *self.of_regime(codes)]
        found = [self._effects(rr, clusters, codes[None, :]) for clusters in clusterings]
        return msgspec.structs.replace(found[0], error_rr=np.max([each.error_rr for each in found], axis=0))

    def _blocks_beside(
        self, codes: npt.NDArray[np.int32], rr: npt.NDArray[np.float64], effect_rr: float
    ) -> npt.NDArray[np.int64]:
        """Blocks of days for an error once the effect itself is taken off.

        An effect that comes and goes with a regime makes days alike as long as the regime lasts, and would ask for
        blocks of that length.
        """
        inside = np.isin(self.trade, self.trade[self.postings.inside(codes[None, :]).rows])
        return self.blocks(rr - effect_rr * inside if math.isfinite(effect_rr) else rr)

    def _effects(
        self, rr: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64], subsets: npt.NDArray[np.int32]
    ) -> Effects:
        return effects(self.codes, self.trade, rr, clusters, subsets, self.postings)

    def _runs_of(self, dimension: int) -> npt.NDArray[np.int64]:
        """Run of each row of the values of a dimension."""
        if dimension not in self._runs:
            self._runs[dimension] = self.runs(self.codes[:, dimension])
        return self._runs[dimension]

    def runs(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Run of each row: maximal stretches, in time, of one of the values that the rows have; (n_rows,) int64."""
        values = values[self.by_time]
        run = np.zeros(len(values), dtype=np.int64)
        run[self.by_time[1:]] = np.cumsum(values[1:] != values[:-1])
        return run


def block_days(day: npt.NDArray[np.int64], mean: npt.NDArray[np.float64]) -> int:
    """Days of a block, so that blocks of neighbouring days are about independent; 1 without autocorrelation.

    Parameters
    ----------
    day
        (n_days,) days with trades, rising.
    mean
        (n_days,) mean rr of each.

    Notes
    -----
    docs/statistics.md has the formulas. Source: spec section 6, clusters for errors; the automatic block length
    of Politis and White (Econometric Reviews 23, 2004) as corrected by Patton, Politis and White (Econometric
    Reviews 28, 2009), with the constant of blocks that do not overlap (Lahiri, Annals of Statistics 27, 1999).
    Only pairs of days that both have trades count: a gap is no evidence of independence.

    Examples
    --------
    >>> wave = np.sin(np.arange(200) / 8)  # fifty days to and fro
    >>> block_days(np.arange(200), wave), block_days(np.arange(200), np.resize([1.0, -1.0, 0.5], 200))
    (43, 1)
    """
    n_days = len(day)
    centred = mean - mean.mean() if n_days else mean
    spread = float(centred @ centred) / max(n_days, 1)
    if n_days < _FEWEST_DAYS or spread <= 0.0:
        return 1
    unseen = max(_UNSEEN, math.ceil(math.sqrt(math.log10(n_days))))
    furthest = math.ceil(math.sqrt(n_days))
    pairs, covariance = _covariances(day, centred, max(2 * furthest, furthest + unseen))
    bound = 2.0 * np.sqrt(math.log10(n_days) / np.maximum(pairs, 1))
    seen = (np.abs(covariance) > bound * spread) & (pairs > 0)  # [k - 1] is lag k
    last = next((m for m in range(furthest) if not seen[m : m + unseen].any()), furthest)
    if last == 0:
        return 1
    lag = np.arange(1, 2 * last + 1)
    weighed = np.minimum(1.0, 2.0 * (1.0 - lag / (2.0 * last))) * covariance[: 2 * last]
    density, slope = spread + 2.0 * float(weighed.sum()), 2.0 * float((lag * weighed).sum())
    if density <= spread:  # days that offset each other would make errors smaller
        return 1
    longest = math.ceil(min(3.0 * math.sqrt(n_days), n_days / 3.0))
    return min(max(math.ceil((n_days * (slope / density) ** 2) ** (1.0 / 3.0)), 1), longest)


@numba.njit(cache=True, nogil=True)
def _covariances(day: Any, centred: Any, lags: int) -> Any:
    """Pairs of days 1 .. lags apart that both have trades, and the mean of their products, 0 without a pair."""
    pairs, covariance = np.zeros(lags, dtype=np.int64), np.zeros(lags)
    for k in range(1, lags + 1):
        later = 0
        for i in range(len(day)):
            while later < len(day) and day[later] < day[i] + k:
                later += 1
            if later < len(day) and day[later] == day[i] + k:
                pairs[k - 1] += 1
                covariance[k - 1] += centred[i] * centred[later]
        if pairs[k - 1] > 0:
            covariance[k - 1] /= pairs[k - 1]
    return pairs, covariance
