"""What the groups of one partition have to say at an epoch: tests of subsets, evidence for lessons.

A partition sees its own groups only. What needs all of them comes from the book's last decision: the
accepted lessons of every group (their effects are taken off each trade, so that an exit does not mirror
its entry), the baselines, and the mean rr of each day. Tests therefore use the outcomes that the last
decision knew of; counts and statistics use those of the epoch itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from learning.baseline import Baselines, baseline_sums
from learning.cells import GroupCells
from learning.clusters import REGIME
from learning.days import day_means, day_sums
from learning.epochs import DAILY_AT_ONE_MS, MONDAY_AT_THREE_MS, is_due
from learning.execution.phase_scaling import state_days, state_of
from learning.findings import SIZE_UNITS, Decided, Findings, GroupAdds, GroupTest
from learning.lessons import Evidence
from learning.parameters import DAY_MS, Parameters
from learning.regime_weights import GroupWeightSums, weight_sums
from learning.search import GroupSearch
from learning.statistics import group_view, subset_stats
from learning.tuning import GroupTuning
from leverloop.scope import ScopeSchema

__all__ = ["mine"]


def mine(
    groups: Mapping[str, GroupCells],
    epoch_at_ms: int,
    decided: Decided,
    *,
    partition: int,
    parameters: Parameters,
    schema: ScopeSchema,
) -> Findings:
    """Findings of one partition's groups at an epoch.

    Parameters
    ----------
    groups
        The partition's groups.
    epoch_at_ms
        The epoch that is over; later outcomes are left out.
    decided
        The decision of the epoch before.
    partition, parameters, schema
        Who speaks, and by which rules.

    Notes
    -----
    Source: spec sections 6 and 7. Cost: one pass over all rows, and a test of each group that has grown
    by 2 % or 20 trades, or of all when the lessons have changed.
    """
    ordered = [groups[name] for name in sorted(groups)]
    told = _Told(decided, Baselines(decided.baselines), day_means(decided.days))
    found = [_group(cells, epoch_at_ms, told, parameters, schema) for cells in ordered]
    outcomes = 0
    for cells in ordered:
        outcomes += int((cells.column("counts_from_ms", np.arange(cells.n)) <= epoch_at_ms).sum())
    days = day_sums(ordered, epoch_at_ms, decided.lessons)
    baselines_of = [baseline_sums(cells, epoch_at_ms, schema.modules[cells.module].segment) for cells in ordered]
    return Findings(
        partition=partition,
        epoch_at_ms=epoch_at_ms,
        outcomes=outcomes,
        trades=sum(n for _, n, _ in days),
        # A group that is known only by outcomes of later epochs is not there yet, in every interleaving.
        baselines=tuple(part for part in baselines_of if part.segments),
        days=days,
        tests=tuple(each.test for each in found if each.test is not None),
        evidence={name: evidence for each in found for name, evidence in each.evidence.items()},
        weight_sums=tuple(each.weight_sums for each in found if each.weight_sums is not None),
        adds=tuple(each.adds for each in found if each.adds is not None),
        moved_sizes=_moved_sizes(ordered, decided, epoch_at_ms),
        regimes_at_ms=_regimes(ordered, decided, epoch_at_ms),
    )


class _Told(NamedTuple):
    """The decision of the epoch before, and what is read from it once for all groups."""

    decided: Decided
    baselines: Baselines
    day_mean: dict[int, float]


class _Found(NamedTuple):
    """Of one group."""

    test: GroupTest | None = None
    evidence: dict[str, Evidence] = {}  # noqa: RUF012 - never changed
    weight_sums: GroupWeightSums | None = None
    adds: GroupAdds | None = None


def _group(cells: GroupCells, epoch_at_ms: int, told: _Told, parameters: Parameters, schema: ScopeSchema) -> _Found:
    decided, baselines, day_mean = told
    own = [lesson for lesson in decided.lessons if lesson.group == cells.group]
    levers = [lever for lever in decided.levers if lever.group == cells.group]
    trades = _trades(cells, epoch_at_ms)
    # Levers are searched once a week: nothing about them is urgent, and it takes as long as the search for lessons.
    tunes = cells.module == "pm" and is_due(epoch_at_ms, 7 * DAY_MS, MONDAY_AT_THREE_MS, parameters)
    due = _due(trades, decided.tested.get(cells.group), decided.lessons_version, parameters)
    due = due or (tunes and trades >= parameters.lesson_n_min)
    is_daily = is_due(epoch_at_ms, DAY_MS, DAILY_AT_ONE_MS, parameters)
    weighs = parameters.learns_regime_weights and is_daily
    adds = trades > 0 and state_of(cells.group) is not None and (tunes or (is_daily and _scales(cells, decided)))
    if not (due or own or levers or weighs or adds):
        return _Found()
    segment = schema.modules[cells.module].segment
    view = group_view(cells, epoch_at_ms, baselines, segment, decided.regime_weights)
    sums = weight_sums(cells, view, day_mean, decided.epoch_at_ms, parameters) if weighs else None
    if not (due or own or levers or adds):
        return _Found(weight_sums=sums)
    search = GroupSearch(cells, view, decided, parameters)
    test = search.test(trades) if due else None
    evidence = {lesson.id: search.weigh(lesson.scope, lesson) for lesson in own}
    if tunes or levers:
        tuning = GroupTuning(search, decided)
        evidence |= {lever.id: tuning.weigh(lever) for lever in levers}
        if tunes and test is not None:
            looked_at, found = tuning.test()
            test = msgspec.structs.replace(test, levers_tested_by_dims=looked_at, levers=found)
    known = {name: each for name, each in evidence.items() if each is not None}
    return _Found(test, known, sums, _adds(search) if adds else None)


def _scales(cells: GroupCells, decided: Decided) -> bool:
    """Whether a phase scaling stands in the family of a group of adds: then its adds are compared day by day."""
    place = state_of(cells.group)
    states = [state_of(lever.group) for lever in decided.levers if lever.basis == "state"]
    return place is not None and any(state is not None and state[0] == place[0] for state in states)


def _adds(search: GroupSearch) -> GroupAdds | None:
    cells = search.cells
    stats = subset_stats(search.view, cells.codes_of({}), search.parameters)
    if stats is None:
        return None
    return GroupAdds(group=cells.group, days=state_days(cells, search.rows, search.residual), stats=stats)


def _moved_sizes(groups: Sequence[GroupCells], decided: Decided, epoch_at_ms: int) -> tuple[int, int]:
    """How far sizes were moved over the last day, by today's lessons (spec section 8: the cap on the whole book).

    Lessons that match the same action are blended evenly here; the client blends them by weights of its own. Whole
    numbers, as floats would sum up to something else over other partitions.
    """
    n, moved = 0, 0
    for cells in groups:
        if cells.action_category in ("entry", "add"):
            every = np.arange(cells.n)
            closed_at_ms, counts_from_ms = cells.column("closed_at_ms", every), cells.column("counts_from_ms", every)
            of_the_day = (closed_at_ms > epoch_at_ms - DAY_MS) & (closed_at_ms <= epoch_at_ms)
            rows = np.flatnonzero(of_the_day & (counts_from_ms <= epoch_at_ms))
            logs, matches = np.zeros(len(rows)), np.zeros(len(rows))
            for lesson in decided.lessons:
                if lesson.group == cells.group and lesson.size_mult != 1.0:
                    hit = cells.matching(lesson.scope, rows)
                    logs += hit * math.log(lesson.size_mult)
                    matches += hit
            n += len(rows)
            mults = np.exp(logs / np.maximum(matches, 1.0))
            moved += int(np.rint(np.abs(mults - 1.0) * SIZE_UNITS).astype(np.int64).sum())
    return n, moved


def _regimes(groups: Sequence[GroupCells], decided: Decided, epoch_at_ms: int) -> dict[str, int]:
    """When the regime that each lesson pins was last seen in an action of any group of its module here."""
    seen: dict[str, int] = {}
    known = [(each.id, each.group, each.scope) for each in decided.lessons]
    known += [(each.id, each.group, each.scope) for each in decided.levers]
    for name, group, scope in known:
        regime = {dimension: value for dimension, value in scope.items() if dimension in REGIME}
        module = group.partition(".")[0]
        for cells in groups if regime else ():
            if cells.module == module:
                rows = np.arange(cells.n)
                rows = rows[(cells.column("counts_from_ms", rows) <= epoch_at_ms) & cells.matching(regime, rows)]
                last = int(cells.column("action_at_ms", rows).max(initial=0))
                seen[name] = max(seen.get(name, 0), last)
    return seen


def _trades(cells: GroupCells, epoch_at_ms: int) -> int:
    rows = np.arange(cells.n)
    return len(np.unique(cells.column("trade", rows)[cells.column("counts_from_ms", rows) <= epoch_at_ms]))


def _due(trades: int, last: tuple[int, int] | None, lessons_version: int, parameters: Parameters) -> bool:
    """Whether a group is tested: it has grown by 2 % or 20 trades, or the lessons have changed."""
    if trades < parameters.lesson_n_min:
        return False
    if last is None or last[1] != lessons_version:
        return True
    return parameters.has_grown(last[0], trades)
