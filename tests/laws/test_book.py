"""The lesson book: one decision per epoch, whoever reports first; every change of state has its event (section 7)."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.book import Book, close_epoch, decision, opened
from learning.factors import trade_sketch
from learning.findings import SIZE_UNITS, Candidate, Findings, GroupTest
from learning.lessons import LIVE, Forward, LessonState, lesson_id, nominated
from learning.overrides import snapshot
from learning.parameters import Parameters
from leverloop.diagnosis import check_finite
from leverloop.errors import InvariantBroken
from leverloop.patterns import MODULES
from leverloop.snapshot import decode_snapshot, encode_snapshot, validate
from tests.laws.examples import EPOCH_MS, START_MS, some_evidence, some_stats, strong
from tests.laws.strategies import evidences

PARAMETERS = Parameters(insignificant_epochs=2, rest_ms=EPOCH_MS)
GROUPS = ("pm.up.S1.a|entry", "pm.up.S1.b|exit", "pm.up.S2.a|add", "dm.alloc.new.buy|allocation")
SCOPES: tuple[dict[str, Any], ...] = (
    {"bucket": "micro"},
    {"bucket": "mid", "macro_phase": "Dip"},
    {"bucket": "nano", "macro_phase": "Dip", "bucket_rank_position": 2},
)
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


# --- one lesson's life


def two_confirmed(shared: int, parameters: Parameters = PARAMETERS) -> Book:
    """An active lesson, and a candidate that is confirmed at the next epoch; of 100 trades each so many are shared."""
    old, new = (
        msgspec.structs.replace(
            nominated(
                "pm_strength", "pm", GROUPS[0], scope, strong(epoch_at_ms=START_MS), epoch_at_ms=START_MS, ordinal=i
            )[0],
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
        evidence={old.id: strong(epoch_at_ms=at_ms), new.id: strong(epoch_at_ms=at_ms, forward=CONFIRMING)},
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


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 0.3)), min_size=1, max_size=4),
    st.floats(0.7, 1.3),
    st.randoms(use_true_random=False),
)
def test_the_whole_book_moves_sizes_no_further_than_its_cap(
    moved: list[tuple[int, float]], size: float, random: Any
) -> None:
    found = [
        Findings(partition=i, epoch_at_ms=START_MS + EPOCH_MS, moved_sizes=(n, round(n * mean * SIZE_UNITS)))
        for i, (n, mean) in enumerate(moved)
    ]
    book = close_epoch(Book(epoch_at_ms=START_MS), found, PARAMETERS)
    assert close_epoch(Book(epoch_at_ms=START_MS), random.sample(found, len(found)), PARAMETERS) == book
    n, total = sum(n for n, _ in moved), sum(n * mean for n, mean in moved)
    assert 0.0 < book.size_scale <= 1.0
    assert book.size_scale * total <= PARAMETERS.size_cap * n + 1e-8
    lesson = msgspec.structs.replace(
        nominated("pm_strength", "pm", GROUPS[0], SCOPES[0], strong(), epoch_at_ms=START_MS, ordinal=1)[0],
        state="active",
        levers={"size_mult": size, "entry_aggression_mult": 1.1},
    )
    (told,) = snapshot(
        "pm", [lesson], version=1, epoch_at_ms=START_MS, config_hash="c", engine_version="e",
        parameters=PARAMETERS, size_scale=book.size_scale,
    ).pattern_strength_overrides  # fmt: skip
    assert told.levers["size_mult"] - 1.0 == pytest.approx(book.size_scale * (size - 1.0))
    assert told.levers["entry_aggression_mult"] == 1.1


@pytest.mark.parametrize(
    ("state", "epochs", "reason"), [("candidate", 4 * 365, "not_confirmed"), ("active", 4 * 30, "no_trade_matched")]
)
def test_a_lesson_whose_group_has_died_does_not_stand_for_ever(state: LessonState, epochs: int, reason: str) -> None:
    lesson, _ = nominated("pm_strength", "pm", GROUPS[0], SCOPES[0], some_evidence(), epoch_at_ms=START_MS, ordinal=1)
    book = Book(epoch_at_ms=START_MS, lessons={lesson.id: msgspec.structs.replace(lesson, state=state)})
    ended = []
    for number in range(1, epochs + 3):
        book = close_epoch(book, [Findings(partition=0, epoch_at_ms=book.epoch_at_ms + EPOCH_MS)], PARAMETERS)
        ended += [(number, event.from_state, event.to_state, event.reason) for event in book.events]
    assert ended == [(epochs + 1, state, "retired", reason)]
    assert decision(book).lessons == ()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 2))
def test_a_state_is_confirmed_once_in_whatever_epochs_its_groups_are(epochs: list[int], before: int) -> None:
    """The lessons of one hypothesis have its ordinal; each group of the state may take its own time."""
    lessons = {}
    for i in range(len(epochs)):
        lesson, _ = nominated(
            "pm_tuning", "pm", f"pm.up.S1.{i}|add", {}, some_evidence(), epoch_at_ms=START_MS, ordinal=7,
            lever="phase_scaling.S1",
        )  # fmt: skip
        lessons[lesson.id] = msgspec.structs.replace(lesson, lever_basis="state", lever_target=1.2)
    book = Book(epoch_at_ms=START_MS, lessons=lessons, confirmed={"pm_tuning": before} if before else {})
    for epoch in range(4):
        at_ms = book.epoch_at_ms + EPOCH_MS
        evidence = {
            name: strong(epoch_at_ms=at_ms, forward=CONFIRMING if epoch >= confirmed else Forward())
            for name, confirmed in zip(lessons, epochs, strict=True)
        }
        found = Findings(partition=0, epoch_at_ms=at_ms, evidence=evidence)
        book = msgspec.msgpack.decode(msgspec.msgpack.encode(close_epoch(book, [found], PARAMETERS)), type=Book)
        live = [lesson for lesson in book.lessons.values() if lesson.state == "active"]
        assert len(live) == sum(confirmed <= epoch for confirmed in epochs)
        assert sum(book.confirmed.values()) == before + bool(live)
