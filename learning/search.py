"""Search of one group: every subset up to a size, tested beside the accepted lessons (spec section 7)."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from learning.cells import RR_SCALE, GroupCells
from learning.clusters import ClusteredGroup
from learning.cube import enumerate_subsets
from learning.days import of_others
from learning.decay import traded_days
from learning.epochs import MONDAY_AT_THREE_MS, MONDAY_AT_TWO_MS, is_due
from learning.evidence import Effects, day_share, p_values, shrunk, shrunk_all
from learning.factors import Sketch, trade_sketch
from learning.findings import AcceptedLesson, Candidate, Decided, GroupTest
from learning.half_life import HalfLife, half_life, windows_of
from learning.lessons import Evidence, Forward
from learning.parameters import DAY_MS, Parameters
from learning.statistics import GroupView, subset_stats
from leverloop.scope import Scope

__all__ = ["GroupSearch"]

_ERRORS: Final = 2.0
"""How many errors, from spell to spell, the whole effect has to be away from none where days decide the rest."""
_FEWEST_OTHERS: Final = 10
"""Trades of other groups on a day from which on they tell what the day did to everybody."""
_MOST_OF_A_SIZE: Final = 3
"""Candidates of one size that a group names: the best may be one that the book does not take."""
_PROMISING: Final = 1.0
"""What p, once paid for, may be at a first look: twenty times what passes, as it is not quite the p that counts."""


class GroupSearch:
    """One group, prepared for tests: what each trade made beyond its lessons and its day."""

    def __init__(
        self,
        cells: GroupCells,
        view: GroupView,
        decided: Decided,
        parameters: Parameters,
    ) -> None:
        self.cells, self.view, self.parameters = cells, view, parameters
        # Only what the last decision knew of: the day means of anything later are not there yet.
        known = cells.column("counts_from_ms", view.rows) <= decided.epoch_at_ms
        self.rows = view.rows[known]
        self.clustered = ClusteredGroup(cells, self.rows)
        self._closed_at_ms = cells.column("closed_at_ms", self.rows)
        self._on_mondays = is_due(view.epoch_at_ms, 7 * DAY_MS, MONDAY_AT_TWO_MS, parameters)
        self._sketches = is_due(view.epoch_at_ms, 7 * DAY_MS, MONDAY_AT_THREE_MS, parameters)
        self.matched = {
            lesson.id: _by_trade(self.clustered.first, cells.met(lesson.group, lesson.scope, self.rows))
            for lesson in decided.lessons
        }
        self.residual = view.rr_q[known] / RR_SCALE - sum(
            lesson.effect_rr * self.matched[lesson.id] for lesson in decided.lessons
        )
        means, n_others = of_others(cells, self.rows, decided, self.matched)
        self.beside_day = self.residual - day_share(means, self.residual) * means
        self._has_others = n_others >= _FEWEST_OTHERS

    @cached_property
    def subsets(self) -> npt.NDArray[np.int32]:
        """Every tracked subset of up to lesson_max_dims dimensions: (n_subsets, n_dimensions) codes, by value."""
        return enumerate_subsets(self.cells, self.rows, self.parameters, self.parameters.lesson_max_dims).codes

    def test(self, trades: int) -> GroupTest:
        """Test every tracked subset of up to lesson_max_dims dimensions; keep the best few of each size."""
        limit, subsets = self.parameters.lesson_max_dims, self.subsets
        dims = (subsets != 0).sum(axis=1)
        tested = np.array([(dims == k).sum() for k in range(limit + 1)])
        worth = np.flatnonzero(self._worth(subsets, tested[dims]))
        found = self.clustered.cautious(subsets[worth], self.residual, self.beside_day)
        p_of, _ = self._p_values(subsets[worth], found, self.beside_day)
        passing = worth[self._passes(found, p_of, tested[dims[worth]])]
        p = dict(zip(worth.tolist(), p_of.tolist(), strict=True))
        candidates: list[Candidate] = []
        for k in range(1, limit + 1):
            for best in sorted((i for i in passing.tolist() if dims[i] == k), key=lambda i: p[i])[:_MOST_OF_A_SIZE]:
                scope = self.cells.scope_of(subsets[best])
                weighed = self.weigh(scope, None)
                if weighed is not None:
                    candidates.append(Candidate(scope=scope, evidence=weighed))
        return GroupTest(
            group=self.cells.group,
            trades=trades,
            lessons_version=0,  # the book knows which one it was
            tested_by_dims=tuple(tested[1:].tolist()),
            candidates=tuple(candidates),
        )

    def _worth(self, subsets: npt.NDArray[np.int32], tested: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which subsets are worth a closer look, by errors that are never larger than those that count."""
        worth = np.zeros(len(subsets), dtype=np.bool_)
        regime = self.clustered.pins_regime(subsets)
        free = self.clustered.effects(subsets[~regime], self.residual, self.beside_day)
        worth[~regime] = self._passes(free, p_values(free), tested[~regime])
        # Against all others, not only those of its regime: near enough to tell which may pass, and soon done.
        pinned = np.flatnonzero(regime)
        by_day = self._is_promising(self.clustered.by_day(subsets[pinned], self.beside_day), tested[pinned])
        looked = by_day | ~self.clustered.pins_more(subsets[pinned])
        at = pinned[looked]
        found = self.clustered.effects(subsets[at], self.residual, self.beside_day)
        sure = np.abs(found.effect_rr) >= _ERRORS * found.error_rr
        worth[at] = self._eligible(found) & sure & (by_day[looked] | self._is_promising(found, tested[at]))
        return worth

    def _is_promising(self, found: Effects, tested: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return p_values(found) * tested * self.parameters.lesson_max_dims <= _PROMISING

    def _p_values(
        self, subsets: npt.NDArray[np.int32], found: Effects, beside_day: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """P of each effect, and whether it is that of a comparison with other groups.

        Spells are few, and days within them many. Where a subset pins a regime and more, whether its other dimensions
        matter is seen from day to day, beside trades of the same regime; where it pins a regime alone, whether the
        group minds it more than others do is seen beside the trades of other groups. That the whole effect has the
        sign has to show from spell to spell, by two errors.
        """
        p, beside_others = p_values(found), np.zeros(len(subsets), dtype=np.bool_)
        more = self.clustered.pins_more(subsets)
        for i in np.flatnonzero(self.clustered.pins_regime(subsets)).tolist():
            by_day = self._by_day(subsets[i], beside_day)
            agrees = by_day.effect_rr[0] * found.effect_rr[i] > 0.0
            sure = abs(found.effect_rr[i]) >= _ERRORS * found.error_rr[i]
            surer = float(p_values(by_day)[0]) if agrees and sure else 1.0
            beside_others[i] = not more[i] and surer < p[i]
            p[i] = surer if more[i] else min(surer, p[i])
        return p, beside_others

    def _by_day(
        self,
        codes: npt.NDArray[np.int32],
        beside_day: npt.NDArray[np.float64],
        at: npt.NDArray[np.int64] | slice = slice(None),
    ) -> Effects:
        """Effect of a subset that pins a regime, with days for clusters: within the regime, or beside other groups."""
        if self.clustered.pins_more(codes[None, :])[0]:
            clustered = self.clustered if isinstance(at, slice) else ClusteredGroup(self.cells, self.rows[at])
            return clustered.within_regime(codes, beside_day[at])
        if isinstance(at, slice):
            return self._among_others.beside_others(codes, beside_day[self._has_others])
        at = at[self._has_others[at]]
        return ClusteredGroup(self.cells, self.rows[at]).beside_others(codes, beside_day[at])

    @cached_property
    def _among_others(self) -> ClusteredGroup:
        """Rows of the days on which other groups traded, too."""
        return self.clustered if self._has_others.all() else ClusteredGroup(self.cells, self.rows[self._has_others])

    def weigh(self, scope: Scope, lesson: AcceptedLesson | None) -> Evidence | None:
        """Evidence of one subset beside all lessons but itself; None while there is nothing to compare."""
        stats = subset_stats(self.view, self.cells.codes_of(scope), self.parameters)
        if stats is None:
            return None
        rr, beside_day = self.residual, self.beside_day
        if lesson is not None:
            own = lesson.effect_rr * self.matched[lesson.id]
            rr, beside_day = rr + own, beside_day + own
        codes = self.cells.codes_of(scope)
        found = self.clustered.cautious(codes[None, :], rr, beside_day)
        p, beside_others = self._p_values(codes[None, :], found, beside_day)
        effect, error = float(found.effect_rr[0]), float(found.error_rr[0])
        if not np.isfinite(effect) or not np.isfinite(error):
            return None
        return Evidence(
            epoch_at_ms=self.view.epoch_at_ms,
            effect_rr=effect,
            error_rr=error,
            shrunk_rr=shrunk(effect, error),
            p_value=float(p[0]),
            beside_others=bool(beside_others[0]),
            n_clusters=int(found.n_clusters[0]),
            stats=stats,
            forward=Forward() if lesson is None else self._forward(lesson, codes, rr, beside_day),
            half_life=self._half_life(codes, rr, effect) if lesson is None or self._on_mondays else None,
            sketch=self._sketch(lesson, codes),
        )

    def _sketch(self, lesson: AcceptedLesson | None, codes: npt.NDArray[np.int32]) -> Sketch:
        """Sketch of a lesson's trades, when it is asked for: weekly, and while it may be confirmed at any epoch."""
        wanted = lesson is not None and (lesson.is_candidate or self._sketches)
        if not wanted or not self.parameters.learns_factors:
            return ()
        return trade_sketch(self.clustered.trade[self.clustered.postings.inside(codes[None, :]).rows])

    def _half_life(self, codes: npt.NDArray[np.int32], rr: npt.NDArray[np.float64], effect_rr: float) -> HalfLife:
        """Half-life of an effect beside all lessons, and what is left of it at the epoch."""
        day = self.clustered.day
        inside = self.clustered.postings.inside(codes[None, :]).rows
        windows = windows_of(inside, traded_days(day, self.clustered.first, rr))
        now_days = self.view.epoch_at_ms / DAY_MS - float(day.min())
        return half_life(windows, float(np.sign(effect_rr)), now_days)

    def _forward(
        self,
        lesson: AcceptedLesson,
        codes: npt.NDArray[np.int32],
        rr: npt.NDArray[np.float64],
        beside_day: npt.NDArray[np.float64],
    ) -> Forward:
        """Return the same on the trades that closed after the nomination."""
        later = np.flatnonzero(self._closed_at_ms > lesson.created_at_ms)
        if not len(later):
            return Forward()
        if lesson.beside_others or self.clustered.pins_more(codes[None, :])[0]:
            found = self._by_day(codes, beside_day, later)
        else:
            clustered = ClusteredGroup(self.cells, self.rows[later])
            found = clustered.cautious(codes[None, :], rr[later], beside_day[later])
        effect, error = float(found.effect_rr[0]), float(found.error_rr[0])
        if not (np.isfinite(effect) and np.isfinite(error)):
            return Forward()
        return Forward(n=int(found.n[0]), n_clusters=int(found.n_fewer[0]), effect_rr=effect, error_rr=error)

    def _passes(
        self, found: Effects, p: npt.NDArray[np.float64], tested: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Which effects are large, frequent and significant enough after all that this group looked at.

        The book asks again, after all that every group looked at.
        """
        rules = self.parameters
        paid = p * tested * rules.lesson_max_dims <= rules.discovery_alpha
        # A small effect must not stand before a large one.
        large = np.abs(shrunk_all(found)) >= rules.effect_min_rr
        return self._eligible(found) & paid & large

    def _eligible(self, found: Effects) -> npt.NDArray[np.bool_]:
        """Which subsets have enough trades in enough clusters for a lesson."""
        return (found.n_clusters >= self.parameters.discovery_min_clusters) & (found.n >= self.parameters.lesson_n_min)


def _by_trade(first: npt.NDArray[np.bool_], hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """1.0 on all rows of a trade of which any row is hit; its rows stand together, the first of them marked."""
    if not len(first):
        return np.zeros(0)
    any_hit = np.logical_or.reduceat(hit, np.flatnonzero(first))
    return any_hit[np.cumsum(first) - 1].astype(np.float64)
