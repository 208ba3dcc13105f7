"""Baselines: their levels, and that sums of groups are put together in any order (spec section 6)."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.baseline import Baselines, GroupBaseline
from tests.laws import brute_force

CLOSE = pytest.approx


sums = st.tuples(st.integers(1, 15), st.integers(-(10**6), 10**6))
names = st.sampled_from(["", "micro", "mid"])
parts = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.dictionaries(st.tuples(names, st.sampled_from(["", "1h", "4h"])), sums, max_size=5),
    max_size=3,
)


@given(parts, st.sampled_from(["a", "b", "z"]), st.tuples(names, st.sampled_from(["", "1h", "4h", "1d"])))
def test_baselines_go_from_segment_to_marginals_to_category_to_nothing(
    of: dict[str, dict[tuple[str, str], tuple[int, int]]], group: str, segment: tuple[str, str]
) -> None:
    merged = Baselines(
        GroupBaseline(group=name, category="pm|entry", segments=tuple(sorted(known.items())))
        for name, known in of.items()
    )
    rows = []
    for name, known in of.items():
        for (bucket, timeframe), (n, rr_q) in known.items():
            shares = [rr_q // n] * (n - 1)  # any rr of the trades with that sum
            for i, rr in enumerate([*shares, rr_q - sum(shares)]):
                scope = {"bucket": bucket, "timeframe": timeframe}
                rows.append(
                    brute_force.Row(f"{name}{bucket}{timeframe}{i}", "a", f"{name}|entry", "pm", 0, scope, rr, 0, 0)
                )
    value, level = merged.value("pm|entry", group, segment)
    expected, expected_level = brute_force.baseline(
        brute_force.of_category(rows, "pm|entry"), f"{group}|entry", segment
    )
    assert (value, level) == (CLOSE(float(expected), abs=1e-12), expected_level)


def parts_of(known: dict[str, dict[tuple[str, str], tuple[int, int]]]) -> list[GroupBaseline]:
    return [
        GroupBaseline(group=name, category=f"pm|{'entry' if name < 'c' else 'add'}", segments=tuple(of.items()))
        for name, of in known.items()
    ]


def values(merged: Baselines) -> list[tuple[float, str]]:
    """Of every group and segment that was ever drawn, and of one that was not."""
    return [
        merged.value(category, group, (bucket, timeframe))
        for category in ("pm|entry", "pm|add", "pm|exit")
        for group in ("a", "b", "c", "z")
        for bucket in ("", "micro", "mid", "xl")
        for timeframe in ("", "1h", "4h", "1d")
    ]


@given(parts, st.randoms(use_true_random=False))
def test_parts_of_workers_are_merged_in_any_order_bit_for_bit(
    of: dict[str, dict[tuple[str, str], tuple[int, int]]], random: Random
) -> None:
    known = parts_of(of)
    shuffled = [
        GroupBaseline(group=p.group, category=p.category, segments=_shuffled(p.segments, random)) for p in known
    ]
    random.shuffle(shuffled)
    assert values(Baselines(shuffled)) == values(Baselines(known))


@given(parts)
def test_a_group_without_trades_adds_nothing(of: dict[str, dict[tuple[str, str], tuple[int, int]]]) -> None:
    nothing = GroupBaseline(group="z", category="pm|entry", segments=())
    no_trades = GroupBaseline(group="z", category="pm|add", segments=((("xl", "1d"), (0, 0)),))
    assert values(Baselines([*parts_of(of), nothing, no_trades])) == values(Baselines(parts_of(of)))
    assert set(values(Baselines([nothing]))) == set(values(Baselines([]))) == {(0.0, "none")}


def _shuffled(segments: tuple[object, ...], random: Random) -> tuple[object, ...]:
    return tuple(random.sample(segments, len(segments)))
