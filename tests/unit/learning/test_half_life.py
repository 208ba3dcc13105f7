"""Half-life: the interval holds what was put in, the effect now is about what is left, and nothing that lasts dies."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.decay import half_life_hours, traded_days
from learning.half_life import HalfLife, Windows, dies_too_fast, half_life, thinned, windows_of

FLOATS = npt.NDArray[np.float64]
WEEKS = np.arange(12.0) * 7


def some_windows(effect_rr: FLOATS, at_days: FLOATS = WEEKS, n: float = 25.0) -> Windows:
    return Windows(at_days=at_days, effect_rr=effect_rr, n=np.full(len(effect_rr), n))


any_windows = st.integers(0, 20).flatmap(
    lambda n: st.builds(
        lambda steps, effect, trades: Windows(
            at_days=np.cumsum(np.array(steps)), effect_rr=np.array(effect), n=np.array(trades, dtype=np.float64)
        ),
        st.lists(st.floats(7, 400), min_size=n, max_size=n),
        st.lists(st.floats(-20, 20) | st.sampled_from([0.0, 1.0]), min_size=n, max_size=n),
        st.lists(st.integers(20, 10**6), min_size=n, max_size=n),
    )
)
signs = st.sampled_from([1.0, -1.0])


@given(any_windows, signs, st.none() | st.floats(0, 400))
def test_whatever_the_windows_all_is_finite_and_within_bounds(
    windows: Windows, sign: float, later: float | None
) -> None:
    now_days = None if later is None or not len(windows.n) else float(windows.at_days[-1]) + later
    found = half_life(windows, sign, now_days)
    assert 1.0 <= found.low_hours <= found.hours <= found.high_hours <= 8760.0
    known = (found.effect_at_birth_rr, found.effect_now_rr, found.effect_now_error_rr)
    if len(windows.n) < 5:
        assert known == (None, None, None)
    else:
        assert all(value is not None and math.isfinite(value) for value in known)
        assert found.effect_now_error_rr is not None
        assert found.effect_now_error_rr >= 0.0
    assert dies_too_fast(found) <= (found.hours < 72)


@given(any_windows, signs)
def test_the_point_is_that_of_the_statistics(windows: Windows, sign: float) -> None:
    found = half_life(windows, sign)
    assert found.hours == half_life_hours(windows.at_days, windows.effect_rr, windows.n, sign)


@given(any_windows, signs)
def test_a_losing_pattern_is_the_mirror_of_a_winning_one(windows: Windows, sign: float) -> None:
    found = half_life(windows, sign)
    turned = half_life(Windows(at_days=windows.at_days, effect_rr=-windows.effect_rr, n=windows.n), -sign)
    assert (turned.hours, turned.low_hours, turned.high_hours) == (found.hours, found.low_hours, found.high_hours)
    if found.effect_now_rr is not None:
        assert turned.effect_now_rr == -found.effect_now_rr
        assert turned.effect_now_error_rr == found.effect_now_error_rr


@given(st.floats(100, 3000), signs, st.floats(0, 100))
def test_without_noise_the_effect_goes_on_as_it_went(hours: float, sign: float, later: float) -> None:
    now = WEEKS[-1] + later
    found = half_life(some_windows(sign * 2.0 ** (-WEEKS * 24 / hours)), sign, now)
    assert found.low_hours <= hours * 1.0001
    assert found.high_hours >= hours * 0.9999
    assert found.high_hours <= found.low_hours * 1.05
    assert found.effect_at_birth_rr == pytest.approx(sign)
    assert found.effect_now_rr == pytest.approx(sign * 2.0 ** (-now * 24 / hours), rel=1e-3)


def test_few_windows_or_no_sign_say_nothing() -> None:
    assert half_life(some_windows(np.ones(4), WEEKS[:4]), 1.0) == HalfLife(n_windows=4)
    assert half_life(some_windows(np.ones(12)), 0.0) == HalfLife(n_windows=12)
    assert not dies_too_fast(HalfLife())


def test_an_effect_of_the_other_sign_has_no_half_life_but_is_told() -> None:
    found = half_life(some_windows(-0.4 + 0.1 * np.cos(np.arange(12))), 1.0)
    assert (found.hours, found.low_hours, found.high_hours) == (720.0, 1.0, 8760.0)
    assert found.effect_now_rr == pytest.approx(-0.4, abs=0.02)
    assert found.effect_now_error_rr is not None
    assert 0.01 < found.effect_now_error_rr < 0.2


def test_what_grows_lasts_and_is_not_told_to_grow_on() -> None:
    found = half_life(some_windows(0.2 + 0.05 * np.arange(12)), 1.0, 1000.0)
    assert (found.hours, found.high_hours) == (8760.0, 8760.0)
    assert found.effect_now_rr == pytest.approx(0.475, abs=0.05), "its mean"


def test_what_is_gone_after_a_week_is_stopped_by_the_gate() -> None:
    noise = 0.004 * np.sin(np.arange(12) * 2.4)
    gone = half_life(some_windows(2.0 ** (-WEEKS / 1.5) + noise), 1.0)
    assert dies_too_fast(gone)
    assert gone.effect_now_rr == pytest.approx(0.0, abs=1e-3)
    assert not dies_too_fast(half_life(some_windows(2.0 ** (-WEEKS / 7) + noise), 1.0))


def simulated(seed: int, half_life_days: float, effect_rr: float, days: int = 180, inside: int = 4) -> Windows:
    """Windows of trades of a market with days of its own: so many trades a day inside, twelve others."""
    rng = np.random.default_rng(seed)
    a_day = inside + 12
    day = np.repeat(np.arange(days), a_day)
    is_inside = np.arange(len(day)) % a_day < inside
    rr = rng.standard_t(5, len(day)) + rng.normal(0, 0.3, days)[day]
    rr += np.where(is_inside, effect_rr * 2.0 ** (-day / half_life_days), 0.0)
    return windows_of(np.flatnonzero(is_inside), traded_days(day, np.ones(len(day), dtype=np.bool_), rr))


@pytest.mark.parametrize(("half_life_days", "effect_rr", "days"), [(20, 1.0, 180), (20, 1.0, 60), (40, -0.8, 180)])
def test_a_half_life_is_found_within_a_factor_of_two_and_its_interval_holds_it(
    half_life_days: float, effect_rr: float, days: int
) -> None:
    runs = [
        half_life(simulated(seed, half_life_days, effect_rr, days), math.copysign(1.0, effect_rr))
        for seed in range(200)
    ]
    hours = 24 * half_life_days
    assert sum(hours / 2 <= found.hours <= hours * 2 for found in runs) >= 140
    assert sum(found.low_hours <= hours <= found.high_hours for found in runs) >= 180
    true_rr = effect_rr * 2.0 ** (-days / half_life_days)
    close = [abs((found.effect_now_rr or 0.0) - true_rr) <= 2.5 * (found.effect_now_error_rr or 0.0) for found in runs]
    assert sum(close) >= 180


@pytest.mark.parametrize("effect_rr", [0.25, 0.5, -0.5])
def test_what_lasts_is_never_said_to_be_short(effect_rr: float) -> None:
    runs = [half_life(simulated(seed, 1e9, effect_rr), math.copysign(1.0, effect_rr)) for seed in range(200)]
    assert not any(dies_too_fast(found) for found in runs)
    assert sum(found.high_hours == 8760.0 for found in runs) >= 190
    assert sum(found.hours < 24 * 14 for found in runs) <= 10


def test_noise_is_not_said_to_be_short() -> None:
    runs = [half_life(simulated(seed, 1e9, 0.0), 1.0) for seed in range(200)]
    assert sum(dies_too_fast(found) for found in runs) <= 2


def test_windows_are_those_that_the_statistics_have() -> None:
    day = np.repeat(np.arange(35), 4)
    inside = np.arange(140) % 4 < 3
    rr = np.where(inside, 0.5, 0.1) + day / 100
    found = windows_of(np.flatnonzero(inside), traded_days(day, np.ones(140, dtype=np.bool_), rr))
    assert found.n.tolist() == [21.0] * 5
    assert found.at_days.tolist() == [3.0, 10.0, 17.0, 24.0, 31.0]
    assert found.effect_rr == pytest.approx(0.4)


histories = st.lists(st.tuples(st.integers(0, 10**6), st.floats(-5, 5)), max_size=60).map(sorted)


@given(histories, st.integers(2, 30))
def test_a_thinned_history_keeps_its_ends_and_its_order(points: list[tuple[int, float]], keep: int) -> None:
    kept = thinned(points, keep)
    assert len(kept) == min(len(points), keep)
    assert thinned(kept, keep) == kept
    left = iter(points)
    assert all(point in left for point in kept), "some of the points, in their order"
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_a_history_that_grows_stays_even_in_time() -> None:
    kept: tuple[tuple[int, float], ...] = ()
    for epoch in range(1460):
        kept = thinned([*kept, (epoch, 0.0)])
    gaps = np.diff([at_ms for at_ms, _ in kept])
    assert len(kept) == 200
    assert gaps.max() <= 4 * 1460 / 200
