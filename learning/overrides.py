"""From lessons to the snapshot that PM and DM read (spec section 11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from learning.lessons import LIVE, Lesson
from learning.levers import confidence, half_life_hours
from learning.parameters import Parameters
from leverloop.levers import ANY_SIGNAL
from leverloop.patterns import Module
from leverloop.snapshot import LessonRef, Override, OverrideStats, Snapshot, override_id, sealed

__all__ = ["override", "snapshot"]

_HOURS_A_DAY = 24.0


def override(lesson: Lesson, parameters: Parameters, factor_id: str | None = None) -> Override:
    """Override of a lesson, with what the client's blend weighs it by.

    Notes
    -----
    Source: spec section 11.
    """
    seen = lesson.evidence.stats
    return Override(
        type=lesson.lesson_type,
        pattern_key=lesson.pattern_key,
        action_category=lesson.action_category,
        scope=lesson.scope,
        levers=lesson.levers,
        signals={lesson.lever: lesson.lever_signal} if lesson.lever in ANY_SIGNAL else {},
        stats=OverrideStats(
            edge_raw=seen.edge_raw if seen.edge_raw is not None else 0.0,
            n=seen.n,
            variance=seen.variance if seen.variance is not None else 0.0,
            half_life_days=half_life_hours(lesson, parameters) / _HOURS_A_DAY,
            updated_at_ms=seen.last_closed_at_ms,
        ),
        lesson=LessonRef(
            id=lesson.id,
            strength=confidence(lesson.evidence),
            decay_halflife_hours=half_life_hours(lesson, parameters),
            created_at_ms=lesson.created_at_ms,
            factor_id=factor_id,
        ),
    )


def snapshot(
    module: Module,
    lessons: Iterable[Lesson],
    *,
    version: int,
    epoch_at_ms: int,
    config_hash: str,
    engine_version: str,
    parameters: Parameters,
    factors: Mapping[str, str] | None = None,
    size_scale: float = 1.0,
    input_offsets: Mapping[str, int] | None = None,
) -> Snapshot:
    """Return the sealed snapshot of a module's live lessons, in the order of their ids.

    `size_scale` is the share of each size_mult - 1 that is published (`Book.size_scale`), `factors` says which lesson
    belongs to which latent factor; one that a lesson has to itself is not worth a word.

    `input_offsets` says what the epoch has seen of each input: provenance, and no part of the content hash. When it is
    published and how long it holds is the publisher's to say: both are 0 here, and neither is part of it.

    Notes
    -----
    Source: spec section 11.
    """
    members = Counter((factors or {}).values())
    shared = {name: factor for name, factor in (factors or {}).items() if members[factor] > 1}
    live = [
        override(_scaled(lesson, size_scale), parameters, shared.get(lesson.id))
        for lesson in lessons
        if lesson.state in LIVE and lesson.levers
    ]
    return sealed(
        Snapshot(
            module=module,
            version=version,
            parent_version=version - 1 if version > 1 else None,
            epoch_at_ms=epoch_at_ms,
            published_at_ms=0,
            valid_until_ms=0,
            engine_version=engine_version,
            config_hash=config_hash,
            input_offsets=dict(input_offsets or {}),
            pattern_overrides=_tunings(o for o in live if o.type == "pm_tuning"),
            pattern_strength_overrides=tuple(o for o in live if o.type == "pm_strength"),
            alloc_overrides=tuple(o for o in live if o.type == "dm_alloc"),
        )
    )


def _scaled(lesson: Lesson, scale: float) -> Lesson:
    """Lesson with its size lever drawn toward 1."""
    size = lesson.levers.get("size_mult")
    if size is None:
        return lesson
    return msgspec.structs.replace(lesson, levers=lesson.levers | {"size_mult": 1.0 + scale * (size - 1.0)})


def _tunings(overrides: Iterable[Override]) -> tuple[Override, ...]:
    """Execution levers of the same place put together: a snapshot has one override of a kind for each.

    It has the lesson of the oldest, and of all strengths the least.
    """
    together: dict[str, Override] = {}
    for each in sorted(overrides, key=lambda each: (each.lesson.created_at_ms, each.lesson.id)):
        key = override_id(each)
        first = together.get(key, each)
        strength = min(first.lesson.strength, each.lesson.strength)
        together[key] = msgspec.structs.replace(
            first,
            levers=first.levers | each.levers,
            signals=first.signals | each.signals,
            lesson=msgspec.structs.replace(first.lesson, strength=strength),
        )
    return tuple(together[key] for key in sorted(together))
