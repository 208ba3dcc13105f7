"""Epochs: any interleaving of the inputs leads to the same epochs, mined one after another (spec section 10)."""

from collections.abc import Iterable
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from learning.epochs import CONTROL, epoch_of, newest_closed, passed_epoch
from learning.findings import Decided
from learning.parameters import Parameters
from learning.progress import (
    PROPOSAL,
    Progress,
    counts_from_ms,
    due,
    first_epoch,
    input_offsets,
    newest_passed,
    passed,
    told,
)
from tests.laws.examples import EPOCH_MS, START_MS

PARAMETERS = Parameters()
INPUTS = ("actions/0", "actions/1", "trades/0", "trades/1")

epochs = st.integers(0, 12).map(lambda i: START_MS + i * EPOCH_MS)
marks = st.fixed_dictionaries({name: st.lists(epochs, min_size=1, max_size=8).map(sorted) for name in INPUTS})
times = st.integers(START_MS, START_MS + 10 * EPOCH_MS)


def interleaved(each: dict[str, list[int]], random: Random) -> Iterable[tuple[str, int]]:
    """All marks, those of one input in their order."""
    names = [name for name, found in each.items() for _ in found]
    random.shuffle(names)
    left = {name: iter(found) for name, found in each.items()}
    return [(name, next(left[name])) for name in names]


def mined(messages: Iterable[tuple[str, int]], random: Random) -> list[int]:
    """Epochs mined on the way; the book's answers take their time."""
    progress, found, answers = Progress(), [], []

    def report() -> None:
        epoch = due(progress, INPUTS, PARAMETERS)
        if epoch == PROPOSAL and not answers:
            answers.append(Decided(epoch_at_ms=first_epoch(progress) - PARAMETERS.epoch_ms))
        elif epoch not in (None, PROPOSAL) and epoch not in found:
            assert epoch is not None
            found.append(epoch)
            answers.append(Decided(epoch_at_ms=epoch))

    for source, epoch in messages:
        progress = passed(progress, source, epoch)
        report()
        if answers and random.random() < 0.5:
            progress = told(progress, answers[-1])
            report()
    while answers:
        progress = told(progress, answers.pop())
        report()
    return found


@given(marks, st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_every_interleaving_mines_the_same_epochs(each: dict[str, list[int]], one: Random, other: Random) -> None:
    first = min(found[0] for found in each.values())
    last = min(found[-1] for found in each.values())
    wanted = list(range(first, last + 1, EPOCH_MS))
    assert mined(interleaved(each, one), one) == wanted
    assert mined(interleaved(each, other), other) == wanted


@given(marks, st.randoms(use_true_random=False))
def test_a_mark_said_again_or_an_older_one_changes_nothing(each: dict[str, list[int]], random: Random) -> None:
    progress = Progress()
    for source, epoch in interleaved(each, random):
        progress = passed(progress, source, epoch)
        assert passed(progress, source, epoch) is progress
        assert passed(progress, source, each[source][0]) is progress


@given(marks, st.randoms(use_true_random=False), times)
def test_an_outcome_counts_in_its_own_epoch_or_if_that_is_over_in_the_next(
    each: dict[str, list[int]], random: Random, closed_at_ms: int
) -> None:
    progress = Progress()
    for source, epoch in interleaved(each, random):
        progress = passed(progress, source, epoch)
        since = counts_from_ms(progress, INPUTS, closed_at_ms, PARAMETERS)
        newest = newest_passed(progress, INPUTS)
        assert since % EPOCH_MS == 0
        assert since >= closed_at_ms
        if newest is None or closed_at_ms > newest:
            assert since - closed_at_ms < EPOCH_MS
        else:
            assert since == newest + EPOCH_MS, "late: in the next one"


@given(marks, st.randoms(use_true_random=False))
def test_the_offsets_of_an_epoch_do_not_depend_on_the_interleaving(each: dict[str, list[int]], random: Random) -> None:
    """The first record past an epoch is not in it, and everything before is; a record's offset is its place here."""
    progress, given_out = Progress(), dict.fromkeys(each, 0)
    for source, epoch in interleaved(each, random):
        progress = passed(progress, source, epoch, given_out[source])
        given_out[source] += 1
    for epoch in range(START_MS, min(found[-1] for found in each.values()) + 1, EPOCH_MS):
        wanted = {name: next(i for i, at in enumerate(found) if at >= epoch) for name, found in each.items()}
        assert input_offsets(progress, epoch) == wanted


@given(marks)
def test_marks_of_decided_epochs_are_forgotten(each: dict[str, list[int]]) -> None:
    progress, name = Progress(), INPUTS[0]
    for offset, epoch in enumerate(each[name]):
        progress = told(progress, Decided(epoch_at_ms=epoch - EPOCH_MS))
        progress = passed(progress, name, epoch, offset)
        assert len(progress.inputs[name].marks) <= 2
        assert input_offsets(progress, epoch)[name] == each[name].index(epoch)


@given(times)
def test_an_epoch_is_named_by_its_end_and_passed_after_the_slack(at_ms: int) -> None:
    own = epoch_of(at_ms, PARAMETERS)
    assert own - EPOCH_MS < at_ms <= own
    assert passed_epoch(at_ms, PARAMETERS) <= at_ms - PARAMETERS.epoch_slack_ms
    assert passed_epoch(own + PARAMETERS.epoch_slack_ms - 1, PARAMETERS) < own
    assert passed_epoch(own + PARAMETERS.epoch_slack_ms, PARAMETERS) == own


@given(st.dictionaries(st.sampled_from([*INPUTS, CONTROL]), epochs))
def test_an_epoch_is_over_when_all_have_passed_it_or_a_marker_says_so(seen: dict[str, int]) -> None:
    slowest = min(seen[name] for name in INPUTS) if set(INPUTS) <= set(seen) else None
    known = [epoch for epoch in (slowest, seen.get(CONTROL)) if epoch is not None]
    assert newest_closed(seen, INPUTS) == (max(known) if known else None)


@given(marks, epochs, st.randoms(use_true_random=False))
def test_a_marker_ends_the_wait_for_silent_inputs(each: dict[str, list[int]], marker: int, random: Random) -> None:
    silent = {name: found for name, found in each.items() if name != "trades/1"}
    messages = list(interleaved(silent, random))
    assert mined(messages, random) == []
    found = mined([*messages, (CONTROL, marker)], random)
    first = min(marker, *(marks_of[0] for marks_of in silent.values()))
    assert found == list(range(first, marker + 1, EPOCH_MS))


@given(st.lists(epochs, min_size=1))
def test_only_a_newer_decision_counts(decided: list[int]) -> None:
    progress = Progress()
    for i, epoch in enumerate(decided):
        progress = told(progress, Decided(epoch_at_ms=epoch, lessons_version=i))
    newest = max(decided)
    assert progress.decided == Decided(epoch_at_ms=newest, lessons_version=decided.index(newest))


def test_progress_is_immutable() -> None:
    before = passed(Progress(), "actions/0", START_MS)
    frozen = msgspec.msgpack.encode(before)
    passed(before, "trades/0", START_MS)
    told(before, Decided(epoch_at_ms=START_MS))
    assert msgspec.msgpack.encode(before) == frozen
