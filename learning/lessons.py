"""Lessons: findings that passed, with their evidence and their life (spec section 7)."""

from __future__ import annotations

import hashlib
from typing import Final, Literal

import msgspec

from learning.execution.findings import LeverRecord
from learning.factors import Sketch
from learning.forward import e_value, level
from learning.half_life import EdgePoint, HalfLife, dies_too_fast, thinned
from learning.parameters import DAY_MS, Parameters
from learning.statistics import SubsetStats
from leverloop.patterns import ActionCategory, Module
from leverloop.scope import ScopeValue, scope_hash
from leverloop.snapshot import OverrideType

__all__ = [
    "LIVE",
    "Evidence",
    "Forward",
    "Lesson",
    "LessonEvent",
    "LessonState",
    "LeverBasis",
    "absorbed",
    "activation_e",
    "changed",
    "is_faded",
    "lesson_id",
    "nominated",
    "reviewed",
    "unseen",
]

LessonState = Literal["candidate", "active", "dormant", "retired", "disabled"]
LeverBasis = Literal["deltas", "signal", "state"]
"""What speaks for an execution lever: logged deltas, a logged signal that a threshold bounds, adds by state."""
_ONE_SIDED: Final = 1.645
LIVE: Final = ("active", "dormant")
"""States in which a lesson is published."""


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """What the trades show that closed after a lesson was nominated: nothing it was chosen for is among them."""

    n: int = 0
    n_clusters: int = 0
    effect_rr: float = 0.0
    error_rr: float = 0.0
    """0 while there is no error to be estimated."""
    with_loss_rr: float | None = None
    """Of an execution lever: the effect if one more trade had lost `rr_cap`; what confirms has to bear that."""
    with_loss_error_rr: float = 0.0


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a subset at one epoch: its effect beside all other lessons, and its statistics."""

    epoch_at_ms: int
    effect_rr: float
    error_rr: float
    shrunk_rr: float
    p_value: float
    n_clusters: int
    stats: SubsetStats
    beside_others: bool = False
    """Of a subset that pins a regime alone: whether p is of its trades against those of other groups on the same
    days, rather than against its own group's in other spells; the surer of both."""
    forward: Forward = Forward()
    """None of it before the lesson was nominated."""
    half_life: HalfLife | None = None
    """Estimated on Mondays, and of what may be nominated; else None."""
    sketch: Sketch = ()
    """Of the trades inside (`learning.factors`), on Mondays and of candidates; else empty."""
    lever: LeverRecord | None = None
    """Of an execution lever: `stats` are of all trades of its place, this is of those that tell of it."""


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
    beside_others: bool = False
    """What it was nominated for, and is tested for since (`Evidence`)."""
    ordinal: int = 1
    """Which candidate of its module it was: decides how much evidence it needs (`learning.forward.level`)."""
    insignificant_epochs: int = 0
    half_life: HalfLife = HalfLife()
    """The last estimate."""
    sketch: Sketch = ()
    """Trades that it matches, as of the last time they were sketched."""
    absorbed_by: str | None = None
    """The active lesson that it repeats, if that is why it retired."""
    edge_history: tuple[EdgePoint, ...] = ()
    """(time in ms, edge_raw), a point a day, thinned out evenly: the first is its edge at birth."""
    lever: str = ""
    """The execution lever that a tuning lesson is about; a lesson about an effect has none."""
    lever_target: float = 0.0
    """The value that it is to have, where it has been asked for."""
    lever_basis: LeverBasis = "deltas"
    lever_signal: str = ""
    """What a threshold bounds."""
    lever_neutral: float | None = None
    """Where a threshold rests: the trader's own knob, as it was before any override of ours moved it."""
    levers: dict[str, float] = {}
    """Published values, each within its bounds."""
    stepped_n: int = 0
    """Distinct trades at the levers' last step: more of them now is fresh evidence."""
    stepped_closed_ms: int = 0
    """When the newest of them closed: a newer one is, too, as others are forgotten."""

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
    forward_effect_rr: float = 0.0
    forward_error_rr: float = 0.0
    forward_n: int = 0
    lever: LeverRecord | None = None


def lesson_id(lesson_type: OverrideType, group: str, scope: dict[str, ScopeValue], lever: str = "") -> str:
    """Id of a lesson: a function of what it is about, so that it is the same in every run.

    Notes
    -----
    Source: spec section 7 (module and category are parts of the group). A tuning lesson is about one lever too, which
    has evidence, a life and a history of its own.

    Examples
    --------
    >>> lesson_id("pm_strength", "pm.uptrend.S1.buy_flag|entry", {"bucket": "micro"})
    'ls_b59f2cbc2f19e78b'
    """
    name = f"{lesson_type}|{group}|{scope_hash(scope)}{f'|{lever}' if lever else ''}"
    return f"ls_{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


