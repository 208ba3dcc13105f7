"""Book stage: an epoch is closed when every partition has spoken of it (spec section 10)."""

import math
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.baseline import GroupBaseline
from learning.book import Book
from learning.findings import Findings
from learning.lessons import Lesson, nominated
from learning.movement import Limits
from learning.parameters import Parameters
from streams.book import drafts_of, next_book
from streams.codec import Draft, decode_drafts, encode
from tables.book import BOOK_KEY, BookState, pending_key, stored_book
from tests.laws.examples import EPOCH_MS, START_MS, some_evidence

PARAMETERS = Parameters()
FIRST = START_MS + EPOCH_MS


def heard(*found: Findings, book: Book | None = None) -> BookState:
    state = BookState()
    if book is not None:
        state.apply(BOOK_KEY, stored_book(book))
    for findings in found:
        state.apply(pending_key(findings.partition), stored_book(findings))
    return state


def proposals(*first: int) -> Iterable[Findings]:
    return [Findings(partition=p, epoch_at_ms=0, first_epoch_at_ms=at) for p, at in enumerate(first)]


def test_the_book_opens_when_every_partition_has_proposed() -> None:
    assert next_book(heard(*proposals(FIRST, FIRST + EPOCH_MS)), 3, PARAMETERS) is None
    opened = next_book(heard(*proposals(FIRST + EPOCH_MS, FIRST, FIRST)), 3, PARAMETERS)
    assert opened == Book(epoch_at_ms=START_MS)


@given(st.integers(1, 6), st.data())
def test_an_epoch_closes_with_the_last_partition(partitions: int, data: st.DataObject) -> None:
    state = heard(book=Book(epoch_at_ms=START_MS))
    order = data.draw(st.permutations(range(partitions)))
    for said, partition in enumerate(order, start=1):
        findings = Findings(partition=partition, epoch_at_ms=FIRST, outcomes=partition)
        for _ in range(data.draw(st.integers(1, 2))):  # redelivered, or reported again after a restart
            state.apply(pending_key(partition), stored_book(findings))
        closed = next_book(state, partitions, PARAMETERS)
        assert (closed is not None) is (said == partitions)
    assert closed is not None
    assert (closed.epoch_at_ms, closed.version, closed.outcomes) == (FIRST, 1, sum(range(partitions)))


@pytest.mark.parametrize("epoch_at_ms", [0, START_MS, FIRST + EPOCH_MS])
def test_findings_of_another_epoch_are_waited_past(epoch_at_ms: int) -> None:
    other = Findings(partition=1, epoch_at_ms=epoch_at_ms)
    state = heard(Findings(partition=0, epoch_at_ms=FIRST), other, book=Book(epoch_at_ms=START_MS))
    assert next_book(state, 2, PARAMETERS) is None


def test_every_module_with_groups_has_a_snapshot_from_the_first_epoch_on() -> None:
    parts = (
        GroupBaseline(group="dm.alloc.new.buy|allocation", category="dm|allocation", segments=()),
        GroupBaseline(group="pm.up.S1.a|entry", category="pm|entry", segments=()),
    )
    book = Book(epoch_at_ms=START_MS, baselines=parts)
    assert list(drafts_of(book, PARAMETERS, "hash", "engine", Limits())) == []
    closed = msgspec.structs.replace(book, version=1)
    found = {draft.module: draft.snapshot for draft in drafts_of(closed, PARAMETERS, "hash", "engine", Limits())}
    assert {module: (s.module, s.version, s.epoch_at_ms) for module, s in found.items() if s} == {
        "pm": ("pm", 1, START_MS),
        "dm": ("dm", 1, START_MS),
    }
    only_pm = msgspec.structs.replace(closed, baselines=parts[1:])
    assert [draft.module for draft in drafts_of(only_pm, PARAMETERS, "hash", "engine", Limits())] == ["pm"]


def test_a_draft_that_is_too_large_for_its_topic_is_only_spoken_of() -> None:
    parts = (GroupBaseline(group="pm.up.S1.a|entry", category="pm|entry", segments=()),)
    closed = Book(epoch_at_ms=START_MS, version=1, baselines=parts)
    (whole,) = drafts_of(closed, PARAMETERS, "hash", "engine", Limits())
    assert whole.snapshot is not None
    (told,) = drafts_of(closed, PARAMETERS, "hash", "engine", Limits(max_bytes=whole.size_bytes - 1))
    assert (told.snapshot, told.size_bytes, told.epoch_at_ms) == (None, whole.size_bytes, START_MS)
    assert decode_drafts(encode(told)) == told


def active(bucket: str, size_mult: float) -> Lesson:
    lesson, _ = nominated(
        "pm_strength", "pm", "pm.up.S1.a|entry", {"bucket": bucket}, some_evidence(), epoch_at_ms=START_MS, ordinal=1
    )
    return msgspec.structs.replace(lesson, state="active", levers={"size_mult": size_mult})


@pytest.mark.parametrize("size_mult", [math.nan, math.inf, -math.inf])
def test_a_draft_of_a_lesson_with_no_number_is_only_spoken_of_and_names_the_lesson(size_mult: float) -> None:
    parts = tuple(
        GroupBaseline(group=f"{pattern}|{category}", category=f"{pattern[:2]}|{category}", segments=())
        for pattern, category in (("pm.up.S1.a", "entry"), ("dm.alloc.new.buy", "allocation"))
    )
    good, bad = active("micro", 1.02), active("mid", size_mult)
    closed = Book(epoch_at_ms=START_MS, version=1, baselines=parts, lessons={each.id: each for each in (good, bad)})
    drafts = {draft.module: draft for draft in drafts_of(closed, PARAMETERS, "hash", "engine", Limits())}
    told = drafts["pm"]
    assert (told.snapshot, told.epoch_at_ms) == (None, START_MS)
    assert told.reason.startswith("snapshot: expected a snapshot of schema version 1 (Expected `float`, got `null`")
    assert told.reason.endswith(f"; lessons {bad.id}: `leverloop lessons disable` takes one out")
    assert decode_drafts(encode(told)) == told
    assert (drafts["dm"].snapshot is not None, drafts["dm"].reason) == (True, "")


def test_a_draft_from_before_drafts_had_reasons_is_read() -> None:
    old = b'{"kind":"draft","module":"pm","epoch_at_ms":1,"size_bytes":9,"snapshot":null}'
    assert decode_drafts(old) == Draft(module="pm", epoch_at_ms=1, size_bytes=9, snapshot=None)
