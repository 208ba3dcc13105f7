"""What became of each planted edge: when a lesson about it was active, what it was worth, how its levers ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from benchmarks.lessons.replayed import LIVE, Replayed
from learning.lessons import Lesson
from learning.overrides import override
from learning.parameters import DAY_MS, Parameters
from leverloop.levers import LEVERS

__all__ = ["Decay", "Fate", "decay", "fates", "scope_text"]

START_MS: Final = 1_735_689_600_000
"""Beginning of a planted stream."""
_WORTH_RR: Final = 0.3
_GONE_DAY: Final = 150.0


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """One lesson about one planted edge; days count from the beginning of the stream."""

    edge: str
    true_half_life_days: float | None = None
    lesson_scope: str = ""
    state: str = "never found"
    found_day: float | None = None
    """When it was first heard of, be it as a candidate."""
    active_day: float | None = None
    true_rr: float | None = None
    """What was left of the edge when the lesson became active."""
    effect_rr: float | None = None
    """What the lesson said then."""
    retired_day: float | None = None
    reason: str = ""
    half_life_days: float | None = None
    """What the lesson last said."""
    neutral_day: float | None = None
    """From when on all its levers were within 2 % of neutral, or it was not published, to the end."""


def fates(run: Replayed, truth: dict[str, Any], parameters: Parameters) -> list[Fate]:
    """Fates of the planted edges.

    Of every lesson on the edge's group and side that pins what the edge pins, or was live and pins part of that,
    or more; one line without a lesson for an edge that had none.
    """
    found: list[Fate] = []
    last = {name: lesson for _, lessons in run.history for name, lesson in lessons.items()}
    live = {event.lesson_id for event in run.events if event.to_state in LIVE}
    for edge in truth["edges"]:
        name = f"{edge['pattern_key']} {edge['action_category']} {scope_text(edge['scope'])} {edge['effect_rr']:+.2f}"
        if edge["half_life_days"]:
            name += f", half-life {edge['half_life_days']:g} d"
        related = [
            lesson
            for lesson in last.values()
            if _related(lesson, edge) and (lesson.id in live or lesson.scope == edge["scope"])
        ]
        related.sort(key=lambda lesson: (lesson.scope != edge["scope"], lesson.created_at_ms))
        found += [_fate(name, edge, lesson, run, parameters) for lesson in related] or [
            Fate(edge=name, true_half_life_days=edge["half_life_days"])
        ]
    return found


class Decay(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an edge that decays."""

    in_time: bool
    """A lesson was active while at least 0.3 R was left."""
    gone: bool
    """It was found, and by day 150 no lesson about it moved a lever by more than 2 % from then on."""
    half_life: bool
    """A lesson's last half-life is within a factor 2."""


def decay(found: Sequence[Fate]) -> Decay | None:
    """Judge the fates of one stream's edge that decays; None without such an edge."""
    own = [fate for fate in found if fate.true_half_life_days is not None]
    active = [fate for fate in own if fate.active_day is not None]
    if not own:
        return None
    return Decay(
        in_time=any(abs(fate.true_rr or 0.0) >= _WORTH_RR for fate in active),
        gone=bool(active) and all(fate.neutral_day is not None and fate.neutral_day <= _GONE_DAY for fate in active),
        half_life=any(
            0.5 <= (fate.half_life_days or 0.0) / (fate.true_half_life_days or 1.0) <= 2.0 for fate in active
        ),
    )


def scope_text(scope: dict[str, Any]) -> str:
    """Scope as one word."""
    return ",".join(f"{name}={value}" for name, value in scope.items())


def _related(lesson: Lesson, edge: dict[str, Any]) -> bool:
    nested = lesson.scope.items() <= edge["scope"].items() or edge["scope"].items() <= lesson.scope.items()
    own = (lesson.pattern_key, lesson.action_category) == (edge["pattern_key"], edge["action_category"])
    tuning = lesson.lesson_type == "pm_tuning"  # about how to trade, not about what a trade is worth
    return own and nested and not tuning and lesson.direction * edge["effect_rr"] > 0


def _fate(name: str, edge: dict[str, Any], lesson: Lesson, run: Replayed, parameters: Parameters) -> Fate:
    events = [event for event in run.events if event.lesson_id == lesson.id]
    begun = next((event for event in events if event.to_state == "active"), None)
    ended = events[-1] if events and events[-1].to_state == "retired" else None
    day = None if begun is None else _day(begun.epoch_at_ms)
    last = next(
        (then[lesson.id] for _, then in reversed(run.history) if lesson.id in then and then[lesson.id].state in LIVE),
        None,
    )
    return Fate(
        edge=name,
        true_half_life_days=edge["half_life_days"],
        lesson_scope=scope_text(lesson.scope),
        state=lesson.state,
        found_day=_day(events[0].epoch_at_ms) if events else None,
        active_day=day,
        true_rr=None if day is None else _left(edge, day),
        effect_rr=None if begun is None else begun.effect_rr,
        retired_day=None if ended is None else _day(ended.epoch_at_ms),
        reason=lesson.reason,
        half_life_days=None if last is None else override(last, parameters).stats.half_life_days,
        neutral_day=None if begun is None else _neutral_day(lesson.id, run),
    )


def _neutral_day(name: str, run: Replayed) -> float | None:
    since = None
    for epoch_at_ms, lessons in reversed(run.history):
        lesson = lessons.get(name)
        if lesson is not None and lesson.state in LIVE and _moved(lesson):
            break
        since = epoch_at_ms
    return None if since is None else _day(since)


def _moved(lesson: Lesson) -> bool:
    neutrals = {name: LEVERS[name].neutral for name in lesson.levers}
    return any(
        neutral is None or abs(lesson.levers[name] - neutral) > 0.02 * max(abs(neutral), 1.0)
        for name, neutral in neutrals.items()
    )


def _left(edge: dict[str, Any], day: float) -> float:
    half_life = edge["half_life_days"]
    return float(edge["effect_rr"] * (1.0 if half_life is None else math.exp2(-day / half_life)))


def _day(at_ms: int) -> float:
    return (at_ms - START_MS) / DAY_MS
