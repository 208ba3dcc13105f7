"""Compiled code, ready before it is needed: Numba compiles a function when it is first called, once per machine."""

from __future__ import annotations

from typing import Final

import numpy as np

from learning.factors import jaccard
from learning.findings import AcceptedLesson, Decided, StandingLever
from learning.half_life import Windows, half_life
from learning.outcome import Companion, Outcome
from learning.packing import PackedRows
from learning.parameters import DAY_MS, HOUR_MS, Parameters
from learning.partition import OutcomesPartition
from leverloop.events import Controls, Counterfactual
from leverloop.scope import DEFAULT_SCHEMA

__all__ = ["compile_kernels"]

_GROUP: Final = "pm.none.none.none|entry"
_TRADES: Final = 60
_MONDAY_MS: Final = 60 * DAY_MS + 6 * HOUR_MS
"""An epoch at which everything is due that is learned daily or weekly."""


def compile_kernels() -> None:
    """Compile every kernel, or load it from the cache: half a minute the first time, a second or two after that.

    It does so by what a partition does in its life, on a few dozen outcomes.

    Examples
    --------
    >>> compile_kernels()
    """
    partition = OutcomesPartition(0, ("none/0",), Parameters(n_min_by_dims=(2,)), DEFAULT_SCHEMA)
    for i in range(_TRADES):
        partition.put(_outcome(i, 0), DAY_MS)
        if i == _TRADES // 2:
            partition.promote()
    partition.put(_outcome(0, 1), DAY_MS)
    partition.remove("1")
    other = OutcomesPartition(0, (), Parameters(), DEFAULT_SCHEMA)
    other.load(PackedRows.of(list(partition.rows())))
    lesson = AcceptedLesson(id="none", group=_GROUP, scope={"bucket": "micro"}, effect_rr=1.0)
    lever = StandingLever(
        id="lever", group=_GROUP, scope={}, lever="entry_delay_bars", target=1.0, created_at_ms=_TRADES // 2 * DAY_MS
    )
    partition.mined(_MONDAY_MS, Decided(epoch_at_ms=_MONDAY_MS, lessons=(lesson,), levers=(lever,)))
    weeks = np.arange(6.0)
    half_life(Windows(at_days=7.0 * weeks, effect_rr=2.0**-weeks, n=np.full(6, 20.0)), 1.0)
    jaccard((1, 2), (1, 3))


def _outcome(i: int, revision: int) -> Outcome:
    scope = {"bucket": ("micro", "mid")[i // 4 % 2], "timeframe": "1h", "macro_phase": ("Dip", "Good")[i // 20 % 2]}
    at_ms = i * DAY_MS
    return Outcome(
        outcome_id=str(i),
        trade_id=str(i // 2),
        group=_GROUP,
        module="pm",
        scope=dict(scope),
        symbol="none",
        action_at_ms=at_ms,
        opened_at_ms=at_ms,
        closed_at_ms=at_ms,
        rr=float(i % 3 + i % 2 + revision),
        rr_raw=1.0,
        rr_capped=False,
        return_frac=0.0,
        max_drawdown_frac=0.0,
        payback_ms=None,
        revision=revision,
        first_of_trade=True,
        first_of_category=True,
        controls=Controls(signals={"TS": 0.5}),
        counterfactual=Counterfactual(deltas={"entry_delay_bars": {"1": float(i % 2)}}),
        companions=(Companion(group=_GROUP, scope=dict(scope)),),
    )
