"""Weights and blend: spec section 12 computed here a second time, by the formulas as they stand there."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.blend import CUT_OFF, blended, blended_weights
from leverloop.matching import Match, prepared
from leverloop.snapshot import Override, override_id
from leverloop.testing import AT_MS, make_override

from .strategies import LIVE, matching_scopes, overrides

DAY_MS = 86_400_000
replace = msgspec.structs.replace
capital = overrides(kinds=("pm_strength",), category="entry", scopes=matching_scopes)
alone = overrides(kinds=("pm_strength",), category="entry", scopes=matching_scopes, factors=st.none())
several = st.lists(capital, min_size=1, max_size=8, unique_by=override_id).map(
    lambda found: sorted(found, key=override_id)
)


def matches(*found: Override) -> list[Match]:
    return [prepared(override) for override in found]


def by_the_letter(found: list[Override], at_ms: int) -> list[float]:
    """Spec section 12, line by line."""
    k_max = max(len(o.scope) for o in found)
    w = []
    for o in found:
        age_days = max(0, at_ms - o.stats.updated_at_ms) / DAY_MS
        w.append(
            math.tanh(abs(o.stats.edge_raw))
            * (1 - math.exp(-o.stats.n / 25))
            * 1
            / (1 + o.stats.variance)
            * 2 ** (-age_days / o.stats.half_life_days)
            * (len(o.scope) / k_max) ** 1.5
        )
    shared = list(w)
    for i, o in enumerate(found):
        if o.lesson.factor_id is not None:
            factor = [w[j] for j, other in enumerate(found) if other.lesson.factor_id == o.lesson.factor_id]
            shared[i] = max(factor) * w[i] / sum(factor) if sum(factor) > 0 else 0.0
    return [max(0.0, x - 0.02) for x in shared]


@given(several, st.integers(AT_MS - 10**9, AT_MS + 10**11))
def test_weights_are_those_of_the_specification(found: list[Override], at_ms: int) -> None:
    assert blended_weights(matches(*found), at_ms) == pytest.approx(by_the_letter(found, at_ms), rel=1e-9, abs=1e-12)


@given(several)
def test_the_blend_is_that_of_the_specification(found: list[Override]) -> None:
    weights = by_the_letter(found, AT_MS)
    result = blended(matches(*found), weights)
    for name in {name for o in found for name in o.levers}:
        parts = [(w, o.levers[name]) for w, o in zip(weights, found, strict=True) if name in o.levers and w > 0]
        if parts:
            mean = sum(w * math.log(m) for w, m in parts) / sum(w for w, _ in parts)
            assert result[name] == pytest.approx(math.exp(mean), rel=1e-9)
        else:
            assert name not in result


@given(alone, st.integers(2, 10), st.floats(0.7, 1.3))
def test_a_factor_of_copies_weighs_as_one(override: Override, copies: int, other: float) -> None:
    one = prepared(override)
    members = [replace(one, id=f"{i}", weighing=(*one.weighing[:4], "f")) for i in range(copies)]
    single = blended_weights([one], AT_MS)[0]
    shared = blended_weights(members, AT_MS)
    # Before the cut-off, which is taken from every match, the copies together have the weight of one.
    assert sum(w + CUT_OFF for w in shared if w > 0.0) == pytest.approx(single + CUT_OFF if min(shared) > 0.0 else 0.0)
    assert sum(shared) <= single + 1e-12
    if min(shared) > 0.0:
        assert blended(members, shared) == pytest.approx(blended([one], [single]))


@given(several, st.integers(0, 7), st.floats(1e-12, 1e-6))
def test_weights_are_continuous_at_the_cut_off(found: list[Override], which: int, step: float) -> None:
    match = matches(found[which % len(found)])[0]
    dims, _, _, decay_per_ms, factor_id = match.weighing
    below, at, above = (
        blended_weights([replace(match, weighing=(dims, CUT_OFF + d, AT_MS, decay_per_ms, factor_id))], AT_MS)[0]
        for d in (-step, 0.0, step)
    )
    assert below == at == 0.0
    assert 0.0 < above <= step * 1.001


@given(several, st.floats(1e-9, 1e-7), st.integers(0, 7))
def test_the_blend_does_not_jump_when_a_weight_moves(found: list[Override], step: float, which: int) -> None:
    weights = by_the_letter(found, AT_MS)
    total = sum(weights)
    if total < 1e-3:
        return
    moved = list(weights)
    moved[which % len(moved)] += step
    before, after = blended(matches(*found), weights), blended(matches(*found), moved)
    for name, value in before.items():
        carried = sum(w for w, o in zip(weights, found, strict=True) if name in o.levers)
        assert abs(math.log(after[name]) - math.log(value)) <= step / carried * math.log(1.3 / 0.7) + 1e-12


@given(several)
def test_an_override_more_specific_than_all_weighs_the_others_down_and_never_up(found: list[Override]) -> None:
    narrow = make_override({"size_mult": 1.1}, LIVE, factor_id=None)
    before = blended_weights(matches(*found), AT_MS)
    after = blended_weights([*matches(*found), prepared(narrow)], AT_MS)
    assert all(b <= a + 1e-12 for a, b in zip(before, after[:-1], strict=True))


VECTORS: list[tuple[dict[str, Any], float]] = [
    # One match is the most specific: spec = 1. tanh 1 = 0.761594, 1 - e**-4 = 0.981684, variance 1 halves.
    ({}, 0.761594 * 0.981684 / 2 - 0.02),
    ({"edge_raw": -1.0}, 0.761594 * 0.981684 / 2 - 0.02),
    ({"variance": 0.0}, 0.761594 * 0.981684 - 0.02),
    ({"n": 25}, 0.761594 * 0.632121 / 2 - 0.02),
    ({"updated_at_ms": AT_MS - 30 * DAY_MS}, 0.761594 * 0.981684 / 4 - 0.02),
    ({"updated_at_ms": AT_MS - 60 * DAY_MS}, 0.761594 * 0.981684 / 8 - 0.02),
    ({"updated_at_ms": AT_MS + 30 * DAY_MS}, 0.761594 * 0.981684 / 2 - 0.02),
    ({"n": 0}, 0.0),
    ({"edge_raw": 0.0}, 0.0),
]


@pytest.mark.parametrize(("stats", "weight"), VECTORS)
def test_weights_by_hand(stats: dict[str, Any], weight: float) -> None:
    override = make_override({"size_mult": 1.2}, {"bucket": "micro"}, **stats)
    assert blended_weights(matches(override), AT_MS) == pytest.approx([weight], abs=1e-6)


def test_specificity_is_relative_to_the_most_specific_match() -> None:
    one = make_override({"size_mult": 1.2}, {"bucket": "micro"})
    two = make_override({"size_mult": 0.8}, {"bucket": "micro", "timeframe": "1h"})
    # (1 / 2) ** 1.5 = 0.353553
    w = 0.761594 * 0.981684 / 2
    weights = blended_weights(matches(one, two), AT_MS)
    assert weights == pytest.approx([w * 0.353553 - 0.02, w - 0.02], abs=1e-6)
    mean = (weights[0] * math.log(1.2) + weights[1] * math.log(0.8)) / sum(weights)
    assert blended(matches(one, two), weights) == {"size_mult": pytest.approx(math.exp(mean), abs=1e-12)}


def test_a_factor_counts_once() -> None:
    big = make_override({"size_mult": 1.2}, {"bucket": "micro"}, factor_id="f")
    small = make_override({"size_mult": 1.1}, {"timeframe": "1h"}, factor_id="f", n=25)
    free = make_override({"size_mult": 0.9}, {"macro_phase": "Dip"})
    w_big, w_small = 0.761594 * 0.981684 / 2, 0.761594 * 0.632121 / 2
    expected = [w_big * w / (w_big + w_small) - 0.02 for w in (w_big, w_small)] + [w_big - 0.02]
    assert blended_weights(matches(big, small, free), AT_MS) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        (0.711738027706401, 0.09704838769381333),
        (0.7101235308023689, 0.054702502304743404),
        (0.7179302958650489, 0.8078338491608432),
    ],
)
def test_rounding_does_not_lead_out_of_what_was_matched(value: float, weight: float) -> None:
    assert math.exp(weight * math.log(value) / weight) != value  # what the test is about
    override = make_override({"size_mult": value}, {"bucket": "micro"})
    assert blended(matches(override), [weight]) == {"size_mult": value}
