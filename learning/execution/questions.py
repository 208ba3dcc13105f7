"""What is asked of the value of a lever in a subset: whether it beats the neutral, and what stands already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.clusters import ClusteredGroup
from learning.execution.findings import AcceptedLever, LeverEvidence
from learning.execution.means import Means, clustered_means, interval, upper_p, with_a_loss, with_spread
from learning.execution.values import DeltaValues
from learning.postings import Inside

__all__ = ["ADDED_MIN_RR", "PreparedRows", "Questions", "Screened"]

ADDED_MIN_RR: Final = 0.1
"""What a refinement adds to every accepted ancestor (spec section 7), in R."""


class PreparedRows:
    """Some rows of a group, with their deltas and their clusters.

    Parameters
    ----------
    cells
        The group.
    rows
        (n_rows,) rows, those of a trade together, its first action first.
    rr_cap
        Bound of a delta in R.
    clustered
        The same rows, where they are prepared already.
    """

    def __init__(
        self, cells: GroupCells, rows: npt.NDArray[np.int64], rr_cap: float, clustered: ClusteredGroup | None = None
    ) -> None:
        self.cells, self.rows, self.rr_cap = cells, rows, rr_cap
        self.clustered = clustered or ClusteredGroup(cells, rows)
        self.deltas = DeltaValues(cells, rows, rr_cap)

    def inside(self, codes: npt.NDArray[np.int32]) -> Inside:
        """Trades inside of one subset, each by its first row inside."""
        pinned = codes != 0
        rows = np.flatnonzero((self.clustered.codes[:, pinned] == codes[pinned]).all(axis=1))
        trade = self.clustered.trade[rows]
        first = rows[np.concatenate([[True], trade[1:] != trade[:-1]])] if len(rows) else rows
        return Inside(start=np.array([0, len(first)]), rows=first.astype(np.int32), n_actions=np.array([len(rows)]))

    def met(self, lever: AcceptedLever) -> npt.NDArray[np.bool_]:
        """All rows of the trades of which any action lies in an accepted lever's subset: (n_rows,) bool."""
        hit = self.cells.met(lever.group, lever.scope, self.rows)
        return np.isin(self.clustered.trade, self.clustered.trade[hit])


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """Many subsets and some values of one lever: each field (n_subsets, n_values). n: distinct trades."""

    p: npt.NDArray[np.float64]
    effect_rr: npt.NDArray[np.float64]
    n: npt.NDArray[np.int64]
    n_clusters: npt.NDArray[np.int64]


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one lever, compared with its neutral and with each accepted ancestor.

    columns: (n_values * (1 + n_ancestors), n_rows), first the deltas, then what they add to each ancestor.
    blocks: clusters of the same shape. spread: (n_values * (1 + n_ancestors),) over the group's trades.
    loss_rr: of the same shape, what one more trade might lose; nothing where the same value stands already.
    """

    values: tuple[float, ...]
    columns: npt.NDArray[np.float64]
    blocks: npt.NDArray[np.int64]
    spread: npt.NDArray[np.float64]
    loss_rr: npt.NDArray[np.float64]

    def means(self, inside: Inside, clusters: npt.NDArray[np.int64]) -> Means:
        """Means of all columns, errors no smaller than the group's spread makes them."""
        return with_spread(clustered_means(inside, self.columns, clusters), self.spread)

    def p(self, found: Means) -> npt.NDArray[np.float64]:
        """P of all that is claimed of each value, the largest of its parts: (n_subsets, n_values)."""
        above = np.where(np.arange(len(self.columns)) < len(self.values), 0.0, ADDED_MIN_RR)
        return self._parts(upper_p(with_a_loss(found, self.loss_rr), above)).max(axis=1)

    def added(self, found: Means) -> npt.NDArray[np.float64]:
        """Least that each value adds: (n_subsets, n_values)."""
        return self._parts(found.mean).min(axis=1)

    def _parts(self, of_columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return of_columns.reshape(len(of_columns), -1, len(self.values))


class Questions:
    """Levers of a group beside those that stand.

    A trade that meets a lever that stands in another group is left out, for it would show that one's effect.
    Within the group a subset is asked about the trades that are left to it: without those of levers that it
    does not refine, and in comparison with those that it does.

    Parameters
    ----------
    prepared
        Rows of the group.
    accepted
        Levers that stand, of all groups.
    """

    def __init__(self, prepared: PreparedRows, accepted: Sequence[AcceptedLever]) -> None:
        self._prepared, self._accepted = prepared, tuple(accepted)
        group = prepared.cells.group
        known = [each for each in accepted if each.lever in prepared.deltas.levers]
        self._own = [(each, prepared.met(each)) for each in known if each.group == group]
        self._elsewhere: dict[str, npt.NDArray[np.bool_]] = {}
        for each in known:
            if each.group != group:
                before = self._elsewhere.get(each.lever, np.zeros(len(prepared.rows), dtype=np.bool_))
                self._elsewhere[each.lever] = before | prepared.met(each)

    def beside(self, lever: AcceptedLever) -> Questions:
        """Return the same questions, as if another lever stood."""
        return Questions(self._prepared, (*self._accepted, lever))

    def but(self, lever: AcceptedLever) -> Questions:
        """Return the same questions without a lever, if it stands."""
        return Questions(self._prepared, [each for each in self._accepted if each != lever])

    def screened(self, subsets: npt.NDArray[np.int32], lever: str, values: tuple[float, ...]) -> Screened:
        """Many subsets at once, with errors by blocks of days.

        Parameters
        ----------
        subsets
            (n_subsets, n_dimensions) codes, 0 where free.
        lever, values
            What is asked about.
        """
        shape = (len(subsets), len(values))
        p, effect = np.ones(shape), np.full(shape, np.nan)
        n, n_clusters = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        postings = self._prepared.clustered.postings
        deltas = slice(0, len(values))
        for at, question in self._questions(subsets, lever, values):
            for batch in postings.batches(subsets[at]):
                found = question.means(postings.inside(subsets[at[batch]]), question.blocks)
                p[at[batch]], effect[at[batch]] = question.p(found), found.mean[:, deltas]
                n[at[batch]], n_clusters[at[batch]] = found.n[:, deltas], found.n_clusters[:, deltas]
        return Screened(p=p, effect_rr=effect, n=n, n_clusters=n_clusters)

    def weighed(self, codes: npt.NDArray[np.int32], lever: str, target: float) -> LeverEvidence | None:
        """One value in one subset, with the largest error of any clustering that it could hide behind.

        Parameters
        ----------
        codes
            (n_dimensions,) codes of the subset, 0 where free.
        lever, target
            What is asked about.

        Returns
        -------
        LeverEvidence
            None without two clusters of trades that know the delta.
        """
        inside = self._prepared.inside(codes)
        ((_, question),) = self._questions(codes[None, :], lever, (target,))
        found = question.means(inside, question.blocks)
        for runs in self._prepared.clustered.of_regime(codes):
            other = question.means(inside, np.broadcast_to(runs, question.columns.shape))
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
        worse = with_a_loss(found, self._prepared.rr_cap)
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
            with_loss_rr=float(worse.mean[0, 0]),
            with_loss_error_rr=float(worse.error[0, 0]),
        )

    def _questions(
        self, subsets: npt.NDArray[np.int32], lever: str, values: tuple[float, ...]
    ) -> Iterator[tuple[npt.NDArray[np.int64], _Question]]:
        """Subsets, by their place, with what is asked of them: the same of all that refine the same levers."""
        own = [(each, met) for each, met in self._own if each.lever == lever]
        pinned = np.array([self._prepared.cells.codes_of(each.scope) for each, _ in own], dtype=np.int32)
        pinned = pinned.reshape(len(own), subsets.shape[1])
        refines = ((pinned[None] == 0) | (pinned[None] == subsets[:, None])).all(axis=2)
        patterns, of_subset = np.unique(refines, axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns.tolist()):
            ancestors = [each for (each, _), is_ancestor in zip(own, pattern, strict=True) if is_ancestor]
            taken = self._elsewhere.get(lever, np.zeros(len(self._prepared.rows), dtype=np.bool_))
            for (_, met), is_ancestor in zip(own, pattern, strict=True):
                taken = taken if is_ancestor else taken | met
            yield np.flatnonzero(of_subset.reshape(-1) == i), self._question(lever, values, ancestors, taken)

    def _question(
        self, lever: str, values: tuple[float, ...], ancestors: Sequence[AcceptedLever], taken: npt.NDArray[np.bool_]
    ) -> _Question:
        prepared = self._prepared

        def left(value: float) -> npt.NDArray[np.float64]:
            return np.where(taken, np.nan, prepared.deltas.deltas(lever, value))

        columns = [left(value) for value in values]
        loss_rr = [prepared.rr_cap] * len(values)
        for ancestor in ancestors:
            theirs = left(ancestor.target)
            inside = theirs[prepared.inside(prepared.cells.codes_of(ancestor.scope)).rows]
            known = inside[~np.isnan(inside)]
            average = float(known.mean()) if len(known) else 0.0
            # The same value adds where it is worth more than on the average; another, on each trade by itself.
            columns += [left(v) - (average if v == ancestor.target else theirs) for v in values]
            loss_rr += [0.0 if v == ancestor.target else prepared.rr_cap for v in values]
        blocks = [prepared.clustered.blocks(column) for column in columns]
        return _Question(
            values=values,
            columns=np.stack(columns),
            blocks=np.stack(blocks),
            spread=np.array([self._spread(column) for column in columns]),
            loss_rr=np.array(loss_rr),
        )

    def _spread(self, column: npt.NDArray[np.float64]) -> float:
        """Standard deviation of a column over the trades that know it, each with its first action; 0 of one."""
        known = column[self._prepared.clustered.first & ~np.isnan(column)]
        return float(known.std(ddof=1)) if len(known) > 1 else 0.0
