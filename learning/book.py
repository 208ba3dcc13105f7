"""The lesson book: where the findings of all partitions become one decision per epoch (spec sections 7, 10).

Statistics come from the partitions, and what is true of a partition alone is decided there; here is what takes all
of them: which subset is nominated (`learning.nomination`), what becomes of each lesson (`learning.lessons`), which
lessons are about the same trades (`learning.factors`). docs/lessons.md has the method and what it bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from learning.baseline import GroupBaseline, merged
from learning.commands import ControlEvent, LessonCommand, remembered
from learning.days import merged_days
from learning.disabling import answered, obeyed
from learning.epochs import MONDAY_AT_THREE_MS, is_due
from learning.execution.phase_scaling import FamilyScaling, scalings
from learning.factors import FactorMember, factors, redundant_with
from learning.findings import SIZE_UNITS, AcceptedLesson, DaySums, Decided, Findings, GroupTest, Knob, StandingLever
from learning.lessons import LIVE, Forward, Lesson, LessonEvent, LessonState, absorbed, reviewed, unseen
from learning.levers import stepped
from learning.nomination import Nomination, best_lesson, best_lever
from learning.parameters import DAY_MS, Parameters
from learning.regime_weights import regime_weights
from learning.regimes import NEUTRAL, RegimeWeights
from learning.scaling import ScalingSearch, forward_scalings, searched_scalings
from leverloop.errors import InvariantBroken
from leverloop.patterns import MODULES

__all__ = ["Book", "close_epoch", "commanded", "decision", "opened"]


class Book(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="book"):
    """Everything the book stage remembers; a function of the findings of all epochs so far."""

    epoch_at_ms: int
    version: int = 0
    """Number of epochs closed: the version of the snapshots."""
    lessons_version: int = 0
    lessons: dict[str, Lesson] = {}
    nominations: dict[str, int] = {}
    """Module, or pm_tuning -> candidates so far: each has less of alpha to spend than the one before."""
    confirmed: dict[str, int] = {}
    """Module, or pm_tuning -> candidates that have been activated so far."""
    confirmed_ordinals: dict[str, tuple[int, ...]] = {}
    """Module, or pm_tuning -> which ones: a phase scaling is one candidate, in however many groups and epochs."""
    tests: dict[str, GroupTest] = {}
    baselines: tuple[GroupBaseline, ...] = ()
    days: DaySums = ()
    days_beside: tuple[AcceptedLesson, ...] = ()
    """Lessons beside which the trades of the days were summed up."""
    events: tuple[LessonEvent, ...] = ()
    """Changes of state at this epoch."""
    regime_weights: RegimeWeights = NEUTRAL
    factors: dict[str, str] = {}
    """Published lesson -> latent factor: lessons of one factor are about the same trades."""
    size_scale: float = 1.0
    """What of size_mult - 1 is published: less than all of it where the book as a whole would move sizes too far."""
    scalings: tuple[FamilyScaling, ...] = ()
    """Adds of each state against all of their family, by the sums that came last."""
    forward_scalings: dict[str, Forward] = {}
    """Phase scaling that stands -> the same, of the days after its nomination."""
    input_offsets: dict[str, int] = {}
    """Input -> next offset that the epoch has not seen."""
    outcomes: int = 0
    trades: int = 0
    disabled: dict[str, LessonState] = {}
    """Lesson that an operator has disabled -> the state that it had."""
    commands: tuple[LessonCommand, ...] = ()
    """Accepted since the epoch, for the next one."""
    commands_known: tuple[str, ...] = ()
    """Ids of the last commands."""
    knobs: tuple[Knob, ...] = ()
    """The trader's own value of every threshold that was ever nominated, as it was when it was the first time."""


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
    fresh = _tested(book, findings)
    tests = book.tests | fresh
    beside = _accepted(book.lessons, book.disabled)  # what the findings were told
    told, disabled, by_operator = obeyed(book.lessons, book.disabled, book.commands, epoch_at_ms)
    book = msgspec.structs.replace(book, lessons=told, disabled=disabled)
    lessons, events = _without_repeats(*_reviewed(book, findings, parameters), parameters)
    nominations = dict(book.nominations)
    adds = [each for found in findings for each in found.adds]
    is_weekly = is_due(epoch_at_ms, 7 * DAY_MS, MONDAY_AT_THREE_MS, parameters)
    by_state = scalings([day for each in adds for day in each.days], parameters) if adds else book.scalings
    scaled = searched_scalings(by_state, adds, epoch_at_ms, parameters) if adds and is_weekly else ScalingSearch()
    for lesson, event in _nominations(book, tests.values(), list(fresh.values()), scaled, lessons, parameters):
        lessons[lesson.id] = lesson
        nominations[_kind(lesson)] = lesson.ordinal
        events.append(event)
    lessons = {
        name: stepped(lesson, parameters) if lesson.state in LIVE else lesson for name, lesson in lessons.items()
    }
    days = merged_days(found.days for found in findings)
    standing, ordinals = _standing(lessons, disabled), _confirmed(book, lessons, events)
    return Book(
        epoch_at_ms=epoch_at_ms,
        version=book.version + 1,
        lessons_version=book.lessons_version + bool(events or by_operator),
        lessons=lessons,
        nominations=nominations,
        confirmed=_counted(book, ordinals),
        confirmed_ordinals=ordinals,
        tests=tests,
        baselines=merged(*(f.baselines for f in findings)),
        regime_weights=_weights(book, findings, epoch_at_ms),
        factors=_factors(book, lessons, epoch_at_ms, parameters),
        days=days,
        days_beside=beside,
        size_scale=_size_scale(findings, parameters),
        scalings=by_state,
        forward_scalings=forward_scalings(adds, standing, parameters) if adds else book.forward_scalings,
        events=(*by_operator, *events),
        disabled=disabled,
        commands_known=book.commands_known,
        input_offsets=_offsets(findings),
        outcomes=sum(f.outcomes for f in findings),
        trades=sum(n for _, n, _ in days),
        knobs=_knobs(book.knobs, lessons),
    )


