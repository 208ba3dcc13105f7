"""Which of many subsets a peer calls lessons: pure functions of what was tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control

from benchmarks.peers.observations import N_MIN, Group, Subsets, p_of_trades
from leverloop.scope import Scope

__all__ = ["ALPHA", "METHODS", "simplest"]

ALPHA: Final = 0.05
Kept = npt.NDArray[np.bool_]


def simplest(kept: Kept, group: npt.NDArray[np.int64], scope: Sequence[Scope], sign: npt.NDArray[np.float64]) -> Kept:
    """What is left when a subset goes that refines a kept one of its group and direction.

    Examples
    --------
    >>> scopes = [{"bucket": "micro"}, {"bucket": "micro", "timeframe": "1h"}, {"timeframe": "1h"}]
    >>> simplest(np.ones(3, bool), np.zeros(3, int), scopes, np.array([1.0, 1.0, -1.0])).tolist()
    [True, False, True]
    """
    known: dict[tuple[int, float], list[Scope]] = {}
    left = np.zeros(len(kept), dtype=np.bool_)
    for i in sorted(np.flatnonzero(kept).tolist(), key=lambda i: len(scope[i])):
        simpler = known.setdefault((int(group[i]), float(sign[i])), [])
        left[i] = not any(s.items() < scope[i].items() for s in simpler)
        if left[i]:
            simpler.append(scope[i])
    return left


def _simplest(found: Subsets, kept: Kept) -> Kept:
    return simplest(kept, found.group, found.scope, np.sign(found.effect_rr))


def _t_test(groups: list[Group], found: Subsets) -> Kept:
    return p_of_trades(groups, found) <= ALPHA


def _discoveries(found: Subsets, method: Literal["bh", "by"]) -> Kept:
    return _simplest(found, false_discovery_control(found.p_days, method=method) <= ALPHA)


METHODS: Final[dict[str, Callable[[list[Group], Subsets], Kept]]] = {
    "every subset with n >= 33": lambda _, found: found.n >= N_MIN,
    "t-test at 5 %": _t_test,
    "t-test at 5 %, simplest scope": lambda groups, found: _simplest(found, _t_test(groups, found)),
    "Benjamini-Hochberg, day clusters, simplest scope": lambda _, found: _discoveries(found, "bh"),
    "Benjamini-Yekutieli, day clusters, simplest scope": lambda _, found: _discoveries(found, "by"),
}
"""Peers of our own making, by the name of their row."""
