"""Search of one group for execution levers that logged deltas speak for (spec section 8).

The question of a lever is not that of a lesson: whether the trades of a subset would have done better under
another value, not whether they did better than others. So the whole group is a subset like any other, and a
refinement has to add to what stands. docs/execution.md has the method.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.clusters import ClusteredGroup
from learning.cube import enumerate_subsets
from learning.evidence import shrunk
from learning.execution.findings import AcceptedLever, LeverCandidate, LeverEvidence, LeverSearch
from learning.execution.questions import PreparedRows, Questions, Screened
from learning.parameters import Parameters
from leverloop.scope import Scope

__all__ = ["GroupDeltas"]

_MOST_WEIGHED: Final = 64
"""Subsets of one size and lever whose cautious errors are looked at, most significant first."""


class _Search(msgspec.Struct, frozen=True, kw_only=True):
    """One lever of a group: the subsets that are looked at, and how small p has to be at each size."""

    lever: str
    values: tuple[float, ...]
    subsets: npt.NDArray[np.int32]
    bars: npt.NDArray[np.float64]

    @property
    def dims(self) -> npt.NDArray[np.int64]:
        """Dimensions that each subset pins: (n_subsets,) int64."""
        return (self.subsets != 0).sum(axis=1)


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
        self._prepared = PreparedRows(cells, rows, parameters.rr_cap, clustered)
        self._questions = Questions(self._prepared, tuple(accepted))

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
        deltas, n_min = self._prepared.deltas, self._parameters.lesson_n_min
        values = {lever: deltas.values(lever, self._prepared.clustered.first, n_min) for lever in deltas.levers}
        if not any(values.values()):
            return LeverSearch(tested_by_dims=tuple(tested.tolist()))
        if subsets is None:
            subsets = enumerate_subsets(self._cells, self._rows, self._parameters, limit).codes
        subsets = np.concatenate([np.zeros((1, len(self._cells.dimensions)), dtype=np.int32), subsets])
        subsets = subsets[(subsets != 0).sum(axis=1) <= limit]
        dims = (subsets != 0).sum(axis=1)
        screened = {each: self._questions.screened(subsets, each, values[each]) for each in values if values[each]}
        for found in screened.values():
            pairs = self._eligible(found, dims).sum(axis=1)
            tested += np.bincount(dims, weights=pairs, minlength=limit + 1).astype(np.int64)
        bars = alpha / np.maximum(tested * (limit + 1), 1)
        candidates: list[LeverCandidate] = []
        for lever, found in screened.items():
            search = _Search(lever=lever, values=values[lever], subsets=subsets, bars=bars)
            by_size = self._best_by_size(search, self._questions, found)
            for k in range(limit + 1):
                refined = self._displacing(by_size[k], search, alpha) if k in by_size else None
                if refined is not None:
                    del by_size[k]
                    by_size[len(refined.scope)] = refined
            candidates += [by_size[k] for k in sorted(by_size)]
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
        if lever not in self._prepared.deltas.levers:
            return None
        questions = self._questions.but(self._standing(scope, lever, target))
        return questions.weighed(self._cells.codes_of(scope), lever, target)

    def _best_by_size(self, search: _Search, questions: Questions, screened: Screened) -> dict[int, LeverCandidate]:
        """Most significant subset of each size, of those that pass with cautious errors."""
        # More cautious errors are only larger: what does not pass with these does not pass at all.
        dims = search.dims
        large = np.nan_to_num(screened.effect_rr) >= self._parameters.effect_min_rr
        passing = self._eligible(screened, dims) & large & (screened.p <= search.bars[dims][:, None])
        best: dict[int, LeverCandidate] = {}
        for k in range(len(search.bars)):
            at = np.flatnonzero(passing.any(axis=1) & (dims == k))
            p = np.where(passing[at], screened.p[at], np.inf)
            for i in np.argsort(p.min(axis=1), kind="stable")[:_MOST_WEIGHED].tolist():  # of equals the first by value
                if k in best and best[k].evidence.p_value <= p[i].min():
                    break
                codes = search.subsets[at[i]]
                weighed = [
                    questions.weighed(codes, search.lever, value)
                    for value, passes in zip(search.values, passing[at[i]].tolist(), strict=True)
                    if passes
                ]
                sound = [each for each in weighed if each is not None and self._holds(each, search.bars[k])]
                worth_most = max(sound, key=lambda each: each.effect_rr, default=None)
                if worth_most is not None and (k not in best or worth_most.p_value < best[k].evidence.p_value):
                    best[k] = LeverCandidate(scope=self._cells.scope_of(codes), evidence=worth_most)
        return best

    def _displacing(self, candidate: LeverCandidate, search: _Search, alpha: float) -> LeverCandidate | None:
        """Refinement beside which nothing is left of a candidate, if there is one: the simplest.

        What is worth much in a part is worth something on the average of the whole, which is simpler. It is
        not sufficient, though: a refinement adds to it, and beside the refinement it is worth nothing.
        """
        lever, target = search.lever, candidate.evidence.target
        codes = self._cells.codes_of(candidate.scope)
        refines = ((codes == 0) | (codes == search.subsets)).all(axis=1) & (search.dims > len(candidate.scope))
        narrower = msgspec.structs.replace(search, subsets=search.subsets[refines])
        questions = self._questions.beside(self._standing(candidate.scope, lever, target))
        found = self._best_by_size(narrower, questions, questions.screened(narrower.subsets, lever, search.values))
        for k in sorted(found):
            scope, aim = found[k].scope, found[k].evidence.target
            rest = self._questions.beside(self._standing(scope, lever, aim)).weighed(codes, lever, target)
            alone = self._questions.weighed(self._cells.codes_of(scope), lever, aim)
            if alone is not None and (rest is None or rest.p_value > alpha):
                return LeverCandidate(scope=scope, evidence=alone)
        return None

    def _eligible(self, found: Screened, dims: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which pairs of subset and value have enough trades in enough clusters to be looked at."""
        rules = self._parameters
        n_min = [max(rules.lesson_n_min, rules.n_min(k) if k else 0) for k in range(rules.lesson_max_dims + 1)]
        return (found.n >= np.array(n_min)[dims][:, None]) & (found.n_clusters >= rules.min_clusters)

    def _holds(self, found: LeverEvidence, bar: float) -> bool:
        large = shrunk(found.effect_rr, found.error_rr) >= self._parameters.effect_min_rr
        return large and found.p_value <= bar and found.n_clusters >= self._parameters.min_clusters

    def _standing(self, scope: Scope, lever: str, target: float) -> AcceptedLever:
        return AcceptedLever(group=self._cells.group, scope=dict(scope), lever=lever, target=target)
