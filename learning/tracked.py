"""Every tracked subset of a group with its statistics, at an epoch or when asked (spec section 6)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from learning.baseline import Baselines
from learning.cells import GroupCells
from learning.parameters import Parameters
from learning.statistics import SubsetStats, tracked_stats
from leverloop.scope import ScopeSchema, ScopeValue

__all__ = ["Tracked", "tracked"]


class Tracked(msgspec.Struct, frozen=True, kw_only=True):
    """One tracked subset."""

    scope: dict[str, ScopeValue]
    stats: SubsetStats


def tracked(
    cells: GroupCells, epoch_at_ms: int, baselines: Baselines, parameters: Parameters, schema: ScopeSchema
) -> Iterator[Tracked]:
    """Tracked subsets of a group one by one, for whoever writes them down.

    Notes
    -----
    Source: spec section 6.
    """
    stats = tracked_stats(cells, epoch_at_ms, baselines, parameters, schema)
    for i, codes in enumerate(stats.codes):
        yield Tracked(scope=cells.scope_of(codes), stats=stats.row(i))
