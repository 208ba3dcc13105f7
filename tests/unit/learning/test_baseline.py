"""Partial baselines: put together in any order and grouping, they are the same (spec section 6)."""

from hypothesis import given
from hypothesis import strategies as st

from learning.baseline import GroupBaseline, merged

SEGMENT = st.tuples(st.sampled_from(["", "micro", "mid"]), st.sampled_from(["", "1h"]))
SUMS = st.tuples(st.integers(1, 10**6), st.integers(-(10**12), 10**12))


@st.composite
def parts(draw: st.DrawFn) -> tuple[GroupBaseline, ...]:
    names = st.tuples(st.sampled_from(["pm|entry", "pm|add"]), st.sampled_from(["a", "b"]))
    return tuple(
        GroupBaseline(group=group, category=category, segments=tuple(sorted(segments.items())))
        for category, group in draw(st.lists(names, max_size=3))
        if (segments := draw(st.dictionaries(SEGMENT, SUMS, min_size=1, max_size=3)))
    )


@given(parts(), parts(), parts())
def test_merging_is_associative_and_commutative_and_nothing_is_its_identity(
    a: tuple[GroupBaseline, ...], b: tuple[GroupBaseline, ...], c: tuple[GroupBaseline, ...]
) -> None:
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) == merged(c, a, b)
    assert merged(a, b) == merged(b, a)
    assert merged(a, ()) == merged((), a) == merged(a)
    assert merged(merged(a)) == merged(a)


@given(parts())
def test_nothing_is_lost(several: tuple[GroupBaseline, ...]) -> None:
    def total(found: tuple[GroupBaseline, ...]) -> tuple[int, int]:
        sums = [sums for part in found for _, sums in part.segments]
        return sum(n for n, _ in sums), sum(rr_q for _, rr_q in sums)

    assert total(merged(several)) == total(several)
    names = [(part.category, part.group) for part in merged(several)]
    assert names == sorted(set(names))
