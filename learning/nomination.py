"""What becomes a candidate: the best of everything that was looked at, one of a kind an epoch (spec sections 7 and 8).

Greedy by design: the simplest and then the most significant of all that pass. The next epoch tests everything
again beside it, so that what merely mirrors it, in another group or a larger scope, no longer passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from learning.evidence import shrunk
from learning.execution.phase_scaling import state_of
from learning.findings import Candidate, GroupTest, LeverFinding
from learning.lessons import Lesson, LessonEvent, is_faded, lesson_id, nominated
from learning.parameters import Parameters
from learning.scaling import ScalingSearch
from leverloop.patterns import Module
from leverloop.snapshot import OverrideType

__all__ = ["Nomination", "best_lesson", "best_lever"]

Nomination = tuple[Lesson, LessonEvent]


class _Rank(NamedTuple):
    """What is preferred to what: the fewest dimensions, then the smallest p, then the first by name."""

    dims: int
    p_value: float
    group: str
    lever: str = ""


def best_lesson(
    module: Module,
    tests: Sequence[GroupTest],
    lessons: Mapping[str, Lesson],
    parameters: Parameters,
    *,
    epoch_at_ms: int,
    ordinal: int,
) -> Nomination | None:
    """Return the simplest, then most significant subset that passes, as a candidate, or None.

    Parameters
    ----------
    module
        Whose lessons.
    tests
        Last test of each of its groups, beside today's lessons.
    lessons
        All there are, by their ids.
    parameters
        The rules.
    epoch_at_ms, ordinal
        When it is nominated, and as which candidate of its kind.

    Notes
    -----
    Paid for: everything looked at in all groups, evenly over the numbers of dimensions. Source: spec section 7.
    """
    kind = _lesson_type(module)
    limit = parameters.lesson_max_dims
    looked_at = [sum(test.tested_by_dims[k] for test in tests) for k in range(limit)]
    passing: list[tuple[_Rank, Candidate]] = []
    for test in tests:
        for candidate in test.candidates:
            k = len(candidate.scope)
            found = candidate.evidence
            known = lessons.get(lesson_id(kind, test.group, candidate.scope))
            if (
                found.p_value * looked_at[k - 1] * limit <= parameters.discovery_alpha
                and abs(found.shrunk_rr) >= parameters.effect_min_rr
                and (known is None or _has_rested(known, epoch_at_ms, parameters))
                and _adds(test.group, candidate, lessons.values(), epoch_at_ms, parameters)
            ):
                passing.append((_Rank(k, found.p_value, test.group), candidate))
    if not passing:
        return None
    rank, candidate = min(passing, key=lambda entry: entry[0])
    return _nominated(kind, module, rank.group, candidate, lessons, epoch_at_ms=epoch_at_ms, ordinal=ordinal)


def best_lever(
    tests: Sequence[GroupTest],
    scaled: ScalingSearch,
    lessons: Mapping[str, Lesson],
    parameters: Parameters,
    *,
    epoch_at_ms: int,
    ordinal: int,
) -> tuple[Nomination, ...]:
    """Return the simplest, then most significant value of an execution lever that passes, as a candidate.

    Parameters
    ----------
    tests, lessons, parameters, epoch_at_ms, ordinal
        As of `best_lesson`.
    scaled
        Search of phase scalings, over all groups.

    Returns
    -------
    tuple
        None or one; of a phase scaling one in each group of its state. These are one hypothesis, with one forward
        test, and share its ordinal.

    Notes
    -----
    Paid for as lessons are, over subsets and values; a size more, for the whole group. Source: spec section 8.
    """
    sizes = parameters.lesson_max_dims + 1
    looked = [test.levers_tested_by_dims for test in tests if test.levers_tested_by_dims]
    looked_at = [sum(by_dims[k] for by_dims in looked) for k in range(sizes)]
    looked_at[0] += scaled.looked_at
    passing: list[tuple[_Rank, LeverFinding]] = []
    for group, found in (*((test.group, found) for test in tests for found in test.levers), *scaled.found):
        known = lessons.get(lesson_id("pm_tuning", group, found.scope, found.lever))
        weighed, k = found.evidence, len(found.scope)
        large = shrunk(weighed.effect_rr, weighed.error_rr)
        if found.basis == "state":  # less than the others is a finding, too
            large = abs(large)
        if (
            weighed.p_value * looked_at[k] * sizes <= parameters.discovery_alpha
            and large >= parameters.effect_min_rr
            and (known is None or _has_rested(known, epoch_at_ms, parameters))
        ):
            passing.append((_Rank(k, weighed.p_value, group, found.lever), found))
    if not passing:
        return ()
    best = min(passing, key=lambda entry: entry[0])
    alike = [entry for entry in passing if _is_same(entry, best)]
    return tuple(
        _nominated("pm_tuning", "pm", rank.group, found, lessons, epoch_at_ms=epoch_at_ms, ordinal=ordinal)
        for rank, found in alike
    )


def _is_same(one: tuple[_Rank, LeverFinding], other: tuple[_Rank, LeverFinding]) -> bool:
    """Whether two findings are one hypothesis: the same, or phase scalings of one state of a family."""
    if one[1].basis == other[1].basis == "state":
        return state_of(one[0].group) == state_of(other[0].group)
    return one is other


def _nominated(
    kind: OverrideType,
    module: Module,
    group: str,
    found: Candidate | LeverFinding,
    lessons: Mapping[str, Lesson],
    *,
    epoch_at_ms: int,
    ordinal: int,
) -> Nomination:
    """Candidate of a finding, after the lesson of its id that lived before, if there was one."""
    lever = found.lever if isinstance(found, LeverFinding) else ""
    lesson, event = nominated(
        kind,
        module,
        group,
        found.scope,
        found.evidence,
        epoch_at_ms=epoch_at_ms,
        ordinal=ordinal,
        before=lessons.get(lesson_id(kind, group, found.scope, lever)),
        lever=lever,
    )
    if isinstance(found, LeverFinding):
        lesson = msgspec.structs.replace(
            lesson,
            lever_target=found.target,
            lever_basis=found.basis,
            lever_signal=found.signal,
            lever_neutral=found.neutral,
        )
    return lesson, event


def _has_rested(known: Lesson, epoch_at_ms: int, parameters: Parameters) -> bool:
    """Whether a lesson that was there before may be nominated again."""
    return known.state == "retired" and epoch_at_ms - known.changed_at_ms >= parameters.rest_ms


def _adds(
    group: str, candidate: Candidate, lessons: Iterable[Lesson], epoch_at_ms: int, parameters: Parameters
) -> bool:
    """Whether a candidate does what it says, and more of it than every lesson whose scope is a part of its own.

    Its effect beside the others has the sign that a refinement of a good subset may have while the whole of it
    is good still: a lesson is about the whole. A lesson that rests is counted, too, or its refinements would be
    nominated in its place.
    """
    found = candidate.evidence
    whole, direction = found.stats.effect_rr, 1 if found.effect_rr > 0.0 else -1
    if whole is None or direction * whole <= 0.0:
        return False
    if found.half_life is not None and is_faded(found.half_life, direction, parameters):
        return False
    ancestors = [
        lesson.evidence.stats.effect_rr or 0.0
        for lesson in lessons
        if (lesson.state != "retired" or not _has_rested(lesson, epoch_at_ms, parameters))
        and not lesson.lever
        and lesson.group == group
        and lesson.scope.items() < candidate.scope.items()
    ]
    return all(direction * (whole - effect) >= parameters.incremental_min_rr for effect in ancestors)


def _lesson_type(module: Module) -> OverrideType:
    return "pm_strength" if module == "pm" else "dm_alloc"