def commanded(book: Book, command: LessonCommand) -> tuple[Book, ControlEvent] | None:
    """Book that has heard an operator's command, and its answer; None for a command that was heard before."""
    if command.id in book.commands_known:
        return None
    answer = answered(command, book.lessons, book.commands, book.epoch_at_ms)
    accepted = (*book.commands, command) if answer.outcome == "accepted" else book.commands
    known = remembered(book.commands_known, command.id)
    return msgspec.structs.replace(book, commands=accepted, commands_known=known), answer


def decision(book: Book) -> Decided:
    """Return what every partition has to know of the book before it mines the next epoch."""
    return Decided(
        epoch_at_ms=book.epoch_at_ms,
        lessons_version=book.lessons_version,
        lessons=_accepted(book.lessons, book.disabled),
        levers=_standing(book.lessons, book.disabled),
        baselines=book.baselines,
        days=book.days,
        days_beside=book.days_beside,
        regime_weights=book.regime_weights,
        tested={group: (test.trades, test.lessons_version) for group, test in sorted(book.tests.items())},
        knobs=_knobs(book.knobs, book.lessons),
        scalings=book.scalings,
        forward_scalings=book.forward_scalings,
    )


def _tested(book: Book, findings: Iterable[Findings]) -> dict[str, GroupTest]:
    """Tests of this epoch, by their groups, each beside the lessons of the book."""
    fresh = (test for found in findings for test in found.tests)
    return {test.group: msgspec.structs.replace(test, lessons_version=book.lessons_version) for test in fresh}


