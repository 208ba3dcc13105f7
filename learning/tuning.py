"""Execution levers of one group at an epoch: what a search finds, and how those that stand have held (spec section 8).

The search and its evidence are `learning.execution`'s; here they are put into the form in which lessons live.
"""

from __future__ import annotations

from learning.evidence import shrunk
from learning.execution.deltas import GroupDeltas
from learning.execution.findings import AcceptedLever, LeverEvidence
from learning.findings import Decided, LeverFinding, StandingLever
from learning.lessons import Evidence, Forward
from learning.search import GroupSearch
from learning.statistics import subset_stats
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
        self._rows, self._parameters = search.rows, search.parameters
        self._standing = [
            AcceptedLever(group=each.group, scope=each.scope, lever=each.lever, target=each.target)
            for each in decided.levers
        ]
        self._deltas = GroupDeltas(self._cells, self._rows, self._standing, self._parameters, search.clustered)

    def test(self) -> tuple[tuple[int, ...], tuple[LeverFinding, ...]]:
        """Pairs looked at by size, and the best of each size and lever that passes within the group."""
        found = self._deltas.discover(self._parameters.discovery_alpha, self._search.subsets)
        weighed = [
            LeverFinding(
                scope=each.scope,
                lever=each.evidence.lever,
                target=each.evidence.target,
                evidence=evidence,
            )
            for each in found.candidates
            if (evidence := self._evidence(each.scope, each.evidence, Forward())) is not None
        ]
        return found.tested_by_dims, tuple(weighed)

    def weigh(self, standing: StandingLever) -> Evidence | None:
        """Evidence of a lever that stands, on all trades and on those that closed since it was nominated."""
        found = self._deltas.weigh(standing.scope, standing.lever, standing.target)
        if found is None:
            return None
        return self._evidence(standing.scope, found, self._forward(standing))

    def _forward(self, standing: StandingLever) -> Forward:
        later = self._rows[self._cells.column("closed_at_ms", self._rows) > standing.created_at_ms]
        if not len(later):
            return Forward()
        deltas = GroupDeltas(self._cells, later, self._standing, self._parameters)
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

    def _evidence(self, scope: Scope, found: LeverEvidence, forward: Forward) -> Evidence | None:
        stats = subset_stats(self._view, self._cells.codes_of(scope), self._parameters)
        if stats is None:
            return None
        return Evidence(
            epoch_at_ms=self._view.epoch_at_ms,
            effect_rr=found.effect_rr,
            error_rr=found.error_rr,
            shrunk_rr=shrunk(found.effect_rr, found.error_rr),
            p_value=found.p_value,
            n_clusters=found.n_clusters,
            stats=stats,
            forward=forward,
        )
