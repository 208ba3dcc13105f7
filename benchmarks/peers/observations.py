"""What every peer looks at: the outcomes of a stream by group, and the subsets of up to two dimensions.

A subset's effect is ours (docs/statistics.md): mean rr of its trades less that of the group's other trades,
each trade once. Peers look once, at the end of the stream, at everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import ttest_ind_from_stats

from learning.attribution import Trade, outcomes
from learning.cells import GroupCells, day_of
from learning.evidence import effects, p_values
from learning.outcome import Outcome
from learning.parameters import Parameters
from learning.postings import Postings
from leverloop.events import ActionLogged, parse_action, parse_trade
from leverloop.scope import DEFAULT_SCHEMA, Scope

__all__ = ["MOST_DIMS", "N_MIN", "Group", "Subsets", "groups_of", "lesson", "p_of_trades", "subsets_of"]

N_MIN: Final = 33
"""Distinct trades of a subset that any peer looks at: spec section 7's table."""
MOST_DIMS: Final = 2
_FAR_FUTURE_MS: Final = 2**53


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a group, those of a trade together."""

    cells: GroupCells
    codes: npt.NDArray[np.int32]
    trade: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    rr: npt.NDArray[np.float64]


class Subsets(msgspec.Struct, frozen=True, kw_only=True):
    """Subsets of all groups, each field (n_subsets,)."""

    group: npt.NDArray[np.int64]
    """Index of the group."""
    scope: list[Scope]
    n: npt.NDArray[np.int64]
    effect_rr: npt.NDArray[np.float64]
    p_days: npt.NDArray[np.float64]
    """That the effect is none, with errors clustered by the day of the close."""


def groups_of(folder: Path) -> list[Group]:
    """Read a stream, by the rules that we read it by."""
    actions: dict[str, dict[str, ActionLogged]] = {}
    for line in (folder / "actions.jsonl").open("rb"):
        action = parse_action(line, received_at_ms=_FAR_FUTURE_MS, schema=DEFAULT_SCHEMA)
        actions.setdefault(action.trade_id, {})[action.action_id] = action
    cells: dict[str, GroupCells] = {}
    for line in (folder / "trades.jsonl").open("rb"):
        close = parse_trade(line, received_at_ms=_FAR_FUTURE_MS)
        for outcome in outcomes(Trade(actions=actions[close.trade_id], close=close), Parameters()):
            assert isinstance(outcome, Outcome)
            if outcome.group not in cells:
                cells[outcome.group] = GroupCells(outcome.group, outcome.module, DEFAULT_SCHEMA)
            cells[outcome.group].put(outcome, 0)
    return [_group(cells[name]) for name in sorted(cells)]


def subsets_of(groups: list[Group]) -> Subsets:
    """Every subset of up to two dimensions with enough trades, with what it is tested by."""
    parts = [_tested(group) for group in groups]
    return Subsets(
        group=np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]),
        scope=[group.cells.scope_of(row) for group, part in zip(groups, parts, strict=True) for row in part[0]],
        n=np.concatenate([part[1] for part in parts]),
        effect_rr=np.concatenate([part[2] for part in parts]),
        p_days=np.concatenate([part[3] for part in parts]),
    )


def p_of_trades(groups: list[Group], subsets: Subsets) -> npt.NDArray[np.float64]:
    """Welch's test of the same two means, trades taken as independent: (n_subsets,) float64."""
    return np.concatenate(
        [
            _welch(group, [scope for scope, at in zip(subsets.scope, subsets.group, strict=True) if at == i])
            for i, group in enumerate(groups)
        ]
    )


def lesson(group: str, scope: Scope, effect_rr: float) -> dict[str, Any]:
    """Lesson as score.py reads it."""
    key, _, category = group.rpartition("|")
    return {"pattern_key": key, "action_category": category, "scope": scope, "direction": 1 if effect_rr > 0 else -1}


def _group(cells: GroupCells) -> Group:
    rows = cells.counted(_FAR_FUTURE_MS)
    return Group(
        cells=cells,
        codes=np.ascontiguousarray(cells.codes(rows).astype(np.int32)),
        trade=cells.column("trade", rows),
        day=day_of(cells.column("closed_at_ms", rows)),
        rr=cells.column("rr_q", rows) / 1e5,
    )


def _tested(group: Group) -> tuple[Any, ...]:
    subsets = np.array(list(_subsets(group.codes)), dtype=np.int32)
    clusters = group.day - group.day.min()
    found = effects(group.codes, group.trade, group.rr, clusters, subsets)
    kept = (found.n >= N_MIN) & (len(np.unique(group.trade)) - found.n >= N_MIN)
    subsets = subsets[kept]
    p_days = p_values(found)[kept]
    return subsets, found.n[kept], found.effect_rr[kept], p_days


def _subsets(codes: npt.NDArray[np.int32]) -> Iterator[npt.NDArray[np.int32]]:
    """Yield all combinations of values that occur, in up to two dimensions."""
    for k in range(1, MOST_DIMS + 1):
        for dims in combinations(range(codes.shape[1]), k):
            for values in np.unique(codes[:, dims], axis=0):
                if values.all():
                    row = np.zeros(codes.shape[1], dtype=np.int32)
                    row[list(dims)] = values
                    yield row


def _welch(group: Group, scopes: list[Scope]) -> npt.NDArray[np.float64]:
    if not scopes:
        return np.zeros(0)
    inside = Postings(group.codes, group.trade).inside(np.array([group.cells.codes_of(scope) for scope in scopes]))
    first = np.ones(len(group.trade), dtype=np.bool_)
    first[1:] = group.trade[1:] != group.trade[:-1]
    # Sums of each subset, and what they leave of the group's.
    powers = [np.ones(len(group.rr)), group.rr, group.rr**2]
    within = np.array([np.add.reduceat(power[inside.rows], inside.start[:-1]) for power in powers])
    beyond = np.array([[power[first].sum()] for power in powers]) - within
    stats = [part for n, one, two in (within, beyond) for part in (one / n, np.sqrt((two - one**2 / n) / (n - 1)), n)]
    return np.asarray(ttest_ind_from_stats(*stats, equal_var=False).pvalue)
