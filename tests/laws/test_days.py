"""Blocks of autocorrelated days, windows, slopes and half-lives on markets made for them, against a plain count.

Days follow one another with any autocorrelation, come with gaps, and see any number of trades; effects fade,
grow, turn or stay.
"""

import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest

from learning.baseline import Baselines
from learning.cells import GroupCells
from learning.clusters import block_days
from learning.parameters import Parameters
from learning.statistics import GroupStats, group_stats
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.agreement import differences
from tests.laws.brute_days import block_length
from tests.laws.brute_force import SCALE, BruteForce, Row, first_of_each_trade
from tests.laws.examples import DAY_MS, HOUR_MS, START_MS, an_outcome

GROUP = "pm.uptrend.S1.buy_flag|entry"
SCOPES = ({"bucket": "micro"}, {"bucket": "nano", "timeframe": "4h"}, {"macro_phase": "Dip"}, {"timeframe": "1h"})
PARAMETERS = Parameters()


class Market(NamedTuple):
    """Outcomes of a group and the same as rows of the brute force."""

    cells: GroupCells
    rows: list[Row]

    def statistics(self) -> GroupStats:
        codes = np.array([self.cells.codes_of(scope) for scope in SCOPES])
        # Nothing is known of other groups: the baseline is that of an empty category, 0.
        return group_stats(self.cells, codes, 2**53, Baselines([]), PARAMETERS, DEFAULT_SCHEMA)

    def block_days(self) -> int:
        rr_of_day: dict[int, list[int]] = defaultdict(list)
        for row in first_of_each_trade(self.rows):
            rr_of_day[row.closed_at_ms // DAY_MS].append(row.rr)
        return block_length(rr_of_day)


def a_market(seed: int, *, half_life_days: float, effect_rr: float, noise_rr: float = 1.0) -> Market:
    """Trades of a group over some months; those of bucket micro have an effect that fades with its half-life."""
    rng = np.random.default_rng(seed)
    days, rho = int(rng.choice([5, 30, 90, 150])), float(rng.choice([0.0, 0.6, 0.9]))
    open_days = [day for day in range(days) if rng.random() > rng.choice([0.0, 0.4])] or [0]
    if rng.random() < 0.4:  # and a long gap
        start = int(rng.integers(0, days))
        open_days = [day for day in open_days if not start <= day < start + 25] or [0]
    shock = [0.0]
    for step in rng.normal(0.0, 0.4, days):
        shock.append(rho * shock[-1] + step)
    cells, rows = GroupCells(GROUP, "pm", DEFAULT_SCHEMA), []
    for i in range(int(rng.choice([30, 300, 600]))):
        day = int(rng.choice(open_days))
        bucket = str(rng.choice(["micro", "nano", "mid"]))
        fading = effect_rr * math.exp(-math.log(2) * day / half_life_days)
        rr = round(shock[day] + float(rng.normal(0.0, noise_rr)) + fading * (bucket == "micro"), 5)
        scope = {
            "bucket": bucket,
            "timeframe": str(rng.choice(["1h", "4h"])),
            "macro_phase": ("Good", "Dip")[day // 9 % 2],
        }
        closed_at_ms = START_MS + day * DAY_MS + int(rng.integers(0, DAY_MS))
        at_ms, name = closed_at_ms - HOUR_MS, f"t{i}"
        cells.put(
            an_outcome(
                f"a{i}", name, scope=scope, action_at_ms=at_ms, opened_at_ms=at_ms, closed_at_ms=closed_at_ms, rr=rr
            ),
            START_MS,
        )
        rr_q = round(max(-10.0, min(10.0, rr)) * SCALE)
        rows.append(Row(name, f"a{i}", GROUP, "pm", at_ms, scope, rr_q, closed_at_ms, HOUR_MS))
    return Market(cells, sorted(rows, key=lambda row: row.when))


FIELDS = {
    "effect_rr", "effect_error_rr", "n_clusters", "emergence_score",
    "decay_rr_per_day", "decay_error_rr_per_day", "trend", "half_life_hours",
}  # fmt: skip


@pytest.mark.parametrize(
    ("effect_rr", "half_life_days"), [(0.0, 1e9), (2.0, 20.0), (-2.0, 20.0), (0.5, -40.0), (-1.0, 1e9), (3.0, 2.0)]
)
def test_blocks_windows_slopes_and_half_lives_of_any_market(effect_rr: float, half_life_days: float) -> None:
    known = blocks = 0
    for seed in range(16):
        market = a_market(seed, half_life_days=half_life_days, effect_rr=effect_rr)
        stats, brute = market.statistics(), BruteForce(market.rows)
        for i, scope in enumerate(SCOPES):
            if stats.n[i]:
                wrong = differences(stats, i, brute.statistics(GROUP, scope))
                assert (seed, scope, {name: wrong[name] for name in FIELDS & set(wrong)}) == (seed, scope, {})
        known += int(np.isfinite(stats.decay_rr_per_day).sum())
        blocks += market.block_days() > 1
    assert known > 15, "too few subsets had windows"
    assert blocks > 1, "too few groups had days that go together"


def test_the_length_of_blocks_of_any_days() -> None:
    capped = found = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        days = rng.choice(60, size=int(rng.integers(1, 60)), replace=False) if seed % 2 else np.arange(17 + seed % 14)
        walk = np.cumsum(rng.normal(size=60)) * float(rng.choice([0.0, 0.3, 1.0])) + rng.normal(size=60) * 0.2
        walk += np.arange(60) * float(rng.choice([0.0, 5.0]))
        rr_of_day = {int(day): [int(1_000 * walk[day])] for day in np.sort(days)}
        means = np.array([rr[0] / SCALE for rr in rr_of_day.values()])
        length = block_length(rr_of_day)
        assert (seed, block_days(np.array(list(rr_of_day)), means)) == (seed, length)
        found += length > 1
        capped += length == math.ceil(min(3 * math.sqrt(len(days)), len(days) / 3)) > 1
    assert found > 50
    assert capped > 3


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("half_life_days", [8.0, 30.0, 90.0])
def test_an_effect_that_fades_without_noise_shows_its_half_life(sign: float, half_life_days: float) -> None:
    cells = GroupCells(GROUP, "pm", DEFAULT_SCHEMA)
    for i in range(1200):
        day, inside = i // 8, i % 2 == 0
        rr = round(sign * 4.0 * 2.0 ** (-day / half_life_days), 5) if inside else 0.0
        closed_at_ms = START_MS + day * DAY_MS
        scope = {"bucket": "micro" if inside else "mid"}
        cells.put(an_outcome(f"a{i}", f"t{i}", scope=scope, closed_at_ms=closed_at_ms, rr=rr), START_MS)
    codes = np.array([cells.codes_of({"bucket": "micro"})])
    stats = group_stats(cells, codes, 2**53, Baselines([]), PARAMETERS, DEFAULT_SCHEMA)
    assert stats.half_life_hours[0] == pytest.approx(24 * half_life_days, rel=0.01)
    assert stats.trend[0] == -1, "it loses strength, whatever its sign"
    assert stats.decay_rr_per_day[0] * sign < 0
