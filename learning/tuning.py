"""Execution levers of one group at an epoch: what a search finds, and how those that stand have held (spec section 8).

The search and its evidence are `learning.execution`'s; here they are put into the form in which lessons live.
Phase scaling takes all groups of a family (`learning.scaling`): of it only what stands is weighed here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from learning.clusters import ClusteredGroup
from learning.execution.deltas import GroupDeltas
from learning.execution.findings import AcceptedLever, LeverCandidate, LeverEvidence
from learning.execution.thresholds import GroupThresholds
from learning.findings import Decided, LeverFinding, StandingLever
from learning.lessons import Evidence, Forward, LeverBasis
from learning.scaling import forward_of, lever_evidence, scaling_of
from learning.search import GroupSearch
from learning.statistics import subset_stats
from leverloop.levers import LEVERS
from leverloop.scope import Scope

__all__ = ["GroupTuning"]


class GroupTuning:
    """One group, prepared for tests of its execution levers.

    Parameters
    ----------
    search
        The same group, prepared for tests of its subsets.
    decided
        The decision of the epoch before: levers that stand.
    """

    def __init__(self, search: GroupSearch, decided: Decided) -> None:
        self._search, self._cells, self._view = search, search.cells, search.view
        self._rows, self._parameters, self._decided = search.rows, search.parameters, decided
        self._standing = [
            AcceptedLever(group=each.group, scope=each.scope, lever=each.lever, target=each.target, signal=each.signal)
            for each in decided.levers
        ]
        self._knobs = {
            (knob.lever, knob.signal): knob.neutral for knob in decided.knobs if knob.group == search.cells.group
        }
        self._deltas = GroupDeltas(self._cells, self._rows, self._standing, self._parameters, search.clustered)
        self._thresholds = self._thresholds_of(np.arange(len(self._rows)), search.clustered)

    def test(self) -> tuple[tuple[int, ...], tuple[LeverFinding, ...]]:
        """Pairs looked at by size, and the best of each size and lever that passes within the group."""
        alpha = self._parameters.discovery_alpha
        by_deltas = self._deltas.discover(alpha, self._search.subsets)
        by_signal = self._thresholds.discover(alpha)
        looked_at = zip(by_deltas.tested_by_dims, by_signal.tested_by_dims, strict=True)
        found = [self._finding(each, "deltas") for each in by_deltas.candidates]
        found += [self._finding(each, "signal") for each in by_signal.candidates]
        return tuple(map(sum, looked_at)), tuple(each for each in found if each is not None)

    def weigh(self, standing: StandingLever) -> Evidence | None:
        """Evidence of a lever that stands, on all trades and on those that closed since it was nominated."""
        if standing.basis == "state":
            found = scaling_of(standing.group, self._decided.scalings)
            forward = self._decided.forward_scalings.get(standing.id, Forward())
        elif standing.basis == "signal":
            found, forward = self._weighed(self._thresholds, standing), self._forward(standing)
        else:
            found = self._deltas.weigh(standing.scope, standing.lever, standing.target)
            forward = self._forward(standing)
        return None if found is None else self._evidence(standing.scope, found, forward)

    def _finding(self, candidate: LeverCandidate, basis: LeverBasis) -> LeverFinding | None:
        found = candidate.evidence
        evidence = self._evidence(candidate.scope, found, Forward())
        if evidence is None:
            return None
        rests = LEVERS[found.lever].neutral is None
        return LeverFinding(
            scope=candidate.scope,
            lever=found.lever,
            target=found.target,
            evidence=evidence,
            basis=basis,
            signal=found.signal,
            neutral=self._thresholds.neutral(found.lever, found.signal) if rests else None,
        )

    def _forward(self, standing: StandingLever) -> Forward:
        later = np.flatnonzero(self._cells.column("closed_at_ms", self._rows) > standing.created_at_ms)
        if not len(later):
            return Forward()
        if standing.basis == "signal":
            return forward_of(self._weighed(self._thresholds_of(later), standing))
        deltas = GroupDeltas(self._cells, self._rows[later], self._standing, self._parameters)
        found = deltas.weigh(standing.scope, standing.lever, standing.target)
        if found is None:
            return Forward()
        return Forward(
            n=found.n,
            n_clusters=found.n_clusters,
            effect_rr=found.effect_rr,
            error_rr=found.error_rr,
            # A value that gains a little mostly and loses much rarely does not look so until it has lost.
            with_loss_rr=found.with_loss_rr,
            with_loss_error_rr=found.with_loss_error_rr,
        )

    def _thresholds_of(self, places: npt.NDArray[np.int64], clustered: ClusteredGroup | None = None) -> GroupThresholds:
        """Thresholds of some of the rows; the day's part is out, as both sides of a cut are to have seen the same days.

        Most of all once a threshold works: what it stops is of earlier days then than what it lets through.
        """
        rr = self._search.beside_day[places]
        rows = self._rows[places]
        return GroupThresholds(self._cells, rows, rr, self._standing, self._parameters, clustered, self._knobs)

    def _weighed(self, thresholds: GroupThresholds, standing: StandingLever) -> LeverEvidence | None:
        neutral = LEVERS[standing.lever].neutral if standing.neutral is None else standing.neutral
        assert neutral is not None, f"{standing.id} was nominated without a neutral"
        return thresholds.weigh(standing.scope, standing.lever, standing.signal, standing.target, neutral)

    def _evidence(self, scope: Scope, found: LeverEvidence, forward: Forward) -> Evidence | None:
        stats = subset_stats(self._view, self._cells.codes_of(scope), self._parameters)
        return None if stats is None else lever_evidence(found, stats, self._view.epoch_at_ms, forward)
