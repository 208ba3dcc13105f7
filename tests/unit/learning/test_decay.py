"""Decay: half-lives that were put in come out, and no gap, no outlier and no sign changes them."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.decay import Decays, decays, half_life_hours, traded_days
from learning.postings import Inside

FLOATS = npt.NDArray[np.float64]
WEEKS = np.arange(12.0) * 7
EVEN = np.full(12, 25.0)


def exact(hours: float, at: FLOATS = WEEKS, effect_0: float = 1.0) -> FLOATS:
    return effect_0 * 2.0 ** (-at * 24 / hours)


@given(st.floats(48, 6000), st.floats(0.05, 9) | st.floats(-9, -0.05))
def test_the_half_life_that_was_put_in_comes_out(hours: float, effect_0: float) -> None:
    found = half_life_hours(WEEKS, exact(hours, effect_0=effect_0), EVEN, math.copysign(1.0, effect_0))
    assert found == pytest.approx(hours, rel=1e-5)


@given(st.floats(200, 3000), st.sets(st.integers(1, 40), min_size=6, max_size=12))
def test_gaps_do_not_matter(hours: float, weeks: set[int]) -> None:
    at = np.array(sorted(weeks)) * 7.0
    # After a long gap next to nothing is left to fit: the best is flat, and found to the root of the rounding.
    assert half_life_hours(at, exact(hours, at), np.full(len(at), 25.0), 1.0) == pytest.approx(hours, rel=1e-3)


def test_one_wild_window_hardly_moves_it() -> None:
    noise = 0.02 * np.sin(np.arange(12) * 2.4)
    calm = exact(700) + noise
    wild = calm.copy()
    wild[8] += 3.0
    before, after = (half_life_hours(WEEKS, y, EVEN, 1.0) for y in (calm, wild))
    assert before == pytest.approx(700, rel=0.1)
    assert after == pytest.approx(before, rel=0.15)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_longest_for_what_lasts_or_grows_and_the_unknown_for_what_is_not_there(sign: float) -> None:
    assert half_life_hours(WEEKS, sign * np.ones(12), EVEN, sign) == 8760.0
    assert half_life_hours(WEEKS, sign * exact(-900), EVEN, sign) == 8760.0
    assert half_life_hours(WEEKS, -sign * exact(900), EVEN, sign) == 720.0, "of the other sign"
    assert half_life_hours(WEEKS, np.zeros(12), EVEN, sign) == 720.0
    assert half_life_hours(WEEKS[:4], exact(900)[:4], EVEN[:4], sign) == 720.0, "four windows are too few"
    assert half_life_hours(WEEKS, exact(900), EVEN, 0.0) == 720.0


wild_windows = st.integers(5, 20).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(7, 400), min_size=n, max_size=n),
        st.lists(st.floats(-20, 20), min_size=n, max_size=n),
        st.lists(st.integers(20, 10**6), min_size=n, max_size=n),
    )
)


@given(wild_windows, st.sampled_from([1.0, -1.0]))
def test_any_windows_have_a_half_life_within_bounds(
    found: tuple[list[float], list[float], list[int]], sign: float
) -> None:
    steps, effect, n = found
    hours = half_life_hours(np.cumsum(steps), np.array(effect), np.array(n, dtype=np.float64), sign)
    assert 1.0 <= hours <= 8760.0
    turned = half_life_hours(np.cumsum(steps), -np.array(effect), np.array(n, dtype=np.float64), -sign)
    assert turned == hours


def traded(weekly_rr: FLOATS, *, others: bool = True) -> Decays:
    """Twenty trades inside a week, of the given rr, and one other a day that earns nothing."""
    day = np.concatenate([np.repeat(np.arange(len(weekly_rr)) * 7, 20), np.arange(len(weekly_rr) * 7)])
    rr = np.concatenate([np.repeat(weekly_rr, 20), np.zeros(len(weekly_rr) * 7)])
    n_in = 20 * len(weekly_rr)
    if not others:
        day, rr = day[:n_in], rr[:n_in]
    inside = Inside(start=np.array([0, n_in]), rows=np.arange(n_in, dtype=np.int32), n_actions=np.array([n_in]))
    effect = np.array([weekly_rr.mean()])
    return decays(inside, traded_days(day.astype(np.int64), np.ones(len(day), dtype=np.bool_), rr), effect)


def test_the_slope_is_that_of_the_windows() -> None:
    found = traded(np.array([1.0, 0.8, 0.6, 0.4, 0.2, 0.0]))
    assert found.rr_per_day[0] == pytest.approx(-0.2 / 7)
    assert found.error_rr_per_day[0] == pytest.approx(0.0, abs=1e-12)
    assert found.trend.tolist() == [-1]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trend_is_of_the_strength_not_of_the_value(sign: int) -> None:
    weaker, stronger = np.array([1.0, 0.8, 0.65, 0.4, 0.2, 0.05]), np.array([0.1, 0.3, 0.55, 0.7, 0.9, 1.1])
    assert traded(sign * weaker).trend.tolist() == [-1]
    assert traded(sign * stronger).trend.tolist() == [1]
    assert traded(sign * np.array([0.5, 0.2, 0.6, 0.1, 0.7, 0.3])).trend.tolist() == [0]


def test_nothing_is_known_without_five_windows_or_without_others() -> None:
    for found in (traded(np.array([1.0, 0.8, 0.6, 0.4])), traded(np.ones(9), others=False)):
        assert np.isnan([found.rr_per_day[0], found.error_rr_per_day[0]]).all()
        assert (found.trend[0], found.half_life_hours[0]) == (0, 720.0)
