"""Laws of an operator's word on lessons: it holds from the next epoch on, through all that the evidence may say."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from learning.book import Book, close_epoch, commanded, decision
from learning.commands import LessonCommand
from learning.lessons import LessonState, nominated
from learning.overrides import snapshot
from learning.parameters import Parameters
from leverloop.patterns import MODULES
from tables.book import BOOK_KEY, BookState, stored_book
from tests.laws.examples import EPOCH_MS, START_MS, strong
from tests.laws.test_book import GROUPS, SCOPES, epochs_of_findings, findings_of

PARAMETERS = Parameters(insignificant_epochs=2, rest_ms=EPOCH_MS)
LESSONS = [
    nominated(
        "dm_alloc" if group.startswith("dm") else "pm_strength", group[:2], group, scope,  # type: ignore[arg-type]
        strong(epoch_at_ms=START_MS), epoch_at_ms=START_MS, ordinal=1,
    )[0]
    for group in GROUPS
    for scope in SCOPES[:2]
]  # fmt: skip
NAMES = [lesson.id for lesson in LESSONS]
STATES: tuple[LessonState, ...] = ("candidate", "active", "dormant", "retired")

words = st.lists(st.tuples(st.sampled_from(["disable", "enable"]), st.sampled_from(NAMES)), max_size=4)


def published(book: Book) -> set[str]:
    return {
        override.lesson.id
        for module in MODULES
        for override in snapshot(
            module, [each for each in book.lessons.values() if each.module == module], version=1,
            epoch_at_ms=book.epoch_at_ms, config_hash="", engine_version="", parameters=PARAMETERS,
        ).overrides()
    }  # fmt: skip


@given(epochs_of_findings(), st.lists(words, min_size=5, max_size=5), st.data())
def test_the_last_word_holds_whatever_the_evidence(planned: Any, told: Any, data: st.DataObject) -> None:
    states = [data.draw(st.sampled_from(STATES)) for _ in LESSONS]
    lessons = {each.id: msgspec.structs.replace(each, state=state) for each, state in zip(LESSONS, states, strict=True)}
    book, last_word = Book(epoch_at_ms=START_MS, version=1, lessons=lessons), dict.fromkeys(NAMES, "enable")
    for number, tested in enumerate(planned):
        for place, (name, lesson) in enumerate(told[number]):
            command = LessonCommand(
                command=name, id=f"{number}/{place}", lesson_id=lesson, who="jane", why="so", at_ms=1
            )
            found = commanded(book, command)
            assert found is not None
            before, (book, answer) = book, found
            assert answer.outcome == ("unchanged" if last_word[lesson] == name else "accepted")
            assert commanded(book, command) is None, "a command that is read again changes nothing"
            assert published(book) == published(before), "nothing happens before the epoch"
            last_word[lesson] = name
        before = book
        book = close_epoch(book, findings_of(book, tested, data), PARAMETERS)
        disabled = {name for name in book.lessons if book.lessons[name].state == "disabled"}
        assert disabled == {name for name, word in last_word.items() if word == "disable"} == set(book.disabled)
        assert not disabled & published(book)
        assert not disabled & set(book.factors)
        assert all(book.lessons[name].levers == {} for name in disabled)
        known = {each.id for each in decision(book).lessons}
        assert {name for name in disabled if book.disabled[name] != "retired"} <= known
        heard = {event.lesson_id for event in book.events if "disabled" in (event.from_state, event.to_state)}
        assert heard >= {n for n in NAMES if (before.lessons[n].state == "disabled") != (n in disabled)}
        state = BookState()
        state.apply(BOOK_KEY, stored_book(book))
        assert state.book == book, "what an operator said comes back with the book"
