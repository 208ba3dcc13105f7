"""Adds by the state of their pattern: which of S1, S2, S3 adds well, against adds in any (spec section 8).

A family's patterns lie in many groups, so each group gives sums by day, and sums are added up: how they are
put together does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from learning.cells import RR_SCALE, GroupCells, day_of
from learning.clusters import block_days
from learning.evidence import shrunk
from learning.execution.findings import LeverEvidence
from learning.execution.means import Means, interval, upper_p
from learning.parameters import Parameters
from leverloop.levers import LEVERS

__all__ = ["FamilyScaling", "StateDay", "passing", "scalings", "state_days", "state_of"]

_STATES: Final = ("S1", "S2", "S3")
_FEWEST_CLUSTERS: Final = 2


class StateDay(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Trades of one day whose first add was in one state of a family."""

    family: str
    """Module and family, such as ``pm.uptrend``."""
    state: str
    day: int
    n: int
    rr_q: int
    """Sum of rr in 1e-5 R: exact, free of order."""


class FamilyScaling(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence of ``phase_scaling`` of one state, for the adds of all patterns of a family in it."""

    family: str
    state: str
    evidence: LeverEvidence
    """Two-sided p; an effect below 0 speaks for adding less."""


def state_of(group: str) -> tuple[str, str] | None:
    """Family and state of a group of adds in one of the states, else None.

    Examples
    --------
    >>> state_of("pm.uptrend.S1.scale_in|add"), state_of("pm.uptrend.S0.exit|exit")
    (('pm.uptrend', 'S1'), None)
    """
    pattern_key, _, category = group.rpartition("|")
    module, family, state, _ = pattern_key.split(".")
    return (f"{module}.{family}", state) if category == "add" and state in _STATES else None


def state_days(cells: GroupCells, rows: npt.NDArray[np.int64], rr: npt.NDArray[np.float64]) -> tuple[StateDay, ...]:
    """Sums of one group, empty unless it is of adds in one of the states.

    Parameters
    ----------
    cells, rows
        The group, and which of its rows.
    rr
        (n_rows,) what is compared, in R: the residual beside the lessons.

    Notes
    -----
    A trade counts once over all groups, with its first add: each trade is in one state, whatever it did after.
    Source: spec section 8.
    """
    place = state_of(cells.group)
    if place is None:
        return ()
    family, state = place
    first = cells.column("first_of_category", rows)
    days, inverse, n = np.unique(
        day_of(cells.column("closed_at_ms", rows[first])), return_inverse=True, return_counts=True
    )
    rr_q = np.zeros(len(days), dtype=np.int64)
    np.add.at(rr_q, inverse, np.rint(rr[first] * RR_SCALE).astype(np.int64))
    return tuple(
        StateDay(family=family, state=state, day=day, n=count, rr_q=total)
        for day, count, total in zip(days.tolist(), n.tolist(), rr_q.tolist(), strict=True)
    )


def scalings(parts: Iterable[StateDay], parameters: Parameters) -> tuple[FamilyScaling, ...]:
    """Evidence of every state of every family that has adds in another state too: all that was looked at.

    Parameters
    ----------
    parts
        Sums of all groups, in any order.
    parameters
        By which rules: `edge_ref` scales the target.

    Notes
    -----
    effect = mean of the state less mean of the pool, clustered by blocks of days as long as the pool's daily
    means are autocorrelated; target = exp(ln(max) * sign * tanh(abs(effect) / edge_ref) * confidence), as of a
    capital lever. Source: spec section 8.

    Examples
    --------
    >>> sums = {"S1": 400_000, "S2": 0}
    >>> days = [StateDay(family="pm.up", state=state, day=day, n=4, rr_q=rr_q + 100_000 * (day % 2))
    ...     for day in range(32) for state, rr_q in sums.items()]
    >>> [(found.state, found.evidence.effect_rr) for found in scalings(days, Parameters())]
    [('S1', 0.5), ('S2', -0.5)]
    """
    by_family: dict[str, dict[tuple[int, str], npt.NDArray[np.int64]]] = {}
    for part in parts:
        sums = by_family.setdefault(part.family, {})
        key = (part.day, part.state)
        sums[key] = sums.get(key, np.zeros(2, dtype=np.int64)) + np.array([part.n, part.rr_q])
    found: list[FamilyScaling] = []
    for family in sorted(by_family):
        sums = by_family[family]
        days, states = sorted({day for day, _ in sums}), sorted({state for _, state in sums})
        table = np.zeros((len(states), len(days), 2))
        for (day, state), both in sums.items():
            table[states.index(state), days.index(day)] = both
        table[:, :, 1] /= RR_SCALE
        for i, state in enumerate(states if len(states) > 1 else []):
            evidence = _evidence(state, np.array(days), table[i], table.sum(axis=0), parameters)
            if evidence is not None:
                found.append(FamilyScaling(family=family, state=state, evidence=evidence))
    return tuple(found)


def passing(looked_at: tuple[FamilyScaling, ...], alpha: float, parameters: Parameters) -> tuple[FamilyScaling, ...]:
    """Those beyond doubt after all that was looked at, if nothing else was.

    Notes
    -----
    Source: spec section 7, what a lesson needs.
    """
    return tuple(
        each
        for each in looked_at
        if each.evidence.p_value * len(looked_at) <= alpha
        and abs(shrunk(each.evidence.effect_rr, each.evidence.error_rr)) >= parameters.effect_min_rr
        and each.evidence.n_clusters >= parameters.min_clusters
        and each.evidence.n >= parameters.lesson_n_min
    )


def _evidence(
    state: str,
    days: npt.NDArray[np.int64],
    own: npt.NDArray[np.float64],
    pool: npt.NDArray[np.float64],
    parameters: Parameters,
) -> LeverEvidence | None:
    """Evidence from (n_days, 2) trades and rr of the state and of all states."""
    blocks = (days - days[0]) // block_days(days, pool[:, 1] / pool[:, 0])
    n_own, n_pool = float(own[:, 0].sum()), float(pool[:, 0].sum())
    mean_own, mean_pool = float(own[:, 1].sum()) / n_own, float(pool[:, 1].sum()) / n_pool
    scores = (own[:, 1] - mean_own * own[:, 0]) / n_own - (pool[:, 1] - mean_pool * pool[:, 0]) / n_pool
    total = np.bincount(blocks, weights=scores)
    used = len(np.unique(blocks))
    elsewhere = len(np.unique(blocks[pool[:, 0] > own[:, 0]]))
    n_clusters = min(len(np.unique(blocks[own[:, 0] > 0])), elsewhere)
    if n_clusters < _FEWEST_CLUSTERS:
        return None
    effect, error = mean_own - mean_pool, float(np.sqrt((total**2).sum() * used / (used - 1)))
    means = Means(mean=np.array(abs(effect)), error=np.array(error), n=np.array(n_own), n_clusters=np.array(n_clusters))
    lever = LEVERS[f"phase_scaling.{state}"]
    sure = float(2.0 * ndtr(abs(shrunk(effect, error)) / error) - 1.0) if error > 0.0 else 0.0
    pull = math.copysign(math.tanh(abs(effect) / parameters.edge_ref), effect) * sure
    low, high = interval(effect, error, n_clusters)
    return LeverEvidence(
        lever=lever.name,
        target=min(max(math.exp(math.log(lever.high) * pull), lever.low), lever.high),
        n=int(n_own),
        n_clusters=n_clusters,
        effect_rr=effect,
        error_rr=error,
        ci_low=low,
        ci_high=high,
        added_rr=effect,
        p_value=min(2.0 * float(upper_p(means)), 1.0),
    )
