"""Levers of a lesson: where its evidence points, and the step that is taken toward it (spec section 8)."""

from __future__ import annotations

import math

import msgspec
from scipy.special import ndtr

from learning.decay import LONGEST_HOURS, UNKNOWN_HALF_LIFE_HOURS
from learning.lessons import Evidence, Lesson
from learning.parameters import HOUR_MS, Parameters
from leverloop.errors import InvariantBroken
from leverloop.levers import LEVERS, Lever, levers_of

__all__ = ["confidence", "half_life_hours", "seen_by_now", "stepped", "still_there", "target"]


def confidence(evidence: Evidence) -> float:
    """Probability that the shrunken effect has its sign, rescaled from [0.5, 1] to [0, 1].

    Notes
    -----
    Source: spec section 8; it is the lesson's strength too.
    """
    if evidence.error_rr <= 0.0:
        return 0.0
    return float(2.0 * ndtr(abs(evidence.shrunk_rr) / evidence.error_rr) - 1.0)


def target(lever: Lever, edge: float, strength: float, parameters: Parameters) -> float:
    """Value a capital lever is pulled toward.

    Notes
    -----
    Source: spec section 8: exp(ln(max) * direction * tanh(|edge_raw| / edge_ref) * confidence).
    The bounds are not symmetric in logarithms (ln 0.7 is farther than ln 1.3): the result is clamped.

    Examples
    --------
    >>> size = LEVERS["size_mult"]
    >>> target(size, 0.0, 1.0, Parameters()), round(target(size, 5.0, 1.0, Parameters()), 3)
    (1.0, 1.3)
    >>> round(target(LEVERS["exit_aggression_mult"], 5.0, 1.0, Parameters()), 3)  # a good edge holds longer
    0.833
    """
    pull = math.copysign(math.tanh(abs(edge) / parameters.edge_ref), edge) * strength * lever.direction
    return min(max(math.exp(math.log(lever.high) * pull), lever.low), lever.high)


def half_life_hours(lesson: Lesson, parameters: Parameters) -> float:
    """Half-life by which a lesson's levers drift, and its weight in the client falls; 720 h if it is not learned."""
    return lesson.half_life.hours if parameters.learns_half_lives else UNKNOWN_HALF_LIFE_HOURS


def still_there(lesson: Lesson, parameters: Parameters) -> float:
    """Share of a lesson's effect that is left: 1 unless it decays beyond doubt.

    Notes
    -----
    The edge is a mean over all history, and falls long after what it measures has gone. Source: spec section 9, v5.2.
    """
    known, effect_rr = lesson.half_life, lesson.evidence.effect_rr
    lasts = known.high_hours >= LONGEST_HOURS or known.effect_now_rr is None or effect_rr == 0.0
    if lasts or not parameters.learns_half_lives:
        return 1.0
    return min(max((known.effect_now_rr or 0.0) / effect_rr, 0.0), 1.0)


def stepped(lesson: Lesson, parameters: Parameters) -> Lesson:
    """Lesson with its levers after one epoch: a bounded step on fresh evidence, else a drift to neutral.

    Notes
    -----
    Source: spec section 8. Where effect_rr and delta_rr differ in sign the target is neutral.
    """
    if lesson.lever:
        return _tuned(lesson, parameters)
    seen = lesson.evidence.stats
    fresh = lesson.state == "active" and _is_fresh(lesson)
    agrees = seen.delta_rr is not None and seen.delta_rr * lesson.direction > 0
    edge = seen.edge_raw * still_there(lesson, parameters) if seen.edge_raw is not None and agrees else 0.0
    strength = confidence(lesson.evidence) if abs(edge) >= parameters.edge_min else 0.0
    keep = 2.0 ** (-parameters.epoch_ms / (half_life_hours(lesson, parameters) * HOUR_MS))
    result: dict[str, float] = {}
    if edge == 0.0 and not lesson.levers:
        return seen_by_now(lesson)  # effect and edge disagree: there is no lever
    for lever in levers_of(lesson.action_category, "capital"):
        at = math.log(lesson.levers.get(lever.name, 1.0))
        if fresh:
            gap = math.log(target(lever, edge, strength, parameters)) - at
            at += min(max(gap, -parameters.step_ln), parameters.step_ln)
        else:
            at *= keep
        value = min(max(math.exp(at), lever.low), lever.high)
        if not LEVERS[lever.name].holds(value):
            raise InvariantBroken(f"{lesson.id} at {lesson.evidence.epoch_at_ms}: {lever.name} would be {value}")
        result[lever.name] = value
    return msgspec.structs.replace(seen_by_now(lesson), levers=result)


def seen_by_now(lesson: Lesson) -> Lesson:
    """Lesson to which what it knows now is fresh evidence no more."""
    seen = lesson.evidence.stats
    return msgspec.structs.replace(lesson, stepped_n=seen.n, stepped_closed_ms=seen.last_closed_at_ms)


def _is_fresh(lesson: Lesson) -> bool:
    """Whether there are new trades since the last step; their number alone does not say so, as old ones are forgotten.

    Source: spec section 8.
    """
    seen = lesson.evidence.stats
    return seen.n > lesson.stepped_n or seen.last_closed_at_ms > lesson.stepped_closed_ms


def _tuned(lesson: Lesson, parameters: Parameters) -> Lesson:
    """Lesson with its execution lever after one epoch: toward its target, or home."""
    lever = LEVERS[lesson.lever]
    neutral = lesson.lever_neutral if lever.neutral is None else lever.neutral
    if neutral is None:
        raise InvariantBroken(f"{lesson.id}: {lever.name} has no neutral to drift to")
    fresh = lesson.state == "active" and _is_fresh(lesson)
    wanted = lesson.lever_target
    if lesson.lever_basis == "state":  # as of a capital lever: how large and how sure the effect is, not a logged value
        wanted = target(lever, lesson.evidence.effect_rr, confidence(lesson.evidence), parameters)
    is_ratio, step = _scale(lever, parameters)
    home, aim = (_scaled(value, is_ratio) for value in (neutral, wanted))
    at = _scaled(lesson.levers.get(lever.name, neutral), is_ratio)
    if fresh:
        at += min(max(aim - at, -step), step)
    else:
        at = home + (at - home) * 2.0 ** (-parameters.epoch_ms / (half_life_hours(lesson, parameters) * HOUR_MS))
    value = min(max(math.exp(at) if is_ratio else at, lever.low), lever.high)
    if not lever.holds(value):
        raise InvariantBroken(f"{lesson.id} at {lesson.evidence.epoch_at_ms}: {lever.name} would be {value}")
    return msgspec.structs.replace(seen_by_now(lesson), levers={lever.name: value}, lever_target=wanted)


def _scale(lever: Lever, parameters: Parameters) -> tuple[bool, float]:
    """Whether a lever moves in its logarithm, as multipliers do, and by how much in an epoch."""
    if lever.neutral is None:
        return False, parameters.step_threshold
    if lever.neutral > 0.0:
        return True, parameters.step_ln
    return False, parameters.step_bars


def _scaled(value: float, is_ratio: bool) -> float:
    return math.log(value) if is_ratio else value