def nominated(
    lesson_type: OverrideType,
    module: Module,
    group: str,
    scope: dict[str, ScopeValue],
    evidence: Evidence,
    *,
    epoch_at_ms: int,
    ordinal: int,
    before: Lesson | None = None,
    lever: str = "",
) -> tuple[Lesson, LessonEvent]:
    """Return a new candidate from evidence that passed discovery, and the event that records it.

    The evidence may be of an earlier epoch: the last in which its group was tested. `before` is the
    lesson of that id that lived before, if there was one.
    """
    lesson = Lesson(
        id=lesson_id(lesson_type, group, scope, lever),
        lesson_type=lesson_type,
        module=module,
        group=group,
        scope=scope,
        direction=1 if evidence.effect_rr > 0 else -1,
        state="candidate",
        reason="discovered",
        created_at_ms=epoch_at_ms,
        changed_at_ms=epoch_at_ms,
        evidence=evidence,
        beside_others=evidence.beside_others,
        ordinal=ordinal,
        half_life=evidence.half_life or HalfLife(),
        lever=lever,
    )
    return lesson, _event(lesson, None if before is None else before.state)


def reviewed(
    lesson: Lesson,
    evidence: Evidence,
    parameters: Parameters,
    *,
    regime_at_ms: int | None = None,
    confirmed: int = 0,
) -> tuple[Lesson, LessonEvent | None]:
    """Return the lesson after an epoch's evidence, and the event if its state changed.

    Parameters
    ----------
    lesson, evidence
        The lesson, and what is known of it now.
    parameters
        The rules.
    regime_at_ms
        When the regime that it pins was last seen, in any group; None if it pins none.
    confirmed
        How many of its kind have been activated before.

    Notes
    -----
    Source: spec section 7; docs/lessons.md has the table of reasons.
    """
    if lesson.state not in ("candidate", "active", "dormant"):
        return msgspec.structs.replace(lesson, evidence=evidence), None
    weak = lesson.insignificant_epochs + 1 if evidence.p_value > parameters.alpha else 0
    lesson = msgspec.structs.replace(
        lesson,
        evidence=evidence,
        insignificant_epochs=weak,
        half_life=evidence.half_life or lesson.half_life,
        sketch=evidence.sketch or lesson.sketch,
        edge_history=_with_edge(lesson, evidence),
    )
    if lesson.state == "candidate":
        change = _tried(lesson, parameters, confirmed)
    else:
        change = _outlived(lesson, parameters, regime_at_ms) or _woken(lesson, parameters, regime_at_ms)
    if change is None:
        return lesson, None
    state, reason = change
    return changed(lesson, state, reason, evidence.epoch_at_ms)


def unseen(
    lesson: Lesson, epoch_at_ms: int, regime_at_ms: int | None, parameters: Parameters
) -> tuple[Lesson, LessonEvent | None]:
    """Return a lesson of which nothing is known at an epoch, and the event if that ends it.

    Its group is gone, its trades are forgotten, or there are no others to compare them with. While its regime is away
    it may wait, but not for longer than any trade is remembered. Source: spec section 7.
    """
    last_closed_at_ms = lesson.evidence.stats.last_closed_at_ms
    silent_ms = (epoch_at_ms if regime_at_ms is None else regime_at_ms) - last_closed_at_ms
    if lesson.state == "candidate" and epoch_at_ms - lesson.created_at_ms > parameters.candidate_ms:
        return changed(lesson, "retired", "not_confirmed", epoch_at_ms)
    is_forgotten = epoch_at_ms - last_closed_at_ms > parameters.outcome_keep_ms
    if lesson.state in LIVE and (silent_ms > parameters.unseen_ms or is_forgotten):
        return changed(lesson, "retired", "no_trade_matched", epoch_at_ms)
    return lesson, None


def changed(lesson: Lesson, state: LessonState, reason: str, at_ms: int) -> tuple[Lesson, LessonEvent]:
    """Return the lesson in another state, with the event that records it."""
    after = msgspec.structs.replace(lesson, state=state, reason=reason, changed_at_ms=at_ms)
    return after, _event(after, lesson.state)


def absorbed(lesson: Lesson, by: str) -> tuple[Lesson, LessonEvent]:
    """Return a confirmed candidate that repeats an active lesson, as retired in favour of it, with its event."""
    retired = msgspec.structs.replace(lesson, state="retired", reason="absorbed", absorbed_by=by)
    return retired, _event(retired, "candidate")


