"""What the three meta-learners cost on 100,000 outcomes in 20 groups: `python -m benchmarks.meta_learners`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

import msgspec
import numpy as np

from learning.baseline import Baselines, baseline_sums
from learning.cells import GroupCells
from learning.cube import enumerate_subsets
from learning.factors import FactorMember, factors, redundant_with, trade_sketch
from learning.half_life import half_life, windows_of
from learning.outcome import Outcome
from learning.parameters import DAY_MS, HOUR_MS, Parameters
from learning.regime_weights import regime_weights, weight_sums
from learning.regimes import mean_weights, weights_of_rows
from learning.statistics import GroupView, group_view
from leverloop.events import Controls
from leverloop.scope import DEFAULT_SCHEMA

GROUPS = 20
OUTCOMES = 5_000
DAYS = 360
LESSONS = 60
RUNS = 5
PHASES = ("Good", "Recover", "Dip", "Double-Dip", "Oh-Shit", "Euphoria", "Chop")
START_MS = 1_735_689_600_000
END_MS = START_MS + (DAYS + 1) * DAY_MS
RULES = Parameters()
SEGMENT = DEFAULT_SCHEMA.modules["pm"].segment


def made() -> list[GroupCells]:
    """Groups of noise: macro phases of 9 days, meso phases of 3, micro phases of one."""
    rng = np.random.default_rng(0)
    macro, meso = np.repeat(rng.integers(0, 7, DAYS), 9), np.repeat(rng.integers(0, 7, DAYS), 3)
    micro = rng.integers(0, 7, DAYS)
    groups = [GroupCells(f"pm.uptrend.S{g}.buy_flag|entry", "pm", DEFAULT_SCHEMA) for g in range(GROUPS)]
    for g, cells in enumerate(groups):
        for i in range(OUTCOMES):
            closed_at_ms = START_MS + int(rng.integers(0, DAYS * DAY_MS))
            day = (closed_at_ms - START_MS) // DAY_MS
            opened_at_ms = closed_at_ms - int(rng.integers(1, 72)) * HOUR_MS
            scope = {
                "macro_phase": PHASES[macro[day]],
                "meso_phase": PHASES[meso[day]],
                "micro_phase": PHASES[micro[day]],
                "bucket_rank_position": int(rng.integers(1, 7)),
                "bucket": ("nano", "micro", "mid", "big")[rng.integers(4)],
                "timeframe": ("1h", "4h", "1d")[rng.integers(3)],
                "A_mode": ("patient", "normal")[rng.integers(2)],
            }
            outcome = Outcome(
                outcome_id=f"{g}.{i}", trade_id=f"{g}.{i}", group=cells.group, module="pm", scope=scope,
                symbol="SIM", action_at_ms=opened_at_ms, opened_at_ms=opened_at_ms, closed_at_ms=closed_at_ms,
                rr=float(np.clip(rng.normal(), -10, 10)), rr_raw=0.0, rr_capped=False, return_frac=0.0,
                max_drawdown_frac=0.0, payback_ms=None, revision=0, first_of_trade=True, first_of_category=True,
                controls=Controls(),
            )  # fmt: skip
            cells.put(outcome, -(-closed_at_ms // RULES.epoch_ms) * RULES.epoch_ms)
    return groups


@contextmanager
def taken(seconds: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - begun


def once(groups: list[GroupCells], views: list[GroupView]) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds of each part, and the bytes of what is sent."""
    seconds: dict[str, float] = {}
    means = dict(zip(range(START_MS // DAY_MS, END_MS // DAY_MS), repeat(0.01), strict=False))
    with taken(seconds, "regime weights: sums of all groups, daily"):
        pairs = zip(groups, views, strict=True)
        parts = [weight_sums(cells, view, means, END_MS, RULES) for cells, view in pairs]
    with taken(seconds, "regime weights: from the sums, daily"):
        weights = regime_weights(parts, None, END_MS)
    with taken(seconds, "regime weights: of all rows, each epoch"):
        of_rows = [weights_of_rows(weights, cells, view.rows) for cells, view in zip(groups, views, strict=True)]
    subsets = [enumerate_subsets(cells, view.rows, RULES, 3).codes for cells, view in zip(groups, views, strict=True)]
    inside = [view.clustered.postings.inside(codes) for view, codes in zip(views, subsets, strict=True)]
    with taken(seconds, "regime weights: of all subsets of 3 dimensions, each epoch"):
        for some, rows in zip(inside, of_rows, strict=True):
            mean_weights(some, rows)
    matched = [(views[i % GROUPS], np.flatnonzero(views[i % GROUPS].clustered.first)[i::2]) for i in range(LESSONS)]
    with taken(seconds, f"latent factors: sketches of {LESSONS} lessons, weekly"):
        sketches = [trade_sketch(view.clustered.trade[rows]) for view, rows in matched]
    lessons = [FactorMember(id=f"l{i}", created_at_ms=i, sketch=sketch) for i, sketch in enumerate(sketches)]
    with taken(seconds, f"latent factors: of {LESSONS} lessons, weekly"):
        factors(lessons, factors(lessons, {}))
    with taken(seconds, "latent factors: one new lesson"):
        redundant_with(sketches[0], lessons[1:])
    with taken(seconds, f"half-life: of {LESSONS} lessons, weekly"):
        for view, rows in matched:
            half_life(windows_of(rows, view.traded), 1.0)
    return seconds, {
        "sums": len(msgspec.json.encode(parts)),
        "weights": len(msgspec.json.encode(weights)),
        "keys": sum(map(len, weights.of.values())),
        "subsets": sum(map(len, subsets)),
    }


def main() -> None:
    groups = made()
    baselines = Baselines([baseline_sums(cells, END_MS, SEGMENT) for cells in groups])
    views = [group_view(cells, END_MS, baselines, SEGMENT) for cells in groups]
    once(groups, views)  # compiles, and fills the views, which an epoch shares
    runs = [once(groups, views) for _ in range(RUNS)]
    for name in runs[0][0]:
        print(f"{name:62s}{1000 * float(np.median([seconds[name] for seconds, _ in runs])):8.1f} ms")
    print(f"{'all':62s}{1000 * float(np.median([sum(seconds.values()) for seconds, _ in runs])):8.1f} ms")
    print(", ".join(f"{name} {number:,}" for name, number in runs[0][1].items()), "(sums and weights in bytes)")


if __name__ == "__main__":
    main()
