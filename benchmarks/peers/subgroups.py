"""pysubgroup on the groups of a stream. Runs by an interpreter of its own: it wants NumPy below 2.

    python subgroups.py GROUPS.json

GROUPS.json is a list of {"group", "dimensions", "codes": [[...], ...], "rr": [...]}, one row a trade. Prints
{method: {"seconds", "found": [[group, {dimension: code}, direction], ...]}}.

Each group is searched twice, for high rr and for low, as the library looks for what is high. rr is shifted
to be positive, which changes no difference of means: the generalization-aware measure takes a mean of 0 for the least.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pandas as pd
import pysubgroup as ps

N_MIN = 33
DEPTH = 2
ALPHA = 0.05
SHIFT = 100.0
MANY = 100_000
Search = Callable[[Any, list[Any], int], Any]
Found = tuple[str, dict[str, int], int]


def top(k: int) -> Search:
    """Return a search for the k best by size ** 0.5 * (mean less the best generalization's mean)."""

    def task(data: Any, selectors: list[Any], _tests: int) -> Any:
        quality = ps.GeneralizationAware_StandardQFNumeric(0.5)
        return _task(data, selectors, quality, k, 0.0)

    return task


def tested(data: Any, selectors: list[Any], tests: int) -> Any:
    """Return a search for all whose t-score passes 5 % after Bonferroni, over both sides and all groups."""
    least = NormalDist().inv_cdf(1.0 - ALPHA / (2 * tests))
    return _task(data, selectors, ps.StandardQFNumericTscore(), MANY, least)


def _task(data: Any, selectors: list[Any], quality: Any, k: int, least: float) -> Any:
    return ps.SubgroupDiscoveryTask(
        data,
        ps.NumericTarget("rr"),
        selectors,
        qf=quality,
        result_set_size=k,
        depth=DEPTH,
        min_quality=least,
        constraints=[ps.MinSupportConstraint(N_MIN)],
    )


def frames(group: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Return (direction, rows) for both sides of a group."""
    codes = pd.DataFrame(group["codes"], columns=group["dimensions"])
    for direction in (1, -1):
        yield direction, codes.assign(rr=[SHIFT + direction * rr for rr in group["rr"]])


def selectors_of(data: Any) -> list[Any]:
    """Return dimension = value, for every value."""
    dimensions = [name for name in data.columns if name != "rr"]
    return [ps.EqualitySelector(name, int(v)) for name in dimensions for v in sorted(data[name].unique()) if v]


def subsets_in(data: Any) -> int:
    """Return the number of subsets with enough trades, that is tests."""
    names = [name for name in data.columns if name != "rr"]
    keys = [[name] for name in names] + [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]]
    return sum(int((data.groupby(key).size() >= N_MIN).sum()) for key in keys)


def described(conjunction: Any) -> dict[str, int]:
    """Return {dimension: code} of a subgroup."""
    return {str(s.attribute_name): int(s.attribute_value) for s in conjunction.selectors}


def simplest(found: Sequence[Found]) -> list[Found]:
    """Return what is left when a subgroup goes that refines another of its group and direction."""
    return [
        (group, scope, direction)
        for group, scope, direction in found
        if not any(g == group and d == direction and s.items() < scope.items() for g, s, d in found)
    ]


def searched(groups: list[dict[str, Any]], make: Search) -> dict[str, Any]:
    """Return what a method finds in all groups, and the seconds that it takes."""
    begun = time.perf_counter()
    found: list[Found] = []
    tests = sum(subsets_in(next(frames(group))[1]) for group in groups)
    for group in groups:
        for direction, data in frames(group):
            results = ps.SimpleDFS().execute(make(data, selectors_of(data), tests))
            found += [(group["group"], described(conjunction), direction) for _, conjunction, *_ in results.results]
    if make is tested:  # the other measure has looked at what a subgroup refines
        found = simplest(found)
    return {"seconds": time.perf_counter() - begun, "found": found}


def main() -> None:
    """Search."""
    groups = json.loads(Path(sys.argv[1]).read_text())
    methods = {
        "pysubgroup, generalization-aware, best of each side": top(1),
        "pysubgroup, generalization-aware, best 3 of each side": top(3),
        "pysubgroup, t-score after Bonferroni, simplest scope": tested,
    }
    print(json.dumps({name: searched(groups, make) for name, make in methods.items()}))


if __name__ == "__main__":
    main()