def _reviewed(
    book: Book, findings: Sequence[Findings], parameters: Parameters
) -> tuple[dict[str, Lesson], list[LessonEvent]]:
    """Lessons after what the partitions know of them now, and the changes of their states."""
    evidence = {name: found for f in findings for name, found in f.evidence.items()}
    regimes = _latest(findings)
    lessons: dict[str, Lesson] = {}
    events: list[LessonEvent] = []
    for name in sorted(book.lessons):
        lesson = book.lessons[name]
        event = None
        if lesson.state != "retired" and name in evidence:
            lesson, event = reviewed(
                lesson,
                evidence[name],
                parameters,
                regime_at_ms=regimes.get(name),
                confirmed=book.confirmed.get(_kind(lesson), 0),
            )
        elif lesson.state != "retired":
            lesson, event = unseen(lesson, book.epoch_at_ms + parameters.epoch_ms, regimes.get(name), parameters)
        lessons[name] = lesson
        events.extend([event] if event else [])
    return lessons, events


def _confirmed(book: Book, lessons: Mapping[str, Lesson], events: Iterable[LessonEvent]) -> dict[str, tuple[int, ...]]:
    """Ordinals of all hypotheses of each kind that were ever confirmed, in their order."""
    found = {kind: set(known) for kind, known in book.confirmed_ordinals.items()}
    for lesson in (lessons[event.lesson_id] for event in events if event.reason == "confirmed"):
        found.setdefault(_kind(lesson), set()).add(lesson.ordinal)
    return {kind: tuple(sorted(found[kind])) for kind in sorted(found)}


