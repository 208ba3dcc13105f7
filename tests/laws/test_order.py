"""Statistics are those of the set of outcomes: how it came about leaves no trace, bit for bit (spec sections 5 and 6)."""

from collections.abc import Iterable
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.parameters import Parameters
from learning.statistics import GroupStats
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.agreement import all_tracked
from tests.laws.feeding import FOREVER_MS, fed, in_order
from tests.laws.streams import Document, small_stream
from tests.laws.worlds import worlds

EVERYTHING = Parameters(n_min_by_dims=(1,))
SHORT = msgspec.structs.replace(EVERYTHING, epoch_ms=3_600_000)
Bytes = dict[str, tuple[list[str], dict[str, bytes], list[str]]]
orders = st.randoms(use_true_random=False)
few = settings(max_examples=25)


def statistics(documents: Iterable[Document], parameters: Parameters = EVERYTHING) -> Bytes:
    """Every array of every group as bytes, in the order of its subsets; codes and levels by their names."""
    groups = fed(documents, parameters, DEFAULT_SCHEMA)
    found: Bytes = {}
    for name, stats in all_tracked(groups, FOREVER_MS, parameters, DEFAULT_SCHEMA).items():
        scopes = [repr(groups[name].scope_of(codes)) for codes in stats.codes]
        levels = [stats.levels[level] for level in stats.rr_baseline_level.tolist()]
        arrays = {each: getattr(stats, each).tobytes() for each in arrays_of(stats)}
        if scopes:  # a group that has lost all its trades is as one that never was
            found[name] = (scopes, arrays, levels)
    return found


def arrays_of(stats: GroupStats) -> list[str]:
    return [name for name in stats.__struct_fields__ if name not in {"codes", "levels", "rr_baseline_level"}]


def shuffled(documents: list[Document], random: Random) -> list[Document]:
    return random.sample(documents, len(documents))


@few
@given(worlds(mended=True), orders)
def test_any_order_of_actions_closes_revisions_and_voids(documents: list[Document], random: Random) -> None:
    assert statistics(shuffled(documents, random)) == statistics(documents)


@few
@given(worlds(mended=True), orders)
def test_what_is_sent_again_changes_nothing(documents: list[Document], random: Random) -> None:
    again = [*documents, *random.choices(documents, k=5)]
    assert statistics(again) == statistics(documents)


@few
@given(worlds(mended=True))
def test_only_the_last_revision_stands_and_a_void_takes_everything_back(documents: list[Document]) -> None:
    last: dict[str, Any] = {}
    for document in documents:
        if "revision" in document:
            trade_id = document["trade_id"]
            last[trade_id] = max(last.get(trade_id, document), document, key=lambda each: each["revision"])
    gone = {trade_id for trade_id, close in last.items() if close.get("void")}
    plain = [d for d in documents if "action_id" in d and d["trade_id"] not in gone]
    closes = [close for trade_id, close in last.items() if trade_id not in gone]
    assert statistics([*plain, *closes]) == statistics(documents)


@few
@given(worlds(), worlds(), orders)
def test_taking_back_what_was_added_restores_every_byte(
    kept: list[Document], added: list[Document], random: Random
) -> None:
    added = [renamed(document) for document in added]
    voids = [{**d, "revision": 1, "void": True} for d in added if "action_id" not in d]
    assert statistics([*kept, *added, *voids]) == statistics(kept)
    assert statistics(shuffled([*kept, *added, *voids], random)) == statistics(kept)


def renamed(document: Document) -> Document:
    names = {name: f"more {document[name]}" for name in ("trade_id", "action_id") if name in document}
    return {**document, **names}


def test_any_order_of_a_whole_stream() -> None:
    documents = in_order(small_stream(11, trades=300, days=60))
    some = Parameters(n_min_by_dims=(5,))
    straight = statistics(documents, some)
    assert sum(len(scopes) for scopes, _, _ in straight.values()) > 500
    for seed in (1, 2):
        assert statistics(shuffled(documents, Random(seed)), some) == straight


@few
@given(worlds(mended=True), orders)
def test_the_length_of_epochs_does_not_matter_when_all_have_passed(documents: list[Document], random: Random) -> None:
    assert statistics(shuffled(documents, random), SHORT) == statistics(documents)
