"""The lesson book: where the findings of all partitions become one decision per epoch (spec sections 7, 10).

Greedy by design: at most one new lesson a module and epoch, the simplest and then the most significant
of all that pass. The next epoch tests everything again beside it, so that what merely mirrors it, in
another group or a larger scope, no longer passes.

What is paid for here: the search, over all subsets of all groups, evenly over the numbers of dimensions.
What is not: looking again every epoch. `docs/lessons.md` says what that means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from learning.baseline import GroupBaseline, merged
from learning.epochs import MONDAY_AT_THREE_MS, is_due
from learning.factors import FactorMember, factors, redundant_with
from learning.findings import AcceptedLesson, Candidate, Decided, Findings, GroupTest
from learning.lessons import LIVE, Lesson, LessonEvent, absorbed, is_faded, lesson_id, nominated, reviewed
from learning.levers import stepped
from learning.parameters import DAY_MS, Parameters
from learning.regime_weights import regime_weights
from learning.regimes import NEUTRAL, RegimeWeights
from leverloop.errors import InvariantBroken
from leverloop.patterns import MODULES, Module
from leverloop.snapshot import OverrideType

__all__ = ["Book", "close_epoch", "decision", "opened"]


class Book(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="book"):
    """Everything the book stage remembers; a function of the findings of all epochs so far."""

    epoch_at_ms: int
    version: int = 0
    """Number of epochs closed: the version of the snapshots."""
    lessons_version: int = 0
    lessons: dict[str, Lesson] = {}
    nominations: dict[str, int] = {}
    """Module -> candidates so far: each has less of alpha to spend than the one before."""
    tests: dict[str, GroupTest] = {}
    baselines: tuple[GroupBaseline, ...] = ()
    days: tuple[tuple[int, int, int], ...] = ()
    events: tuple[LessonEvent, ...] = ()
    """Changes of state at this epoch."""
    regime_weights: RegimeWeights = NEUTRAL
    factors: dict[str, str] = {}
    """Published lesson -> latent factor: lessons of one factor are about the same trades."""
    outcomes: int = 0
    trades: int = 0


def opened(proposals: Iterable[Findings], parameters: Parameters) -> Book:
    """Return the empty book whose next epoch is the earliest that any partition proposes."""
    return Book(epoch_at_ms=min(p.first_epoch_at_ms for p in proposals) - parameters.epoch_ms)


def close_epoch(book: Book, findings: Sequence[Findings], parameters: Parameters) -> Book:
    """Book after the next epoch, given the findings of every partition for it.

    Raises
    ------
    InvariantBroken
        If the findings are not of the epoch that follows.

    Notes
    -----
    Source: spec sections 7, 8 and 10. The order of the findings does not matter.
    """
    epoch_at_ms = book.epoch_at_ms + parameters.epoch_ms
    if {f.epoch_at_ms for f in findings} != {epoch_at_ms}:
        raise InvariantBroken(f"findings of {sorted({f.epoch_at_ms for f in findings})} for epoch {epoch_at_ms}")
    fresh = {test.group: test for f in findings for test in f.tests}
    tests = book.tests | {
        group: msgspec.structs.replace(test, lessons_version=book.lessons_version) for group, test in fresh.items()
    }
    evidence = {name: found for f in findings for name, found in f.evidence.items()}
    regimes = _latest(findings)
    lessons: dict[str, Lesson] = {}
    events: list[LessonEvent] = []
    for name in sorted(book.lessons):
        lesson = book.lessons[name]
        event = None
        if lesson.state != "retired" and name in evidence:
            lesson, event = reviewed(lesson, evidence[name], parameters, regime_at_ms=regimes.get(name))
        lessons[name] = lesson
        events.extend([event] if event else [])
    lessons, events = _without_repeats(lessons, events, parameters)
    nominations = dict(book.nominations)
    for module in MODULES:
        found = _best(module, epoch_at_ms, book, tests.values(), lessons, parameters)
        if found is not None:
            lesson, event = found
            lessons[lesson.id] = lesson
            nominations[module] = lesson.ordinal
            events.append(event)
    lessons = {
        name: stepped(lesson, parameters) if lesson.state in LIVE else lesson for name, lesson in lessons.items()
    }
    days = _merged_days(findings)
    return Book(
        epoch_at_ms=epoch_at_ms,
        version=book.version + 1,
        lessons_version=book.lessons_version + bool(events),
        lessons=lessons,
        nominations=nominations,
        tests=tests,
        baselines=merged(*(f.baselines for f in findings)),
        regime_weights=_weights(book, findings, epoch_at_ms),
        factors=_factors(book, lessons, epoch_at_ms, parameters),
        days=days,
        events=tuple(events),
        outcomes=sum(f.outcomes for f in findings),
        trades=sum(n for _, n, _ in days),
    )


def decision(book: Book) -> Decided:
    """Return what every partition has to know of the book before it mines the next epoch."""
    # By id: a book read back from its table has forgotten in which order lessons came, and sums have not.
    known = [book.lessons[name] for name in sorted(book.lessons) if book.lessons[name].state in ("candidate", *LIVE)]
    return Decided(
        epoch_at_ms=book.epoch_at_ms,
        lessons_version=book.lessons_version,
        lessons=tuple(
            AcceptedLesson(
                id=lesson.id,
                group=lesson.group,
                scope=lesson.scope,
                effect_rr=lesson.evidence.effect_rr,
                created_at_ms=lesson.created_at_ms,
                is_candidate=lesson.state == "candidate",
            )
            for lesson in known
        ),
        baselines=book.baselines,
        days=book.days,
        regime_weights=book.regime_weights,
        tested={group: (test.trades, test.lessons_version) for group, test in sorted(book.tests.items())},
    )


def _best(
    module: Module,
    epoch_at_ms: int,
    book: Book,
    tests: Iterable[GroupTest],
    lessons: Mapping[str, Lesson],
    parameters: Parameters,
) -> tuple[Lesson, LessonEvent] | None:
    """Return the simplest, then most significant candidate that passes; only tests beside today's lessons count."""
    current = [t for t in tests if t.group.startswith(f"{module}.") and t.lessons_version == book.lessons_version]
    limit = parameters.lesson_max_dims
    looked_at = [sum(test.tested_by_dims[k] for test in current) for k in range(limit)]
    passing: list[tuple[int, float, str, Candidate]] = []
    for test in current:
        for candidate in test.candidates:
            k = len(candidate.scope)
            found = candidate.evidence
            known = lessons.get(lesson_id(_lesson_type(module), test.group, candidate.scope))
            if (
                found.p_value * looked_at[k - 1] * limit <= parameters.discovery_alpha
                and abs(found.shrunk_rr) >= parameters.effect_min_rr
                and (known is None or _has_rested(known, epoch_at_ms, parameters))
                and _adds(test.group, candidate, lessons.values(), parameters)
            ):
                passing.append((k, found.p_value, test.group, candidate))
    if not passing:
        return None
    _, _, group, candidate = min(passing, key=lambda entry: entry[:3])
    return nominated(
        _lesson_type(module),
        module,
        group,
        candidate.scope,
        candidate.evidence,
        epoch_at_ms=epoch_at_ms,
        ordinal=book.nominations.get(module, 0) + 1,
        before=lessons.get(lesson_id(_lesson_type(module), group, candidate.scope)),
    )


