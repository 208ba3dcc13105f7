"""Which planted deltas the execution levers at the end are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from benchmarks.lessons.replayed import Moved
from leverloop.levers import LEVERS

__all__ = ["Deltas", "deltas"]


class Deltas(msgspec.Struct, frozen=True, kw_only=True):
    """Execution levers off neutral at the end, by what they are about."""

    planted: int
    found: int
    """Planted deltas that some lever is about."""
    about: list[Moved]
    others: list[Moved]
    """Levers about nothing that was planted."""


def deltas(moved: Iterable[Moved], planted: Sequence[dict[str, Any]]) -> Deltas:
    """Compare levers with the planted deltas (truth.json).

    A lever is about a delta of its group and lever if one scope contains the other, and if it has moved from
    neutral toward the planted value: it takes small steps, and need not be there yet.
    """
    levers = list(moved)
    hits = [[_about(lever, delta) for delta in planted] for lever in levers]
    return Deltas(
        planted=len(planted),
        found=sum(any(row[i] for row in hits) for i in range(len(planted))),
        about=[lever for lever, row in zip(levers, hits, strict=True) if any(row)],
        others=[lever for lever, row in zip(levers, hits, strict=True) if not any(row)],
    )


def _about(lever: Moved, delta: dict[str, Any]) -> bool:
    neutral = LEVERS[lever.lever].neutral
    same = lever.group == f"{delta['pattern_key']}|{delta['action_category']}" and lever.lever == delta["lever"]
    nested = lever.scope.items() <= delta["scope"].items() or delta["scope"].items() <= lever.scope.items()
    toward = neutral is not None and (lever.value - neutral) * (float(delta["value"]) - neutral) > 0.0
    return same and nested and toward
