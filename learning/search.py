"""Search of one group: every subset up to a size, tested beside the accepted lessons (spec section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from learning.cells import RR_SCALE, GroupCells
from learning.clusters import ClusteredGroup
from learning.cube import enumerate_subsets
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
_PROMISING: Final = 1.0
"""What p, once paid for, may be at a first look: twenty times what passes, as it is not quite the p that counts."""


class GroupSearch:
    """One group, prepared for tests: what each trade made beyond its lessons and its day."""

    def __init__(
        self,
        cells: GroupCells,
        view: GroupView,
        decided: Decided,
        day_mean: Mapping[int, float],
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
        means = np.array([day_mean.get(day, 0.0) for day in self.clustered.day.tolist()], dtype=np.float64)
        self.day_part = day_share(means, self.residual) * means

    @cached_property
    def subsets(self) -> npt.NDArray[np.int32]:
        """Every tracked subset of up to lesson_max_dims dimensions: (n_subsets, n_dimensions) codes, by value."""
        return enumerate_subsets(self.cells, self.rows, self.parameters, self.parameters.lesson_max_dims).codes

    def test(self, trades: int) -> GroupTest:
        """Test every tracked subset of up to lesson_max_dims dimensions; keep the best of each size."""
        limit, subsets = self.parameters.lesson_max_dims, self.subsets
        dims = (subsets != 0).sum(axis=1)
        tested = np.array([(dims == k).sum() for k in range(limit + 1)])
        worth = np.flatnonzero(self._worth(subsets, tested[dims]))
        found = self.effects(subsets[worth], self.residual)
        p_of = self._p_values(subsets[worth], found, self.residual)
        passing = worth[self._passes(found, p_of, tested[dims[worth]])]
        p = dict(zip(worth.tolist(), p_of.tolist(), strict=True))
        candidates: list[Candidate] = []
        for k in range(1, limit + 1):
            best = min((i for i in passing.tolist() if dims[i] == k), key=lambda i: p[i], default=None)
            if best is not None:
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
        more = self.clustered.pins_more(subsets)
        worth = np.zeros(len(subsets), dtype=np.bool_)
        worth[~more] = self._look(subsets[~more], tested[~more], decides=True)
        # Against all others, not only those of its regime: near enough to tell which may pass, and soon done.
        by_day = self.clustered.by_day(subsets[more], self.residual - self.day_part)
        promising = np.flatnonzero(more)[
            p_values(by_day) * tested[more] * self.parameters.lesson_max_dims <= _PROMISING
        ]
        worth[promising] = self._look(subsets[promising], tested[promising], decides=False)
        return worth

    def _look(
        self, subsets: npt.NDArray[np.int32], tested: npt.NDArray[np.int64], *, decides: bool
    ) -> npt.NDArray[np.bool_]:
        """Which subsets may pass by their days or spells: whether these decide alone, or must not speak against it."""
        found = self.clustered.effects(subsets, self.residual, self.residual - self.day_part)
        if decides:
            return self._passes(found, p_values(found), tested)
        return self._eligible(found) & (np.abs(found.effect_rr) >= _ERRORS * found.error_rr)

    def _p_values(
        self, subsets: npt.NDArray[np.int32], found: Effects, rr: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """P of each effect: of a subset that pins a regime and more, of what it adds within the regime.

        Spells are few, and days within them many. Whether a trade's other dimensions matter is seen from day to day,
        beside trades of the same regime; that the whole effect has the sign, from spell to spell, by two errors.
        """
        p = p_values(found)
        for i in np.flatnonzero(self.clustered.pins_more(subsets)).tolist():
            within = self.clustered.within_regime(subsets[i], rr - self.day_part)
            agrees = within.effect_rr[0] * found.effect_rr[i] > 0.0
            sure = abs(found.effect_rr[i]) >= _ERRORS * found.error_rr[i]
            p[i] = p_values(within)[0] if agrees and sure else 1.0
        return p

    def weigh(self, scope: Scope, lesson: AcceptedLesson | None) -> Evidence | None:
        """Evidence of one subset beside all lessons but itself; None while there is nothing to compare."""
        stats = subset_stats(self.view, self.cells.codes_of(scope), self.parameters)
        if stats is None:
            return None
        rr = self.residual
        if lesson is not None:
            rr = rr + lesson.effect_rr * self.matched[lesson.id]
        codes = self.cells.codes_of(scope)
        found = self.effects(codes[None, :], rr)
        effect, error = float(found.effect_rr[0]), float(found.error_rr[0])
        if not np.isfinite(effect) or not np.isfinite(error):
            return None
        return Evidence(
            epoch_at_ms=self.view.epoch_at_ms,
            effect_rr=effect,
            error_rr=error,
            shrunk_rr=shrunk(effect, error),
            p_value=float(self._p_values(codes[None, :], found, rr)[0]),
            n_clusters=int(found.n_clusters[0]),
            stats=stats,
            forward=Forward() if lesson is None else self._forward(lesson, codes, rr),
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

    def _forward(self, lesson: AcceptedLesson, codes: npt.NDArray[np.int32], rr: npt.NDArray[np.float64]) -> Forward:
        """Return the same on the trades that closed after the nomination."""
        later = np.flatnonzero(self._closed_at_ms > lesson.created_at_ms)
        if not len(later):
            return Forward()
        clustered, beside_day = ClusteredGroup(self.cells, self.rows[later]), (rr - self.day_part)[later]
        if self.clustered.pins_more(codes[None, :])[0]:
            found = clustered.within_regime(codes, beside_day)
        else:
            found = clustered.cautious(codes[None, :], rr[later], beside_day)
        effect, error = float(found.effect_rr[0]), float(found.error_rr[0])
        known = np.isfinite(effect) and np.isfinite(error)
        return Forward(
            n=int(found.n[0]),
            n_clusters=int(found.n_clusters[0]),
            effect_rr=effect if known else 0.0,
            error_rr=error if known else 0.0,
        )

    def effects(self, subsets: npt.NDArray[np.int32], rr: npt.NDArray[np.float64]) -> Effects:
        """Effects on rr with cautious errors, the day's part taken out where the subset pins no regime."""
        return self.clustered.cautious(subsets, rr, rr - self.day_part)

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
        return (found.n_clusters >= self.parameters.min_clusters) & (found.n >= self.parameters.lesson_n_min)


def _by_trade(first: npt.NDArray[np.bool_], hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """1.0 on all rows of a trade of which any row is hit; its rows stand together, the first of them marked."""
    if not len(first):
        return np.zeros(0)
    any_hit = np.logical_or.reduceat(hit, np.flatnonzero(first))
    return any_hit[np.cumsum(first) - 1].astype(np.float64)