def _has_rested(known: Lesson, epoch_at_ms: int, parameters: Parameters) -> bool:
    """Whether a lesson that was there before may be nominated again."""
    return known.state == "retired" and epoch_at_ms - known.changed_at_ms >= parameters.rest_ms


def _adds(group: str, candidate: Candidate, lessons: Iterable[Lesson], parameters: Parameters) -> bool:
    """Whether a candidate does what it says, and more of it than every lesson whose scope is a part of its own.

    Its effect beside the others has the sign that a refinement of a good subset may have while the whole of it
    is good still: a lesson is about the whole.
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
        if lesson.state in ("candidate", *LIVE)
        and lesson.group == group
        and lesson.scope.items() < candidate.scope.items()
    ]
    return all(direction * (whole - effect) >= parameters.incremental_min_rr for effect in ancestors)


def _lesson_type(module: Module) -> OverrideType:
    return "pm_strength" if module == "pm" else "dm_alloc"


def _without_repeats(
    lessons: dict[str, Lesson], events: list[LessonEvent], parameters: Parameters
) -> tuple[dict[str, Lesson], list[LessonEvent]]:
    """Absorb the lessons confirmed at this epoch that are about the same trades as an active one."""
    if not parameters.learns_factors:
        return lessons, events
    confirmed = {event.lesson_id for event in events if event.reason == "confirmed"}
    live = {name: lesson for name, lesson in lessons.items() if lesson.state in LIVE and name not in confirmed}
    kept = dict(lessons)
    changed = {event.lesson_id: event for event in events}
    for name in sorted(confirmed, key=lambda name: lessons[name].ordinal):
        lesson = lessons[name]
        by = redundant_with(lesson.sketch, _members(lesson, live.values()))
        if by is None:
            live[name] = lesson
        else:
            kept[name], changed[name] = absorbed(lesson, by)
    return kept, [changed[event.lesson_id] for event in events]


def _members(like: Lesson, live: Iterable[Lesson]) -> list[FactorMember]:
    return [
        FactorMember(id=lesson.id, created_at_ms=lesson.created_at_ms, sketch=lesson.sketch)
        for lesson in live
        if (lesson.module, lesson.action_category) == (like.module, like.action_category)
    ]


def _factors(book: Book, lessons: Mapping[str, Lesson], epoch_at_ms: int, parameters: Parameters) -> dict[str, str]:
    """Factors of the published lessons: found anew on Mondays, and when other lessons are published than before."""
    live = {name: lesson for name, lesson in sorted(lessons.items()) if lesson.state in LIVE}
    if not parameters.learns_factors:
        return {}
    if live.keys() == book.factors.keys() and not is_due(epoch_at_ms, 7 * DAY_MS, MONDAY_AT_THREE_MS, parameters):
        return book.factors
    found: dict[str, str] = {}
    for lesson in live.values():
        if lesson.id not in found:
            found |= factors(_members(lesson, live.values()), book.factors)
    return {name: found[name] for name in live}


def _weights(book: Book, findings: Sequence[Findings], epoch_at_ms: int) -> RegimeWeights:
    parts = [part for found in findings for part in found.weight_sums]
    if not parts:
        return book.regime_weights
    return regime_weights(parts, book.regime_weights if book.regime_weights.of else None, epoch_at_ms)


def _latest(findings: Iterable[Findings]) -> dict[str, int]:
    """When the regime of each lesson was last seen in any partition."""
    seen: dict[str, int] = {}
    for found in findings:
        for name, at_ms in found.regimes_at_ms.items():
            seen[name] = max(seen.get(name, at_ms), at_ms)
    return seen


def _merged_days(findings: Iterable[Findings]) -> tuple[tuple[int, int, int], ...]:
    sums: dict[int, tuple[int, int]] = {}
    for found in findings:
        for day, n, rr_q in found.days:
            known = sums.get(day, (0, 0))
            sums[day] = (known[0] + n, known[1] + rr_q)
    return tuple((day, *sums[day]) for day in sorted(sums))
