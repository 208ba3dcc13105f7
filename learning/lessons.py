"""Lessons: findings that passed, with their evidence and their life (spec section 7)."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from learning.parameters import Parameters
from learning.statistics import SubsetStats
from leverloop.patterns import ActionCategory, Module
from leverloop.scope import ScopeValue, scope_hash
from leverloop.snapshot import OverrideType

__all__ = ["Evidence", "Lesson", "LessonEvent", "LessonState", "born", "lesson_id", "reviewed"]

LessonState = Literal["candidate", "active", "dormant", "retired", "disabled"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a subset at one epoch: its effect beside all other lessons, and its statistics."""

    epoch_at_ms: int
    effect_rr: float
    error_rr: float
    shrunk_rr: float
    p_value: float
    n_clusters: int
    stats: SubsetStats


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """A subset of a group whose trades do better (+1) or worse (-1) than the group's others."""

    id: str
    lesson_type: OverrideType
    module: Module
    group: str
    scope: dict[str, ScopeValue]
    direction: Literal[1, -1]
    state: LessonState
    reason: str
    created_at_ms: int
    changed_at_ms: int
    evidence: Evidence
    insignificant_epochs: int = 0
    levers: dict[str, float] = {}
    """Published values, each within its bounds."""
    stepped_n: int = 0
    """Distinct trades at the levers' last step: more of them now is fresh evidence."""

    @property
    def pattern_key(self) -> str:
        """Pattern part of the group."""
        return self.group.rpartition("|")[0]

    @property
    def action_category(self) -> ActionCategory:
        """Category part of the group."""
        return self.group.rpartition("|")[2]  # type: ignore[return-value]


class LessonEvent(msgspec.Struct, frozen=True, kw_only=True, rename={"from_state": "from", "to_state": "to"}):
    """One change of a lesson's state, with the evidence at that time: a row of the audit history."""

    lesson_id: str
    epoch_at_ms: int
    pattern_key: str
    action_category: ActionCategory
    scope: dict[str, ScopeValue]
    from_state: LessonState | None
    to_state: LessonState
    reason: str
    direction: Literal[1, -1]
    effect_rr: float
    error_rr: float
    n: int


def lesson_id(lesson_type: OverrideType, group: str, scope: dict[str, ScopeValue]) -> str:
    """Id of a lesson: a function of what it is about, so that it is the same in every run.

    Notes
    -----
    Source: spec section 7 (module and category are parts of the group).

    Examples
    --------
    >>> lesson_id("pm_strength", "pm.uptrend.S1.buy_flag|entry", {"bucket": "micro"})
    'ls_b59f2cbc2f19e78b'
    """
    name = f"{lesson_type}|{group}|{scope_hash(scope)}"
    return f"ls_{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


def born(
    lesson_type: OverrideType,
    module: Module,
    group: str,
    scope: dict[str, ScopeValue],
    evidence: Evidence,
    *,
    epoch_at_ms: int,
    retired: Lesson | None = None,
) -> tuple[Lesson, LessonEvent]:
    """Return a new active lesson from evidence that passed, and the event that records it.

    The evidence may be of an earlier epoch: the last in which its group was tested. `retired` is the
    lesson of that id that lived before, if there was one.
    """
    lesson = Lesson(
        id=lesson_id(lesson_type, group, scope),
        lesson_type=lesson_type,
        module=module,
        group=group,
        scope=scope,
        direction=1 if evidence.effect_rr > 0 else -1,
        state="active",
        reason="significant",
        created_at_ms=epoch_at_ms,
        changed_at_ms=epoch_at_ms,
        evidence=evidence,
    )
    return lesson, _event(lesson, None if retired is None else retired.state)


def reviewed(lesson: Lesson, evidence: Evidence, parameters: Parameters) -> tuple[Lesson, LessonEvent | None]:
    """Return the lesson after an epoch's evidence, and the event if its state changed.

    An active lesson retires when its effect has lost its sign, when it has not been significant (p under
    alpha, alone) for `insignificant_epochs`, or when no trade matched it for `unseen_ms`.

    Notes
    -----
    Source: spec section 7.
    """
    if lesson.state != "active":
        return msgspec.structs.replace(lesson, evidence=evidence), None
    weak = lesson.insignificant_epochs + 1 if evidence.p_value > parameters.alpha else 0
    lesson = msgspec.structs.replace(lesson, evidence=evidence, insignificant_epochs=weak)
    reason = None
    if evidence.effect_rr * lesson.direction <= 0:
        reason = "effect_turned"
    elif weak >= parameters.insignificant_epochs:
        reason = "significance_gone"
    elif evidence.epoch_at_ms - evidence.stats.last_closed_at_ms > parameters.unseen_ms:
        reason = "no_trade_matched"
    if reason is None:
        return lesson, None
    retired = msgspec.structs.replace(lesson, state="retired", reason=reason, changed_at_ms=evidence.epoch_at_ms)
    return retired, _event(retired, lesson.state)


def _event(lesson: Lesson, before: LessonState | None) -> LessonEvent:
    return LessonEvent(
        lesson_id=lesson.id,
        epoch_at_ms=lesson.changed_at_ms,
        pattern_key=lesson.pattern_key,
        action_category=lesson.action_category,
        scope=lesson.scope,
        from_state=before,
        to_state=lesson.state,
        reason=lesson.reason,
        direction=lesson.direction,
        effect_rr=lesson.evidence.effect_rr,
        error_rr=lesson.evidence.error_rr,
        n=lesson.evidence.stats.n,
    )
