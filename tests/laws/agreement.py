"""Statistics of a group beside the brute force: every field, subset after subset."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from learning.parameters import Parameters
from learning.statistics import GroupStats, tracked_stats
from leverloop.scope import ScopeSchema
from tests.laws.brute_force import BruteForce, Row, Subset, tracked
from tests.laws.brute_windows import HalfLife
from tests.laws.feeding import Groups, baselines_of

__all__ = ["all_tracked", "differences", "disagreements", "subset_of"]


def all_tracked(groups: Groups, epoch_at_ms: int, parameters: Parameters, schema: ScopeSchema) -> dict[str, GroupStats]:
    """Statistics of all tracked subsets of all groups."""
    baselines = baselines_of(groups, epoch_at_ms, schema)
    return {
        name: tracked_stats(cells, epoch_at_ms, baselines, parameters, schema) for name, cells in sorted(groups.items())
    }


def subset_of(scope: Mapping[str, Any]) -> Subset:
    return tuple(sorted(scope.items()))


def differences(stats: GroupStats, i: int, expected: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields of one subset that differ: name -> (found, expected)."""
    wanted = {name: value for name, value in expected.items() if name != "undecided"}
    assert set(wanted) | {"codes", "levels"} == set(GroupStats.__struct_fields__), "a field that nobody compares"
    wrong = {}
    for name, value in wanted.items():
        found = getattr(stats, name)[i].item()
        if name == "rr_baseline_level":
            found = stats.levels[found]
        if name not in expected["undecided"] and not _same(name, found, value):
            wrong[name] = (found, value)
    return wrong


def _same(name: str, found: Any, expected: Any) -> bool:
    if expected is None:
        return math.isnan(found)
    if isinstance(expected, str | int):
        return bool(found == expected)
    if isinstance(expected, HalfLife):
        return _same_half_life(found, expected)
    # Counterfactuals are kept as 32-bit floats.
    relative = 1e-6 if name in {"missed_entry_rr", "missed_exit_rr"} else 1e-9
    return math.isclose(found, expected, rel_tol=relative, abs_tol=1e-9)


def _same_half_life(found: float, expected: HalfLife) -> bool:
    """Equal, or as good a fit: between windows a week apart, one hour and two are the same curve."""
    if math.isclose(found, expected.hours, rel_tol=1e-4):
        return True
    if expected.cost is None:
        return False
    best = expected.cost(expected.hours)
    return expected.cost(found) <= best + 1e-9 * max(best, 1.0)


def disagreements(
    groups: Groups,
    rows: Iterable[Row],
    epoch_at_ms: int,
    parameters: Parameters,
    schema: ScopeSchema,
    *,
    every: int = 1,
) -> tuple[int, list[Any]]:
    """Compare every so-manieth tracked subset; return how many were compared, and what differs.

    That the tracked subsets are the right ones is compared for all of them.
    """
    counted = [row for row in rows if row.closed_at_ms <= epoch_at_ms]
    brute = BruteForce(counted, parameters.recurrence_tau_days)
    compared, wrong = 0, []
    for name, stats in all_tracked(groups, epoch_at_ms, parameters, schema).items():
        cells = groups[name]
        scopes = [cells.scope_of(codes) for codes in stats.codes]
        max_dims = schema.modules[cells.module].max_dims
        assert {subset_of(scope) for scope in scopes} == set(tracked(counted, name, max_dims, parameters.n_min_by_dims))
        assert len({subset_of(scope) for scope in scopes}) == len(scopes), f"{name}: a subset twice"
        for i in range(0, len(scopes), every):
            compared += 1
            if found := differences(stats, i, brute.statistics(name, scopes[i])):
                wrong.append((name, scopes[i], found))
    return compared, wrong
