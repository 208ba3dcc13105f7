"""Findings travel between partitions and the book: what is written is read back, and a stranger's field is no harm."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from learning.execution.findings import AcceptedLever, LeverCandidate, LeverEvidence, LeverSearch

numbers = st.floats(-10, 10)
evidences = st.builds(
    LeverEvidence, lever=st.just("trail_mult"), target=numbers, n=st.integers(0), n_clusters=st.integers(0),
    effect_rr=numbers, error_rr=numbers, ci_low=numbers, ci_high=numbers, added_rr=numbers, p_value=numbers,
)  # fmt: skip
scopes = st.dictionaries(st.sampled_from(["bucket", "timeframe"]), st.one_of(st.text(max_size=4), st.integers(1, 6)))
searches = st.builds(
    LeverSearch,
    tested_by_dims=st.lists(st.integers(0), max_size=4).map(tuple),
    candidates=st.lists(st.builds(LeverCandidate, scope=scopes, evidence=evidences), max_size=3).map(tuple),
)


@given(searches)
def test_a_search_is_read_as_it_was_written(search: LeverSearch) -> None:
    assert msgspec.json.decode(msgspec.json.encode(search), type=LeverSearch) == search


@given(st.builds(AcceptedLever, group=st.text(max_size=9), scope=scopes, lever=st.text(max_size=9), target=numbers))
def test_a_later_field_is_passed_over(lever: AcceptedLever) -> None:
    known = msgspec.to_builtins(lever) | {"added_later": 1}
    assert msgspec.convert(known, AcceptedLever) == lever
