"""What partitions and the book tell each other at an epoch."""

from __future__ import annotations

from typing import Final

import msgspec

from learning.baseline import GroupBaseline
from learning.execution.phase_scaling import FamilyScaling, StateDay
from learning.lessons import Evidence, Forward, LeverBasis
from learning.regime_weights import GroupWeightSums
from learning.regimes import NEUTRAL, RegimeWeights
from learning.statistics import SubsetStats
from leverloop.scope import ScopeValue

__all__ = [
    "SIZE_UNITS",
    "AcceptedLesson",
    "Candidate",
    "DaySums",
    "Decided",
    "Findings",
    "GroupAdds",
    "GroupTest",
    "Knob",
    "LeverFinding",
    "StandingLever",
]

SIZE_UNITS: Final = 1_000_000_000
"""In a |size_mult - 1| of 1."""
DaySums = tuple[tuple[int, int, int], ...]
"""((UTC day, distinct trades, sum of their rr beside the lessons in 1e-5 R), ...), each trade once over all groups."""


class AcceptedLesson(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson as every partition has to know it: what it pins and what it is worth."""

    id: str
    group: str
    scope: dict[str, ScopeValue]
    effect_rr: float
    created_at_ms: int = 0
    """When it was nominated: what closed later is its forward test."""
    is_candidate: bool = False
    beside_others: bool = False
    """Whether its forward test is against the trades of other groups on the same days (`learning.search`)."""
    size_mult: float = 1.0
    """Published, before the cap on the whole book."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """The most significant subset of a group at one number of dimensions."""

    scope: dict[str, ScopeValue]
    evidence: Evidence


class LeverFinding(msgspec.Struct, frozen=True, kw_only=True):
    """The most significant subset of a group at one number of dimensions for one execution lever."""

    scope: dict[str, ScopeValue]
    lever: str
    target: float
    evidence: Evidence
    basis: LeverBasis = "deltas"
    signal: str = ""
    """What a threshold bounds."""
    neutral: float | None = None
    """Where a threshold rests; None where the lever has a neutral of its own."""


class Knob(msgspec.Struct, frozen=True, kw_only=True):
    """The trader's own value of a threshold in a group, as it was when the first override of it was nominated."""

    group: str
    lever: str
    signal: str
    neutral: float


class GroupAdds(msgspec.Struct, frozen=True, kw_only=True):
    """A group of adds in a state of its family, as phase scaling has to know it."""

    group: str
    days: tuple[StateDay, ...]
    stats: SubsetStats
    """Of the whole group."""


class StandingLever(msgspec.Struct, frozen=True, kw_only=True):
    """An execution lever that is a candidate or published, as every partition has to know it."""

    id: str
    group: str
    scope: dict[str, ScopeValue]
    lever: str
    target: float
    created_at_ms: int
    basis: LeverBasis = "deltas"
    signal: str = ""
    neutral: float | None = None


class GroupTest(msgspec.Struct, frozen=True, kw_only=True):
    """Last test of a group, kept by the book until the group has grown or the lessons have changed."""

    group: str
    trades: int
    lessons_version: int
    tested_by_dims: tuple[int, ...]
    """Subsets looked at with 1, 2, ... dimensions."""
    candidates: tuple[Candidate, ...]
    levers_tested_by_dims: tuple[int, ...] = ()
    """Pairs of a subset and an execution lever's value looked at with 0, 1, 2, ... dimensions."""
    levers: tuple[LeverFinding, ...] = ()


class Decided(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="decided"):
    """What the book decided at an epoch, told to every partition. Epoch 0 opens the first one."""

    epoch_at_ms: int
    lessons_version: int = 0
    lessons: tuple[AcceptedLesson, ...] = ()
    levers: tuple[StandingLever, ...] = ()
    baselines: tuple[GroupBaseline, ...] = ()
    days: DaySums = ()
    days_beside: tuple[AcceptedLesson, ...] = ()
    """Lessons whose effects are taken off the sums of the days: those of the decision before."""
    regime_weights: RegimeWeights = NEUTRAL
    tested: dict[str, tuple[int, int]] = {}
    """Group -> (trades, lessons_version) at its last test."""
    knobs: tuple[Knob, ...] = ()
    """Of every threshold that was ever nominated: what the trader logs later may be the override's value."""
    scalings: tuple[FamilyScaling, ...] = ()
    """Adds of each state against all of their family, by the sums that came last."""
    forward_scalings: dict[str, Forward] = {}
    """Lesson id -> the same, of trades that closed on the days after its nomination."""


class Findings(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="findings"):
    """A partition's part of an epoch; epoch 0 proposes the first epoch in `first_epoch_at_ms`."""

    partition: int
    epoch_at_ms: int
    first_epoch_at_ms: int = 0
    input_offsets: dict[str, int] = {}
    """Input -> next offset that the epoch has not seen."""
    outcomes: int = 0
    trades: int = 0
    baselines: tuple[GroupBaseline, ...] = ()
    days: DaySums = ()
    tests: tuple[GroupTest, ...] = ()
    evidence: dict[str, Evidence] = {}
    """Lesson id -> what is known of it now."""
    moved_sizes: tuple[int, int] = (0, 0)
    """Entries and adds of the trades that closed in the last day, and the sum of their |size_mult - 1| in 1e-9."""
    weight_sums: tuple[GroupWeightSums, ...] = ()
    """Once a day (`learning.regime_weights`); at other epochs there are none."""
    regimes_at_ms: dict[str, int] = {}
    """Lesson id -> when the regime that it pins was last seen in an action here; lessons that pin none are left out."""
    adds: tuple[GroupAdds, ...] = ()
    """Weekly, and daily of the families whose phase scaling stands; at other epochs there are none."""
