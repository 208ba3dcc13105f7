"""Phase scaling of whole families, put together from the adds of all partitions (spec section 8).

A state is good or bad beside the adds of its family in any state, and those lie in groups of many partitions. So
partitions send sums by day, the book compares, and what it finds holds for every group of the state alike: one
hypothesis, and one candidate in each of its groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from learning.evidence import shrunk
from learning.execution.findings import LeverEvidence, LeverRecord
from learning.execution.phase_scaling import FamilyScaling, passing, scalings, state_of
from learning.findings import GroupAdds, LeverFinding, StandingLever
from learning.lessons import Evidence, Forward
from learning.parameters import DAY_MS, Parameters
from learning.statistics import SubsetStats

__all__ = ["ScalingSearch", "forward_of", "forward_scalings", "lever_evidence", "scaling_of", "searched_scalings"]


class ScalingSearch(NamedTuple):
    """What was looked at in all families, and what passes, by the groups that it holds for."""

    looked_at: int = 0
    found: tuple[tuple[str, LeverFinding], ...] = ()


def searched_scalings(
    looked_at: Sequence[FamilyScaling], adds: Iterable[GroupAdds], epoch_at_ms: int, parameters: Parameters
) -> ScalingSearch:
    """Phase scaling of every state that differs from its family, as a finding of each of the state's groups.

    Parameters
    ----------
    looked_at
        Every state of every family, as `learning.execution.phase_scaling.scalings` finds them.
    adds
        Groups of all partitions, in any order.
    epoch_at_ms
        The epoch that they are of.
    parameters
        By which rules.

    Notes
    -----
    Whoever nominates pays again, with everything that was looked at. Source: spec section 8.
    """
    passed = passing(tuple(looked_at), parameters.discovery_alpha, parameters)
    found: list[tuple[str, LeverFinding]] = []
    for each in sorted(adds, key=lambda each: each.group):
        evidence = scaling_of(each.group, passed)
        if evidence is not None:
            found.append((each.group, _finding(evidence, each.stats, epoch_at_ms)))
    return ScalingSearch(looked_at=len(looked_at), found=tuple(found))


def forward_scalings(
    adds: Sequence[GroupAdds], standing: Iterable[StandingLever], parameters: Parameters
) -> dict[str, Forward]:
    """Forward test of each phase scaling that stands: the same comparison on the days after its nomination.

    Parameters
    ----------
    adds
        Of all partitions, in any order.
    standing
        Levers that stand, those of other evidence among them.
    parameters
        By which rules.

    Returns
    -------
    dict
        Lesson id -> forward evidence. The day of the nomination itself is left out: part of it was known.
    """
    days = [day for each in adds for day in each.days]
    known: dict[int, tuple[FamilyScaling, ...]] = {}
    found: dict[str, Forward] = {}
    for lever in standing:
        if lever.basis == "state":
            since = lever.created_at_ms // DAY_MS
            if since not in known:
                known[since] = scalings([day for day in days if day.day > since], parameters)
            found[lever.id] = forward_of(scaling_of(lever.group, known[since]))
    return found


def scaling_of(group: str, known: Iterable[FamilyScaling]) -> LeverEvidence | None:
    """Evidence of the state that a group of adds is in, if there is any."""
    return next((each.evidence for each in known if (each.family, each.state) == state_of(group)), None)


def forward_of(found: LeverEvidence | None) -> Forward:
    """What later trades show, as a forward test."""
    if found is None:
        return Forward()
    return Forward(n=found.n, n_clusters=found.n_clusters, effect_rr=found.effect_rr, error_rr=found.error_rr)


def lever_evidence(
    found: LeverEvidence, stats: SubsetStats, epoch_at_ms: int, forward: Forward | None = None
) -> Evidence:
    """Evidence of an execution lever in the form in which lessons live."""
    return Evidence(
        epoch_at_ms=epoch_at_ms,
        effect_rr=found.effect_rr,
        error_rr=found.error_rr,
        shrunk_rr=shrunk(found.effect_rr, found.error_rr),
        p_value=found.p_value,
        n_clusters=found.n_clusters,
        stats=stats,
        forward=forward or Forward(),
        lever=LeverRecord(
            lever=found.lever,
            target=found.target,
            n=found.n,
            effect_rr=found.effect_rr,
            ci_low=found.ci_low,
            ci_high=found.ci_high,
        ),
    )


def _finding(found: LeverEvidence, stats: SubsetStats, epoch_at_ms: int) -> LeverFinding:
    return LeverFinding(
        scope={},
        lever=found.lever,
        target=found.target,
        evidence=lever_evidence(found, stats, epoch_at_ms),
        basis="state",
    )