def is_faded(left: HalfLife, direction: int, parameters: Parameters) -> bool:
    """Whether what is left of an effect of a direction is beyond doubt too small to matter.

    Notes
    -----
    The upper end of a one-sided interval of 95 % for the fitted effect of today (`learning.half_life`). Source:
    spec section 7: the evidence turns.
    """
    if not parameters.learns_half_lives or left.effect_now_rr is None or left.effect_now_error_rr is None:
        return False
    return direction * left.effect_now_rr + _ONE_SIDED * left.effect_now_error_rr < parameters.effect_min_rr


def activation_e(lesson: Lesson, parameters: Parameters, confirmed: int = 0) -> tuple[float, float]:
    """E-value of a lesson's forward test, and the one that it needs after so many activations."""
    seen = lesson.evidence.forward
    found = e_value(seen.effect_rr, seen.error_rr, seen.n_clusters, lesson.direction)
    if seen.with_loss_rr is not None:
        found = min(found, e_value(seen.with_loss_rr, seen.with_loss_error_rr, seen.n_clusters, lesson.direction))
    return found, 1.0 / level(parameters.alpha, lesson.ordinal, confirmed)


def _tried(lesson: Lesson, parameters: Parameters, confirmed: int) -> tuple[LessonState, str] | None:
    """What becomes of a candidate."""
    found, forward = lesson.evidence, lesson.evidence.forward
    e, wanted = activation_e(lesson, parameters, confirmed)
    is_large = lesson.direction * found.shrunk_rr >= parameters.effect_min_rr
    refuted = _refuted(lesson, parameters)
    if refuted is not None:
        return "retired", refuted
    enough = found.n_clusters >= parameters.min_clusters and forward.n_clusters >= parameters.forward_min_clusters
    if e >= wanted and is_large and enough:
        too_fast = parameters.learns_half_lives and dies_too_fast(lesson.half_life)
        return ("retired", "dies_too_fast") if too_fast else ("active", "confirmed")
    if found.epoch_at_ms - lesson.created_at_ms > parameters.candidate_ms:
        return "retired", "not_confirmed"
    return None


def _refuted(lesson: Lesson, parameters: Parameters) -> str | None:
    """Why a candidate will not be confirmed, if that is clear already."""
    forward = lesson.evidence.forward
    effect_rr = lesson.direction * forward.effect_rr
    if is_faded(lesson.half_life, lesson.direction, parameters):
        return "faded"
    if forward.n_clusters < parameters.min_clusters:
        return None
    if effect_rr + forward.error_rr < 0.0:
        return "not_confirmed"
    return "too_small" if effect_rr + 2.0 * forward.error_rr < parameters.effect_min_rr else None


def _outlived(lesson: Lesson, parameters: Parameters, regime_at_ms: int | None) -> tuple[LessonState, str] | None:
    """Why a live lesson retires, if it does."""
    found, forward = lesson.evidence, lesson.evidence.forward
    if found.effect_rr * lesson.direction <= 0.0:
        return "retired", "effect_turned"
    if forward.n_clusters >= parameters.min_clusters and forward.effect_rr * lesson.direction <= 0.0:
        return "retired", "effect_turned"
    if is_faded(lesson.half_life, lesson.direction, parameters):
        return "retired", "faded"
    if lesson.insignificant_epochs >= parameters.insignificant_epochs:
        return "retired", "significance_gone"
    seen_at_ms = found.epoch_at_ms if regime_at_ms is None else regime_at_ms
    if seen_at_ms - found.stats.last_closed_at_ms > parameters.unseen_ms:
        return "retired", "no_trade_matched"
    return None


def _woken(lesson: Lesson, parameters: Parameters, regime_at_ms: int | None) -> tuple[LessonState, str] | None:
    """Whether a live lesson falls asleep with its regime, or wakes up with it."""
    away = regime_at_ms is not None and lesson.evidence.epoch_at_ms - regime_at_ms > parameters.dormant_ms
    if away and lesson.state == "active":
        return "dormant", "regime_away"
    if not away and lesson.state == "dormant":
        return "active", "regime_back"
    return None


def _with_edge(lesson: Lesson, evidence: Evidence) -> tuple[EdgePoint, ...]:
    """Edge history with today's point, if there is none yet."""
    edge, points = evidence.stats.edge_raw, lesson.edge_history
    if edge is None or (points and evidence.epoch_at_ms // DAY_MS == points[-1][0] // DAY_MS):
        return points
    return thinned((*points, (evidence.epoch_at_ms, edge)))


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
        forward_effect_rr=lesson.evidence.forward.effect_rr,
        forward_error_rr=lesson.evidence.forward.error_rr,
        forward_n=lesson.evidence.forward.n,
        lever=lesson.evidence.lever,
    )