def _counted(book: Book, ordinals: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """How many were ever confirmed; a book of an earlier engine knows only how many, and not which."""
    more = Counter({kind: len(now) - len(book.confirmed_ordinals.get(kind, ())) for kind, now in ordinals.items()})
    return dict(sorted((Counter(book.confirmed) + more).items()))


def _known(lessons: Mapping[str, Lesson], disabled: Mapping[str, LessonState]) -> list[Lesson]:
    """Candidates and published lessons, and those that were so until an operator disabled them, by id.

    A book read back from its table has forgotten in which order lessons came, and sums have not.
    """
    return [lessons[name] for name in sorted(lessons) if _was(lessons[name], disabled) in ("candidate", *LIVE)]


def _was(lesson: Lesson, disabled: Mapping[str, LessonState]) -> LessonState:
    """State of a lesson, whatever an operator has said."""
    return disabled.get(lesson.id, lesson.state)


def _standing(lessons: Mapping[str, Lesson], disabled: Mapping[str, LessonState]) -> tuple[StandingLever, ...]:
    return tuple(
        StandingLever(
            id=lesson.id,
            group=lesson.group,
            scope=lesson.scope,
            lever=lesson.lever,
            target=lesson.lever_target,
            created_at_ms=lesson.created_at_ms,
            basis=lesson.lever_basis,
            signal=lesson.lever_signal,
            neutral=lesson.lever_neutral,
        )
        for lesson in _known(lessons, disabled)
        if lesson.lever
    )


def _knobs(known: Iterable[Knob], lessons: Mapping[str, Lesson]) -> tuple[Knob, ...]:
    """Known values of the trader's own, and those of thresholds that are new: what is known is never overwritten.

    A lesson does not keep it: nominated anew, it may be about another signal, or about what an override had moved.
    """
    found = {
        (lesson.group, lesson.lever, lesson.lever_signal): lesson.lever_neutral
        for _, lesson in sorted(lessons.items())
        if lesson.lever_neutral is not None
    } | {(knob.group, knob.lever, knob.signal): knob.neutral for knob in known}
    return tuple(
        Knob(group=group, lever=lever, signal=signal, neutral=neutral)
        for (group, lever, signal), neutral in sorted(found.items())
    )


def _accepted(lessons: Mapping[str, Lesson], disabled: Mapping[str, LessonState]) -> tuple[AcceptedLesson, ...]:
    """Lessons beside which others are tested, candidates among them, by id."""
    return tuple(
        AcceptedLesson(
            id=lesson.id,
            group=lesson.group,
            scope=lesson.scope,
            effect_rr=lesson.evidence.effect_rr,
            created_at_ms=lesson.created_at_ms,
            is_candidate=_was(lesson, disabled) == "candidate",
            beside_others=lesson.beside_others,
            size_mult=lesson.levers.get("size_mult", 1.0),
        )
        for lesson in _known(lessons, disabled)
        if not lesson.lever
    )


def _nominations(
    book: Book,
    tests: Iterable[GroupTest],
    searched: Sequence[GroupTest],
    scaled: ScalingSearch,
    lessons: Mapping[str, Lesson],
    parameters: Parameters,
) -> Iterator[Nomination]:
    """New candidates, at most one hypothesis of a kind; only tests beside today's lessons count.

    Of levers only tests of this epoch: all groups search them at once, and a later test of one without levers must not
    take what it has looked at off the price of what the others have found.
    """
    current = [test for test in tests if test.lessons_version == book.lessons_version]
    epoch_at_ms = book.epoch_at_ms + parameters.epoch_ms
    found: list[Nomination | None] = []
    for module in MODULES:
        own = [test for test in current if test.group.startswith(f"{module}.")]
        at = book.nominations.get(module, 0) + 1
        found.append(best_lesson(module, own, lessons, parameters, epoch_at_ms=epoch_at_ms, ordinal=at))
    at = book.nominations.get("pm_tuning", 0) + 1
    found += best_lever(searched, scaled, lessons, parameters, epoch_at_ms=epoch_at_ms, ordinal=at)
    return (each for each in found if each is not None)


def _kind(lesson: Lesson) -> str:
    """What a candidate shares its alpha with: the lessons of its module, or all execution levers."""
    return lesson.lesson_type if lesson.lever else lesson.module


def _without_repeats(
    lessons: dict[str, Lesson], events: list[LessonEvent], parameters: Parameters
) -> tuple[dict[str, Lesson], list[LessonEvent]]:
    """Absorb the lessons confirmed at this epoch that are about the same trades as an active one."""
    if not parameters.learns_factors:
        return lessons, events
    confirmed = {e.lesson_id for e in events if e.reason == "confirmed" and not lessons[e.lesson_id].lever}
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
        if (lesson.module, lesson.action_category, lesson.lever) == (like.module, like.action_category, like.lever)
    ]


def _factors(book: Book, lessons: Mapping[str, Lesson], epoch_at_ms: int, parameters: Parameters) -> dict[str, str]:
    """Factors of the published lessons: found anew on Mondays, and when other lessons are published than before."""
    live = {name: lesson for name, lesson in sorted(lessons.items()) if lesson.state in LIVE and not lesson.lever}
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


def _size_scale(findings: Iterable[Findings], parameters: Parameters) -> float:
    """Share of every size_mult - 1 with which their mean over the last day stays within the cap (spec section 8)."""
    n, moved = (sum(part) for part in zip(*(found.moved_sizes for found in findings), strict=True))
    return min(1.0, parameters.size_cap * n * SIZE_UNITS / moved) if moved else 1.0


def _latest(findings: Iterable[Findings]) -> dict[str, int]:
    """When the regime of each lesson was last seen in any partition."""
    seen: dict[str, int] = {}
    for found in findings:
        for name, at_ms in found.regimes_at_ms.items():
            seen[name] = max(seen.get(name, at_ms), at_ms)
    return seen


def _offsets(findings: Iterable[Findings]) -> dict[str, int]:
    """Next offset of each input that the epoch has not seen; every partition was told of all of them."""
    seen: dict[str, int] = {}
    for found in findings:
        for source, offset in found.input_offsets.items():
            seen[source] = max(seen.get(source, offset), offset)
    return dict(sorted(seen.items()))
