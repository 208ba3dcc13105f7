"""Every tracked subset of a group with its statistics, at an epoch or when asked (spec section 6)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from learning.baseline import Baselines
from learning.cells import RR_SCALE, GroupCells
from learning.clusters import ClusteredGroup
from learning.cube import enumerate_subsets
from learning.parameters import Parameters
from learning.statistics import SubsetStats, group_view, subset_stats
from leverloop.scope import ScopeSchema, ScopeValue

__all__ = ["Tracked", "tracked"]


class Tracked(msgspec.Struct, frozen=True, kw_only=True):
    """One tracked subset."""

    scope: dict[str, ScopeValue]
    effect_rr: float | None
    """Mean rr less that of the group's other trades; None where there are no others."""
    effect_error_rr: float | None
    """Its clustered error; None with a single cluster."""
    n_clusters: int
    stats: SubsetStats


def tracked(
    cells: GroupCells, epoch_at_ms: int, baselines: Baselines, parameters: Parameters, schema: ScopeSchema
) -> Iterator[Tracked]:
    """Tracked subsets of a group, n >= n_min(dims), up to the module's max_dims.

    Notes
    -----
    Source: spec section 6. Cost: O(subsets x rows); thousands of subsets take seconds.
    """
    module = schema.modules[cells.module]
    view = group_view(cells, epoch_at_ms, baselines, module.segment)
    cube = enumerate_subsets(cells, view.rows, parameters, module.max_dims)
    rr = view.rr_q / RR_SCALE
    found = ClusteredGroup(cells, view.rows).effects(cube.codes, rr, rr)
    for i, codes in enumerate(cube.codes):
        scope = cells.scope_of(codes)
        stats = subset_stats(view, cells.matching(scope, view.rows), parameters)
        if stats is not None:
            yield Tracked(
                scope=scope,
                effect_rr=_known(found.effect_rr[i]),
                effect_error_rr=_known(found.error_rr[i]),
                n_clusters=int(found.n_clusters[i]),
                stats=stats,
            )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
