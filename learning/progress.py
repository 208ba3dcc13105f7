"""How far one outcomes partition has come: which epoch it has to mine next (spec section 10).

Every input tells every outcomes partition, in band, which epochs it has passed: whatever that input had
to say before stands in front of the message. The book tells what it decided. From both follows what is
due, the same in every partition and every replay.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from learning.epochs import epoch_of, newest_closed
from learning.findings import Decided
from learning.parameters import Parameters

__all__ = [
    "PROPOSAL",
    "Passed",
    "Progress",
    "counts_from_ms",
    "due",
    "first_epoch",
    "input_offsets",
    "newest_passed",
    "passed",
    "told",
]

PROPOSAL = 0
"""The "epoch" that is due before the book is open: a proposal of the first one."""


class Passed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="passed"):
    """Epochs that one input has passed: the first it spoke of, and the newest."""

    first_at_ms: int
    newest_at_ms: int
    marks: tuple[tuple[int, int], ...] = ()
    """(epoch, offset of the first record past it), of the epochs that are not decided yet and the newest before."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """State of an outcomes partition beside its outcomes."""

    inputs: dict[str, Passed] = {}
    decided: Decided | None = None


def passed(progress: Progress, source: str, epoch_at_ms: int, offset: int | None = None) -> Progress:
    """Progress after an input said that it has passed an epoch; saying it again changes nothing.

    Examples
    --------
    >>> passed(Progress(), "leverloop.trades/0", 6).inputs["leverloop.trades/0"].newest_at_ms
    6
    """
    known = progress.inputs.get(source)
    marks = known.marks if known else ()
    if offset is not None and (known is None or epoch_at_ms > known.newest_at_ms):
        decided_ms = progress.decided.epoch_at_ms if progress.decided is not None else 0
        marks = (*(mark for mark in marks[:-1] if mark[0] > decided_ms), *marks[-1:], (epoch_at_ms, offset))
    entry = Passed(
        first_at_ms=min(epoch_at_ms, known.first_at_ms) if known else epoch_at_ms,
        newest_at_ms=max(epoch_at_ms, known.newest_at_ms) if known else epoch_at_ms,
        marks=marks,
    )
    return progress if entry == known else msgspec.structs.replace(progress, inputs=progress.inputs | {source: entry})


def told(progress: Progress, decided: Decided) -> Progress:
    """Progress after a decision of the book; an older one changes nothing."""
    if progress.decided is not None and decided.epoch_at_ms <= progress.decided.epoch_at_ms:
        return progress
    return msgspec.structs.replace(progress, decided=decided)


def input_offsets(progress: Progress, epoch_at_ms: int) -> dict[str, int]:
    """Input -> next offset that an epoch has not seen, by input; of one that has not passed it, what is known.

    Examples
    --------
    >>> input_offsets(passed(passed(Progress(), "a/0", 6, 40), "a/0", 18, 90), 12)
    {'a/0': 90}
    """
    found = {}
    for source, entry in sorted(progress.inputs.items()):
        if entry.marks:
            found[source] = next((offset for epoch, offset in entry.marks if epoch >= epoch_at_ms), entry.marks[-1][1])
    return found


def due(progress: Progress, inputs: Iterable[str], parameters: Parameters) -> int | None:
    """Epoch to mine now; `PROPOSAL` before the book is open; None while there is nothing to do."""
    newest = newest_passed(progress, inputs)
    if newest is None:
        return None
    if progress.decided is None:
        return PROPOSAL
    following = progress.decided.epoch_at_ms + parameters.epoch_ms
    return following if following <= newest else None


def first_epoch(progress: Progress) -> int:
    """Earliest epoch that any input spoke of: the partition's proposal for the first one."""
    return min(entry.first_at_ms for entry in progress.inputs.values())


def counts_from_ms(progress: Progress, inputs: Iterable[str], closed_at_ms: int, parameters: Parameters) -> int:
    """Epoch from which an outcome counts: that of its close, or the next one if that is over (late).

    Notes
    -----
    Source: spec section 10: an epoch counts the outcomes closed by its end; later arrivals count in the next.
    """
    newest = newest_passed(progress, inputs)
    own = epoch_of(closed_at_ms, parameters)
    return own if newest is None or own > newest else newest + parameters.epoch_ms


def newest_passed(progress: Progress, inputs: Iterable[str]) -> int | None:
    """Newest epoch that is over for the partition, None before every input was heard of."""
    return newest_closed({name: entry.newest_at_ms for name, entry in progress.inputs.items()}, inputs)
