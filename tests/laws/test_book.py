"""The lesson book: one decision per epoch, whoever reports first; every change of state has its event (section 7)."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.book import Book, close_epoch, decision, opened
from learning.factors import trade_sketch
from learning.findings import Candidate, Findings, GroupTest
from learning.forward import level
from learning.half_life import HalfLife
from learning.lessons import LIVE, Evidence, Forward, Lesson, LessonState, activation_e, lesson_id, nominated, reviewed
from learning.overrides import snapshot
from learning.parameters import Parameters
from leverloop.diagnosis import check_finite
from leverloop.errors import InvariantBroken
from leverloop.patterns import MODULES
from leverloop.snapshot import decode_snapshot, encode_snapshot, validate
from tests.laws.examples import EPOCH_MS, START_MS, some_evidence, some_stats
from tests.laws.strategies import evidences

PARAMETERS = Parameters(insignificant_epochs=2, rest_ms=EPOCH_MS)
GROUPS = ("pm.up.S1.a|entry", "pm.up.S1.b|exit", "pm.up.S2.a|add", "dm.alloc.new.buy|allocation")
SCOPES: tuple[dict[str, Any], ...] = (
    {"bucket": "micro"},
    {"bucket": "mid", "macro_phase": "Dip"},
    {"bucket": "nano", "macro_phase": "Dip", "bucket_rank_position": 2},
)
STRONG = some_evidence(some_stats(effect_rr=0.8))
CONFIRMING = Forward(n=80, n_clusters=40, effect_rr=0.8, error_rr=0.1)


@st.composite
def group_tests(draw: st.DrawFn, group: str) -> GroupTest:
    chosen = draw(st.sets(st.sampled_from(range(3))))
    # Evidence that passes is rare among all there is: have some.
    of = st.one_of(
        evidences(),
        st.floats(-3, 3).map(lambda e: some_evidence(some_stats(effect_rr=e), effect_rr=e, shrunk_rr=e * 0.9)),
    )
    return GroupTest(
        group=group,
        trades=draw(st.integers(20, 200)),
        lessons_version=0,
        tested_by_dims=tuple(draw(st.integers(1, 50)) for _ in range(3)),
        candidates=tuple(Candidate(scope=SCOPES[i], evidence=draw(of)) for i in sorted(chosen)),
    )


@st.composite
def epochs_of_findings(draw: st.DrawFn) -> list[list[tuple[GroupTest | None, ...]]]:
    """For a few epochs and each partition, what it tested; groups keep to their partition."""
    where = [draw(st.integers(0, 2)) for _ in GROUPS]
    return [
        [
            tuple(draw(st.none() | group_tests(group)) for group, at in zip(GROUPS, where, strict=True) if at == p)
            for p in range(3)
        ]
        for _ in range(draw(st.integers(1, 5)))
    ]


def findings_of(book: Book, tested: list[tuple[GroupTest | None, ...]], seed: st.DataObject) -> list[Findings]:
    """Findings of every partition for the next epoch, with evidence for lessons of the book."""
    epoch_at_ms = book.epoch_at_ms + EPOCH_MS
    found = []
    for partition, tests in enumerate(tested):
        mine = [name for i, name in enumerate(sorted(book.lessons)) if i % len(tested) == partition]
        evidence = {
            name: msgspec.structs.replace(seed.draw(evidences()), epoch_at_ms=epoch_at_ms)
            for name in mine
            if seed.draw(st.booleans())
        }
        days = ((20_089, partition + 1, 100_000 * partition),)
        found.append(
            Findings(
                partition=partition,
                epoch_at_ms=epoch_at_ms,
                outcomes=partition,
                trades=partition + 1,
                days=days,
                tests=tuple(
                    msgspec.structs.replace(
                        test,
                        candidates=tuple(
                            msgspec.structs.replace(
                                c, evidence=msgspec.structs.replace(c.evidence, epoch_at_ms=epoch_at_ms)
                            )
                            for c in test.candidates
                        ),
                    )
                    for test in tests
                    if test is not None
                ),
                evidence=evidence,
            )
        )
    return found


@given(epochs_of_findings(), st.data(), st.randoms(use_true_random=False))
def test_a_life_of_the_book(
    planned: list[list[tuple[GroupTest | None, ...]]], data: st.DataObject, random: Any
) -> None:
    book = Book(epoch_at_ms=START_MS)
    for tested in planned:
        found = findings_of(book, tested, data)
        after = close_epoch(book, found, PARAMETERS)
        shuffled = random.sample(found, len(found))
        assert close_epoch(book, shuffled, PARAMETERS) == after, "who reports first does not matter"
        assert (after.version, after.epoch_at_ms) == (book.version + 1, book.epoch_at_ms + EPOCH_MS)
        assert after.days == ((20_089, 6, 300_000),), "days are summed over partitions"
        check_events(book, after)
        check_published(after)
        book = after


def check_events(before: Book, after: Book) -> None:
    """A lesson changes its state with one event that says from what, to what and why; and never otherwise."""
    events = {event.lesson_id: event for event in after.events}
    assert len(events) == len(after.events)
    assert set(before.lessons) <= set(after.lessons), "no lesson is forgotten"
    for name, lesson in after.lessons.items():
        known = before.lessons.get(name)
        event = events.pop(name, None)
        assert name == lesson.id == lesson_id(lesson.lesson_type, lesson.group, lesson.scope)
        if known is not None and known.state == lesson.state and event is None:
            assert (known.reason, known.changed_at_ms) == (lesson.reason, lesson.changed_at_ms)
            continue
        assert event is not None
        assert event.to_state == lesson.state
        assert event.from_state in (None, known.state if known else None)
        assert event.reason == lesson.reason != ""
        assert event.epoch_at_ms == lesson.changed_at_ms == after.epoch_at_ms
        assert (event.n, event.effect_rr) == (lesson.evidence.stats.n, lesson.evidence.effect_rr)
    assert not events
    assert (after.lessons_version > before.lessons_version) is bool(after.events)


def check_published(book: Book) -> None:
    """No NaN leaves the core, and every snapshot is one that its readers take."""
    check_finite(msgspec.to_builtins(book))
    check_finite(msgspec.to_builtins(decision(book)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(book), type=Book) == book
    told = {lesson.id for lesson in decision(book).lessons}
    assert told == {lesson.id for lesson in book.lessons.values() if lesson.state in ("candidate", *LIVE)}
    for module in MODULES:
        mine = [book.lessons[name] for name in sorted(book.lessons) if book.lessons[name].module == module]
        found = snapshot(
            module, mine, version=book.version, epoch_at_ms=book.epoch_at_ms, config_hash="c", engine_version="e",
            parameters=PARAMETERS,
        )  # fmt: skip
        validate(found)
        assert decode_snapshot(encode_snapshot(found)) == found


@given(epochs_of_findings(), st.data())
def test_a_book_read_back_decides_the_same(
    planned: list[list[tuple[GroupTest | None, ...]]], data: st.DataObject
) -> None:
    """What a restarted worker tells the partitions is byte for byte what it told them before."""
    book = Book(epoch_at_ms=START_MS)
    encode = msgspec.msgpack.Encoder(order="deterministic").encode
    for tested in planned:
        found = findings_of(book, tested, data)
        again = msgspec.msgpack.decode(encode(book), type=Book)
        after = close_epoch(book, found, PARAMETERS)
        assert encode(decision(msgspec.msgpack.decode(encode(after), type=Book))) == encode(decision(after))
        assert close_epoch(again, found, PARAMETERS) == after
        book = after


@given(st.integers(-5, 5).filter(lambda i: i != 1), st.booleans())
def test_findings_of_another_epoch_are_an_invariant_broken(steps: int, beside_good_ones: bool) -> None:
    book = Book(epoch_at_ms=START_MS)
    found = [Findings(partition=0, epoch_at_ms=START_MS + steps * EPOCH_MS)]
    if beside_good_ones:
        found.append(Findings(partition=1, epoch_at_ms=START_MS + EPOCH_MS))
    with pytest.raises(InvariantBroken, match=f"for epoch {START_MS + EPOCH_MS}"):
        close_epoch(book, found, PARAMETERS)


def test_the_book_opens_before_the_earliest_proposal() -> None:
    proposals = [Findings(partition=p, epoch_at_ms=0, first_epoch_at_ms=START_MS + p * EPOCH_MS) for p in (2, 0, 1)]
    assert opened(proposals, PARAMETERS) == Book(epoch_at_ms=START_MS - EPOCH_MS)


@given(st.permutations(sorted(SCOPES[2].items())))
def test_the_id_of_a_lesson_is_what_it_is_about(items: list[tuple[str, Any]]) -> None:
    plain = lesson_id("pm_strength", GROUPS[0], SCOPES[2])
    assert lesson_id("pm_strength", GROUPS[0], dict(items)) == plain
    others = {
        lesson_id("pm_tuning", GROUPS[0], SCOPES[2]),
        lesson_id("pm_strength", GROUPS[1], SCOPES[2]),
        lesson_id("pm_strength", GROUPS[0], SCOPES[0]),
        lesson_id("pm_strength", GROUPS[0], SCOPES[2] | {"bucket_rank_position": "2"}),
    }
    assert len(others | {plain}) == 5


# --- one lesson's life


def alive(**fields: Any) -> Lesson:
    lesson = Lesson(
        id="ls_1", lesson_type="pm_strength", module="pm", group=GROUPS[0], scope=SCOPES[0], direction=1,
        state="active", reason="significant", created_at_ms=START_MS, changed_at_ms=START_MS, evidence=STRONG,
    )  # fmt: skip
    return msgspec.structs.replace(lesson, **fields)


@given(st.lists(evidences(), min_size=1, max_size=6))
def test_a_lesson_lives_until_its_evidence_turns_fades_or_falls_silent(found: list[Evidence]) -> None:
    lesson, weak = alive(), 0
    for i, drawn in enumerate(found):
        evidence = msgspec.structs.replace(drawn, epoch_at_ms=START_MS + (i + 1) * EPOCH_MS)
        before = lesson
        lesson, event = reviewed(lesson, evidence, PARAMETERS)
        assert lesson.evidence == evidence
        if before.state == "retired":
            assert (lesson.state, event) == ("retired", None)
            continue
        weak = weak + 1 if evidence.p_value > PARAMETERS.alpha else 0
        silent_ms = evidence.epoch_at_ms - evidence.stats.last_closed_at_ms
        forward = evidence.forward
        turned = evidence.effect_rr <= 0 or (forward.n_clusters >= 8 and forward.effect_rr <= 0)
        gone = turned or weak >= 2 or silent_ms > PARAMETERS.unseen_ms
        assert (lesson.state == "retired") is gone
        assert (event is not None) is gone


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (some_evidence(effect_rr=-0.1), "effect_turned"),
        (some_evidence(effect_rr=0.0), "effect_turned"),
        (some_evidence(some_stats(last_closed_at_ms=START_MS - 31 * 86_400_000)), "no_trade_matched"),
    ],
)
def test_why_a_lesson_retires(evidence: Evidence, reason: str) -> None:
    retired, event = reviewed(alive(), evidence, PARAMETERS)
    assert event is not None
    assert (retired.state, retired.reason, event.reason, event.from_state) == ("retired", reason, reason, "active")


def test_significance_may_be_gone_for_a_while_but_not_for_long() -> None:
    lesson, event = reviewed(alive(), some_evidence(p_value=0.5), PARAMETERS)
    assert (lesson.state, event) == ("active", None)
    back, _ = reviewed(lesson, STRONG, PARAMETERS)
    assert back.insignificant_epochs == 0
    retired, event = reviewed(lesson, some_evidence(p_value=0.5), PARAMETERS)
    assert (retired.state, retired.reason) == ("retired", "significance_gone")
    assert event is not None


@given(evidences(), st.integers(1, 10**4))
def test_a_candidate_is_confirmed_by_trades_after_its_nomination_and_by_nothing_else(
    found: Evidence, ordinal: int
) -> None:
    evidence = msgspec.structs.replace(found, epoch_at_ms=START_MS + EPOCH_MS)
    candidate = alive(state="candidate", ordinal=ordinal)
    lesson, event = reviewed(candidate, evidence, PARAMETERS)
    e, wanted = activation_e(lesson, PARAMETERS)
    assert wanted == pytest.approx(1 / level(PARAMETERS.alpha, ordinal))
    if lesson.state == "active":
        assert e >= wanted
        assert evidence.shrunk_rr >= PARAMETERS.effect_min_rr
        assert evidence.forward.effect_rr > 0
    assert (event is not None) is (lesson.state != "candidate")
    unseen = msgspec.structs.replace(evidence, forward=Forward())
    assert reviewed(candidate, unseen, PARAMETERS)[1] is None, "without a trade since there is nothing to say"


def test_what_becomes_of_a_candidate() -> None:
    def after(forward: Forward, days: int = 1, **fields: Any) -> tuple[str, str]:
        at_ms = START_MS + days * 86_400_000
        found = some_evidence(epoch_at_ms=at_ms, forward=forward, **fields)
        lesson, _ = reviewed(alive(state="candidate", reason="discovered"), found, PARAMETERS)
        return lesson.state, lesson.reason

    assert after(CONFIRMING) == ("active", "confirmed")
    assert after(CONFIRMING, shrunk_rr=0.1) == ("candidate", "discovered")
    assert after(Forward(n=20, n_clusters=8, effect_rr=-0.1, error_rr=0.2)) == ("retired", "not_confirmed")
    assert after(Forward(n=20, n_clusters=7, effect_rr=-0.1, error_rr=0.2)) == ("candidate", "discovered")
    assert after(Forward(n=900, n_clusters=80, effect_rr=0.03, error_rr=0.05)) == ("retired", "too_small")
    assert after(Forward(n=9, n_clusters=4, effect_rr=0.3, error_rr=0.3), days=121) == ("retired", "not_confirmed")


def test_a_lesson_sleeps_while_its_regime_is_away_and_does_not_retire_for_it() -> None:
    day_ms = 86_400_000
    lesson = alive()
    for days, regime, state in ((7, 0, "active"), (8, 0, "dormant"), (60, 0, "dormant"), (61, 61, "retired")):
        found = some_evidence(epoch_at_ms=START_MS + days * day_ms)
        lesson, _ = reviewed(lesson, found, PARAMETERS, regime_at_ms=START_MS + regime * day_ms)
        assert lesson.state == state
    assert lesson.reason == "no_trade_matched", "the regime was there, and no trade"
    found = some_evidence(some_stats(last_closed_at_ms=START_MS + 61 * day_ms), epoch_at_ms=START_MS + 62 * day_ms)
    woken, event = reviewed(alive(state="dormant"), found, PARAMETERS, regime_at_ms=START_MS + 61 * day_ms)
    assert (woken.state, woken.reason, event is not None) == ("active", "regime_back", True)


@pytest.mark.parametrize(
    ("whole", "ancestor", "is_new"),
    [(0.8, 0.6, True), (0.8, 0.75, False), (-0.1, -0.5, False), (None, 0.0, False)],
)
def test_a_refinement_adds_to_every_lesson_above_it(whole: float | None, ancestor: float, is_new: bool) -> None:
    """Its effect beside the others is +0.8 each time; what counts is the whole of it too."""
    above, _ = nominated(
        "pm_strength", "pm", GROUPS[0], {"bucket": "nano"}, some_evidence(some_stats(effect_rr=ancestor)),
        epoch_at_ms=START_MS, ordinal=1,
    )  # fmt: skip
    book = Book(epoch_at_ms=START_MS, lessons={above.id: above})
    found = Candidate(scope=SCOPES[2], evidence=_strong(stats=some_stats(effect_rr=whole)))
    test = GroupTest(group=GROUPS[0], trades=100, lessons_version=0, tested_by_dims=(5, 5, 5), candidates=(found,))
    after = close_epoch(book, [Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(test,))], PARAMETERS)
    assert (len(after.lessons) == 2) is is_new


def _strong(**fields: Any) -> Evidence:
    return msgspec.structs.replace(STRONG, **({"epoch_at_ms": START_MS + EPOCH_MS} | fields))


def a_test(group: str, looked_at: int, *candidates: Candidate) -> GroupTest:
    return GroupTest(
        group=group, trades=100, lessons_version=0, tested_by_dims=(looked_at, 0, 0), candidates=candidates
    )  # fmt: skip


def test_a_candidate_of_an_earlier_epoch_makes_a_lesson_of_this_one() -> None:
    """Less was looked at than before: what did not pass then passes now, and is as old as the decision."""
    waiting = Candidate(scope=SCOPES[0], evidence=_strong(p_value=1e-5))
    first = Findings(
        partition=0,
        epoch_at_ms=START_MS + EPOCH_MS,
        tests=(a_test(GROUPS[0], 5, waiting), a_test(GROUPS[1], 10**6)),
    )
    second = Findings(partition=0, epoch_at_ms=START_MS + 2 * EPOCH_MS, tests=(a_test(GROUPS[1], 5),))
    before = close_epoch(Book(epoch_at_ms=START_MS), [first], PARAMETERS)
    assert not before.lessons
    after = close_epoch(before, [second], PARAMETERS)
    check_events(before, after)
    (lesson,) = after.lessons.values()
    assert (lesson.created_at_ms, lesson.evidence.epoch_at_ms) == (START_MS + 2 * EPOCH_MS, START_MS + EPOCH_MS)


def test_a_lesson_that_comes_back_was_retired_before_and_not_in_the_same_epoch() -> None:
    strong = Candidate(scope=SCOPES[0], evidence=_strong())
    first = Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(a_test(GROUPS[0], 5, strong),))
    book = close_epoch(Book(epoch_at_ms=START_MS), [first], PARAMETERS)
    (name,) = book.lessons
    turned = Findings(
        partition=0,
        epoch_at_ms=START_MS + 2 * EPOCH_MS,
        tests=first.tests,
        evidence={
            name: _strong(
                epoch_at_ms=START_MS + 2 * EPOCH_MS,
                forward=Forward(n=20, n_clusters=8, effect_rr=-0.1, error_rr=0.2),
            )
        },
    )
    book = close_epoch(book, [turned], PARAMETERS)
    assert [(e.from_state, e.to_state) for e in book.events] == [("candidate", "retired")]
    third = msgspec.structs.replace(first, epoch_at_ms=START_MS + 3 * EPOCH_MS)
    book = close_epoch(book, [third], PARAMETERS)
    assert [(e.from_state, e.to_state) for e in book.events] == [("retired", "candidate")]
    assert (book.lessons[name].created_at_ms, book.lessons[name].ordinal) == (START_MS + 3 * EPOCH_MS, 2)


def test_a_losing_pattern_makes_a_lesson_as_a_winning_one_does() -> None:
    strong = some_evidence(some_stats(effect_rr=-0.8), effect_rr=-0.8, shrunk_rr=-0.78, epoch_at_ms=START_MS + EPOCH_MS)
    test = a_test(GROUPS[0], 5, Candidate(scope=SCOPES[0], evidence=strong))
    found = Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(test,))
    book = close_epoch(Book(epoch_at_ms=START_MS), [found], PARAMETERS)
    (lesson,) = book.lessons.values()
    assert (lesson.direction, lesson.state, lesson.pattern_key, lesson.action_category) == (
        -1,
        "candidate",
        "pm.up.S1.a",
        "entry",
    )


def test_a_lesson_whose_effect_has_faded_retires_unless_half_lives_are_switched_off() -> None:
    def after(now_rr: float, parameters: Parameters, state: LessonState = "active") -> str:
        known = HalfLife(hours=480, high_hours=700, n_windows=9, effect_now_rr=now_rr, effect_now_error_rr=0.05)
        return reviewed(alive(state=state), _strong(half_life=known), parameters)[0].reason

    assert after(0.05, PARAMETERS) == after(0.05, PARAMETERS, "candidate") == "faded"
    assert after(0.1, PARAMETERS) == "significant"
    assert after(0.05, Parameters(v5_meta_learning_enabled=False)) == "significant"


def test_a_lesson_that_dies_within_days_is_not_activated() -> None:
    known = HalfLife(hours=30, high_hours=71, n_windows=5, effect_now_rr=0.6, effect_now_error_rr=0.1)
    lesson, event = reviewed(alive(state="candidate"), _strong(forward=CONFIRMING, half_life=known), PARAMETERS)
    assert (lesson.state, lesson.reason) == ("retired", "dies_too_fast")
    assert event is not None


def test_the_history_of_an_edge_has_a_point_a_day_and_its_first_for_ever() -> None:
    lesson = alive()
    for epoch in range(1, 900):
        at_ms = START_MS + epoch * EPOCH_MS
        stats = some_stats(edge_raw=float(epoch), last_closed_at_ms=at_ms)
        lesson, _ = reviewed(lesson, _strong(epoch_at_ms=at_ms, stats=stats), PARAMETERS)
    points = lesson.edge_history
    assert (points[0], len(points)) == ((START_MS + EPOCH_MS, 1.0), 200)
    assert sorted({at_ms // 86_400_000 for at_ms, _ in points}) == [at_ms // 86_400_000 for at_ms, _ in points]


def test_what_has_faded_is_not_nominated() -> None:
    faded = HalfLife(hours=480, high_hours=700, n_windows=9, effect_now_rr=0.02, effect_now_error_rr=0.05)
    for half_life, n in ((None, 1), (faded, 0)):
        test = a_test(GROUPS[0], 5, Candidate(scope=SCOPES[0], evidence=_strong(half_life=half_life)))
        found = Findings(partition=0, epoch_at_ms=START_MS + EPOCH_MS, tests=(test,))
        assert len(close_epoch(Book(epoch_at_ms=START_MS), [found], PARAMETERS).lessons) == n


def two_confirmed(shared: int, parameters: Parameters = PARAMETERS) -> Book:
    """An active lesson, and a candidate that is confirmed at the next epoch; of 100 trades each so many are shared."""
    old, new = (
        msgspec.structs.replace(
            nominated("pm_strength", "pm", GROUPS[0], scope, STRONG, epoch_at_ms=START_MS, ordinal=i)[0],
            state=state,
            sketch=trade_sketch(np.arange(first, first + 100)),
        )
        for i, (scope, state, first) in enumerate(
            ((SCOPES[0], "active", 0), (SCOPES[1], "candidate", 100 - shared)), start=1
        )
    )
    at_ms = START_MS + EPOCH_MS
    found = Findings(
        partition=0,
        epoch_at_ms=at_ms,
        evidence={old.id: _strong(epoch_at_ms=at_ms), new.id: _strong(epoch_at_ms=at_ms, forward=CONFIRMING)},
    )
    book = Book(epoch_at_ms=START_MS, lessons={old.id: old, new.id: new}, nominations={"pm": 2})
    return close_epoch(book, [found], parameters)


def test_a_new_lesson_about_the_trades_of_an_active_one_is_absorbed() -> None:
    book = two_confirmed(shared=90)
    (old, new) = sorted(book.lessons.values(), key=lambda lesson: lesson.ordinal)
    assert (new.state, new.reason, new.absorbed_by) == ("retired", "absorbed", old.id)
    assert [(e.from_state, e.to_state, e.reason) for e in book.events] == [("candidate", "retired", "absorbed")]
    assert set(book.factors) == {old.id}


def test_lessons_about_other_trades_have_factors_of_their_own_and_a_switch_turns_them_off() -> None:
    book = two_confirmed(shared=20)
    assert [lesson.state for lesson in book.lessons.values()] == ["active", "active"]
    assert len(set(book.factors.values())) == 2
    off = two_confirmed(90, Parameters(v5_latent_factors_enabled=False))
    assert [lesson.state for lesson in off.lessons.values()] == ["active", "active"]
    assert off.factors == {}


def test_lessons_of_one_factor_say_so_and_one_alone_does_not() -> None:
    book = two_confirmed(shared=20)
    (one, other) = sorted(book.lessons)
    for factors, told in (({one: "f", other: "f"}, ["f", "f"]), ({one: "f", other: "g"}, [None, None])):
        found = snapshot(
            "pm", book.lessons.values(), version=1, epoch_at_ms=START_MS, config_hash="c", engine_version="e",
            parameters=PARAMETERS, factors=factors,
        )  # fmt: skip
        assert [o.lesson.factor_id for o in found.pattern_strength_overrides] == told
