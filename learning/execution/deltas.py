"""Search of one group for execution levers that logged deltas speak for (spec section 8).

The question of a lever is not that of a lesson: whether the trades of a subset would have done better under
another value, not whether they did better than others. So the whole group is a subset like any other, and a
refinement has to add to what stands. docs/execution.md has the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.clusters import ClusteredGroup
from learning.cube import enumerate_subsets
from learning.evidence import shrunk
from learning.execution.clusterings import Clusterings
from learning.execution.findings import AcceptedLever, LeverCandidate, LeverEvidence, LeverSearch
from learning.execution.means import Means, clustered_means, interval, upper_p
from learning.execution.values import DeltaValues
from learning.parameters import Parameters
from learning.postings import Inside
from leverloop.scope import Scope

__all__ = ["ADDED_MIN_RR", "GroupDeltas"]

ADDED_MIN_RR: Final = 0.1
"""What a refinement adds to every accepted ancestor (spec section 7), in R."""
_MOST_WEIGHED: Final = 64
"""Subsets of one size and lever whose cautious errors are looked at, most significant first."""


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one lever, compared with its neutral and with each accepted ancestor.

    columns: (n_values * (1 + n_ancestors), n_rows), first the deltas, then what they add to each ancestor.
    blocks: clusters of the same shape.
    """

    lever: str
    values: tuple[float, ...]
    columns: npt.NDArray[np.float64]
    blocks: npt.NDArray[np.int64]

    def p(self, found: Means) -> npt.NDArray[np.float64]:
        """P of all that is claimed of each value, the largest of its parts: (n_subsets, n_values)."""
        above = np.where(np.arange(len(self.columns)) < len(self.values), 0.0, ADDED_MIN_RR)
        return self._parts(upper_p(found, above)).max(axis=1)

    def added(self, found: Means) -> npt.NDArray[np.float64]:
        """Least that each value adds: (n_subsets, n_values)."""
        return self._parts(found.mean).min(axis=1)

    def _parts(self, of_columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return of_columns.reshape(len(of_columns), -1, len(self.values))


class GroupDeltas:
    """Some rows of a group, prepared for tests of its execution levers.

    Parameters
    ----------
    cells
        The group.
    rows
        (n_rows,) rows, those of a trade together, its first action first (`GroupCells.counted`, or some of it).
    accepted
        Levers that stand, of all groups.
    parameters
        By which rules.
    clustered
        The same rows, where they are prepared already.
    """

    def __init__(
        self,
        cells: GroupCells,
        rows: npt.NDArray[np.int64],
        accepted: Iterable[AcceptedLever],
        parameters: Parameters,
        clustered: ClusteredGroup | None = None,
    ) -> None:
        self._cells, self._rows, self._parameters = cells, rows, parameters
        self._clustered = clustered or ClusteredGroup(cells, rows)
        self._clusterings = Clusterings(cells, rows, self._clustered)
        self._values = DeltaValues(cells, rows, parameters.rr_cap)
        self._own: dict[str, list[tuple[AcceptedLever, npt.NDArray[np.bool_]]]] = {}
        self._elsewhere: dict[str, npt.NDArray[np.bool_]] = {}
        for standing in accepted:
            if standing.lever not in self._values.levers:
                continue
            met = self._of_trades(cells.met(standing.group, standing.scope, rows))
            if standing.group == cells.group:
                self._own.setdefault(standing.lever, []).append((standing, met))
            else:
                before = self._elsewhere.get(standing.lever, np.zeros(len(rows), dtype=np.bool_))
                self._elsewhere[standing.lever] = before | met

    def discover(self, alpha: float, subsets: npt.NDArray[np.int32] | None = None) -> LeverSearch:
        """Best subset of each size for each lever, of those that pass within this group.

        Parameters
        ----------
        alpha
            Probability of any candidate if no lever is worth anything, for this group by itself. Who accepts
            pays again, with the pairs that all groups looked at.
        subsets
            (n_subsets, n_dimensions) codes of the tracked subsets, where they are enumerated already.

        Notes
        -----
        A candidate needs n_min(k) and `lesson_n_min` trades, `min_clusters` clusters, `effect_min_rr` after
        shrinkage, and p times the pairs of its size times the number of sizes within alpha. Its target is
        the value with the best mean of those that pass. Source: spec sections 7 and 8.
        Cost: O(trades inside of all subsets x values).
        """
        limit = self._parameters.lesson_max_dims
        tested = np.zeros(limit + 1, dtype=np.int64)
        levers = [(lever, values) for lever in self._values.levers if (values := self._looked_at(lever))]
        if not levers:
            return LeverSearch(tested_by_dims=tuple(tested.tolist()))
        if subsets is None:
            subsets = enumerate_subsets(self._cells, self._rows, self._parameters, limit).codes
        subsets = np.concatenate([np.zeros((1, len(self._cells.dimensions)), dtype=np.int32), subsets])
        dims = (subsets != 0).sum(axis=1)
        subsets, dims = subsets[dims <= limit], dims[dims <= limit]
        screened = [self._screened(subsets, lever, values) for lever, values in levers]
        for _, eligible, _ in screened:
            tested += np.bincount(dims, weights=eligible.sum(axis=1), minlength=limit + 1).astype(np.int64)
        candidates: list[LeverCandidate] = []
        for (lever, values), (p, eligible, effect) in zip(levers, screened, strict=True):
            # More cautious errors are only larger: what does not pass with these does not pass at all.
            large = effect >= self._parameters.effect_min_rr
            paid = tested[dims] * (limit + 1)
            passing = eligible & large & (p * paid[:, None] <= alpha)
            for k in range(limit + 1):
                at = np.flatnonzero(passing.any(axis=1) & (dims == k))
                if len(at):
                    pairs = (subsets[at], np.where(passing[at], p[at], np.inf))
                    candidates += self._best(lever, values, *pairs, alpha / max(float(paid[at[0]]), 1.0))
        return LeverSearch(tested_by_dims=tuple(tested.tolist()), candidates=tuple(candidates))

    def weigh(self, scope: Scope, lever: str, target: float) -> LeverEvidence | None:
        """Evidence of one value of a lever in one subset, beside all accepted levers but itself.

        Parameters
        ----------
        scope, lever, target
            The finding, accepted or not.

        Returns
        -------
        LeverEvidence
            None without trades that know the delta, or with fewer than two clusters of them.

        Notes
        -----
        Of rows that were not there when it was found, this is its forward test. Errors are cautious.
        """
        if lever not in self._values.levers:
            return None
        return self._weighed(self._cells.codes_of(scope), lever, target, itself=(scope, target))

    def _looked_at(self, lever: str) -> tuple[float, ...]:
        return self._values.values(lever, self._clustered.first, self._parameters.lesson_n_min)

    def _screened(self, subsets: npt.NDArray[np.int32], lever: str, values: tuple[float, ...]) -> tuple[Any, Any, Any]:
        """P, whether there is enough to be looked at, and effect, of each subset and value, errors by blocks."""
        shape = (len(subsets), len(values))
        p, eligible, effect = np.ones(shape), np.zeros(shape, dtype=np.bool_), np.zeros(shape)
        rules = self._parameters
        n_min = [rules.lesson_n_min, *(max(rules.lesson_n_min, rules.n_min(k + 1)) for k in range(subsets.shape[1]))]
        least = np.array(n_min)[(subsets != 0).sum(axis=1)][:, None]
        for at, question in self._questions(subsets, lever, values):
            for batch in self._clustered.postings.batches(subsets[at]):
                inside = self._clustered.postings.inside(subsets[at[batch]])
                found = clustered_means(inside, question.columns, question.blocks)
                some = slice(0, len(values))
                p[at[batch]], effect[at[batch]] = question.p(found), np.nan_to_num(found.mean[:, some])
                enough = (found.n[:, some] >= least[at[batch]]) & (found.n_clusters[:, some] >= rules.min_clusters)
                eligible[at[batch]] = enough
        return p, eligible, effect

    def _best(
        self,
        lever: str,
        values: tuple[float, ...],
        subsets: npt.NDArray[np.int32],
        p: npt.NDArray[np.float64],
        bar: float,
    ) -> Iterator[LeverCandidate]:
        """Most significant of some subsets with cautious errors, if any is under the bar."""
        best: LeverCandidate | None = None
        order = np.argsort(p.min(axis=1), kind="stable")[:_MOST_WEIGHED]  # of equals the first by value
        for i in order.tolist():
            if best is not None and best.evidence.p_value <= p[i].min():
                break
            passing = [v for v, of_value in zip(values, p[i].tolist(), strict=True) if np.isfinite(of_value)]
            weighed = [self._weighed(subsets[i], lever, value) for value in passing]
            sound = [found for found in weighed if found is not None and self._holds(found, bar)]
            if sound:
                found = max(sound, key=lambda each: each.effect_rr)
                if best is None or found.p_value < best.evidence.p_value:
                    best = LeverCandidate(scope=self._cells.scope_of(subsets[i]), evidence=found)
        if best is not None:
            yield best

    def _holds(self, found: LeverEvidence, bar: float) -> bool:
        large = shrunk(found.effect_rr, found.error_rr) >= self._parameters.effect_min_rr
        return large and found.p_value <= bar and found.n_clusters >= self._parameters.min_clusters

    def _weighed(
        self, codes: npt.NDArray[np.int32], lever: str, target: float, itself: tuple[Scope, float] | None = None
    ) -> LeverEvidence | None:
        inside = self._inside(codes)
        ((_, question),) = self._questions(codes[None, :], lever, (target,), itself)
        found = clustered_means(inside, question.columns, question.blocks)
        for runs in self._clusterings.of_regime(codes):
            other = clustered_means(inside, question.columns, np.broadcast_to(runs, question.columns.shape))
            found = Means(
                mean=found.mean,
                error=np.maximum(found.error, other.error),
                n=found.n,
                n_clusters=np.minimum(found.n_clusters, other.n_clusters),
            )
        effect, error, n_clusters = float(found.mean[0, 0]), float(found.error[0, 0]), int(found.n_clusters[0, 0])
        if not np.isfinite(effect) or not np.isfinite(error):
            return None
        low, high = interval(effect, error, n_clusters)
        added = float(question.added(found)[0, 0])
        return LeverEvidence(
            lever=lever,
            target=target,
            n=int(found.n[0, 0]),
            n_clusters=n_clusters,
            effect_rr=effect,
            error_rr=error,
            ci_low=low,
            ci_high=high,
            added_rr=added if np.isfinite(added) else 0.0,
            p_value=float(question.p(found)[0, 0]),
        )

    def _questions(
        self,
        subsets: npt.NDArray[np.int32],
        lever: str,
        values: tuple[float, ...],
        itself: tuple[Scope, float] | None = None,
    ) -> Iterator[tuple[npt.NDArray[np.int64], _Question]]:
        """Subsets, by their place, with what is asked of them: the same of all that refine the same levers.

        A trade that meets an accepted lever elsewhere is left out, for it would show that one's effect. Within
        the group a subset is asked about the trades that are left to it: without those of accepted levers
        that it does not refine, and in comparison with those that it does.
        """
        own = [each for each in self._own.get(lever, []) if itself is None or not _is(each[0], itself)]
        pinned = np.array([self._cells.codes_of(standing.scope) for standing, _ in own], dtype=np.int32)
        pinned = pinned.reshape(len(own), subsets.shape[1])
        refines = ((pinned[None] == 0) | (pinned[None] == subsets[:, None])).all(axis=2)
        patterns, of_subset = np.unique(refines, axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            at = np.flatnonzero(of_subset.reshape(-1) == i)
            ancestors = [standing for (standing, _), is_ancestor in zip(own, pattern, strict=True) if is_ancestor]
            taken = self._elsewhere.get(lever, np.zeros(len(self._rows), dtype=np.bool_))
            for (_, met), is_ancestor in zip(own, pattern, strict=True):
                taken = taken if is_ancestor else taken | met
            yield at, self._question(lever, values, ancestors, taken)

    def _question(
        self, lever: str, values: tuple[float, ...], ancestors: Sequence[AcceptedLever], taken: npt.NDArray[np.bool_]
    ) -> _Question:
        def left(value: float) -> npt.NDArray[np.float64]:
            return np.where(taken, np.nan, self._values.deltas(lever, value))

        columns = [left(value) for value in values]
        for ancestor in ancestors:
            theirs = left(ancestor.target)
            inside = theirs[self._inside(self._cells.codes_of(ancestor.scope)).rows]
            known = inside[~np.isnan(inside)]
            average = float(known.mean()) if len(known) else 0.0
            # The same value adds where it is worth more than on the average; another, on each trade by itself.
            columns += [left(v) - (average if v == ancestor.target else theirs) for v in values]
        stacked = np.stack(columns)
        blocks = np.stack([self._clusterings.blocks(column) for column in columns])
        return _Question(lever=lever, values=values, columns=stacked, blocks=blocks)

    def _inside(self, codes: npt.NDArray[np.int32]) -> Inside:
        """Trades inside of one subset, each by its first row inside."""
        pinned = codes != 0
        rows = np.flatnonzero((self._clustered.codes[:, pinned] == codes[pinned]).all(axis=1))
        trade = self._clustered.trade[rows]
        first = rows[np.concatenate([[True], trade[1:] != trade[:-1]])] if len(rows) else rows
        return Inside(start=np.array([0, len(first)]), rows=first.astype(np.int32), n_actions=np.array([len(rows)]))

    def _of_trades(self, hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """All rows of the trades of which any row is hit."""
        return np.isin(self._clustered.trade, self._clustered.trade[hit])


def _is(standing: AcceptedLever, itself: tuple[Scope, float]) -> bool:
    return (dict(standing.scope), standing.target) == (dict(itself[0]), itself[1])
