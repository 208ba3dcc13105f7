"""Questions to the statistics of one group: one subset, its parents and children, the first by any number.

Nothing here changes anything: a `GroupQueries` is a view of a group's columns at one epoch. The tracked
subsets are counted once, with the first question that needs them all; what is not tracked is counted when
it is asked for. Answers to the same question are the same whichever way they were counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from learning.baseline import Baselines
from learning.cells import GroupCells
from learning.cube import enumerate_subsets
from learning.parameters import Parameters
from learning.regimes import NEUTRAL, RegimeWeights
from learning.statistics import GroupStats, GroupView, SubsetStats, group_view, tracked_stats, view_stats
from leverloop.errors import BadInput
from leverloop.scope import Scope, ScopeSchema, ScopeValue

__all__ = ["COLUMNS", "Direction", "GroupQueries", "Subset"]

Direction = Literal["descending", "ascending"]

COLUMNS: Final = tuple(
    name for name in GroupStats.__struct_fields__ if name not in ("codes", "levels", "rr_baseline_level")
)
"""Names that subsets can be ordered by: every number of `GroupStats`."""

_WHOLE_GROUP: Final[Scope] = {}


class Subset(msgspec.Struct, frozen=True, kw_only=True):
    """One subset of a group with its statistics."""

    scope: dict[str, ScopeValue]
    tracked: bool
    """Whether enough distinct trades fall into it, n >= n_min(dims), and it is no larger than max_dims."""
    stats: SubsetStats
    """Of a subset that nothing falls into: n is 0, everything else is not known."""


class GroupQueries:
    """Statistics of one group as of one epoch, to be asked.

    Parameters
    ----------
    cells
        The group. While it changes, answers are neither of before nor of after: ask under the same lock,
        thread or loop that changes it, or ask a copy.
    epoch_at_ms
        Outcomes that count from a later epoch are left out.
    baselines
        Of all groups, as the book's last decision has them.
    parameters, schema
        The rules.
    weights
        Regime weights, as of the same decision.

    Notes
    -----
    Source: spec section 6. Costs, with r rows of the group and s tracked subsets: the first question for
    children or a top counts all tracked subsets (`tracked_stats`); after it a tracked subset is one look-up
    in a dictionary by its codes, children are O(s) and a top O(s log s), both in NumPy. A subset that is not
    counted yet costs what `view_stats` of it costs, and the first of them O(r log r) for the view.
    """

    def __init__(
        self,
        cells: GroupCells,
        epoch_at_ms: int,
        baselines: Baselines,
        parameters: Parameters,
        schema: ScopeSchema,
        weights: RegimeWeights = NEUTRAL,
    ) -> None:
        self.cells, self.epoch_at_ms = cells, epoch_at_ms
        self._baselines, self._parameters, self._schema, self._weights = baselines, parameters, schema, weights

    @cached_property
    def tracked(self) -> GroupStats:
        """Every tracked subset, the group itself not among them. Counted once."""
        return tracked_stats(
            self.cells, self.epoch_at_ms, self._baselines, self._parameters, self._schema, self._weights
        )

    @property
    def n_tracked(self) -> int:
        """How many subsets are tracked. Where they are not counted yet, only found: their statistics cost more."""
        if "tracked" in self.__dict__:
            return len(self.tracked)
        max_dims = self._schema.modules[self.cells.module].max_dims
        return len(enumerate_subsets(self.cells, self._view.rows, self._parameters, max_dims).codes)

    def point(self, scope: Mapping[str, ScopeValue]) -> Subset:
        """One subset, tracked or not; ``{}`` is the group itself.

        Raises
        ------
        BadInput
            For a dimension that the module does not have.
        """
        return self._subsets([self._ordered(scope)])[0]

    def parents(self, scope: Mapping[str, ScopeValue]) -> list[Subset]:
        """Every subset that pins one dimension less, tracked or not, the first dimension left out first."""
        pinned = self._ordered(scope)
        return self._subsets([{name: pinned[name] for name in pinned if name != left_out} for left_out in pinned])

    def children(self, scope: Mapping[str, ScopeValue]) -> list[Subset]:
        """Tracked subsets that pin the same and one dimension more, in scope order."""
        rows = self._within(scope, dims=len(scope) + 1)
        return self._of_tracked(rows[np.argsort(self._rank[rows])])

    def top(
        self,
        count: int,
        by: str = "edge_raw",
        direction: Direction = "descending",
        *,
        min_n: int = 0,
        dims: int | None = None,
        within: Mapping[str, ScopeValue] = _WHOLE_GROUP,
    ) -> list[Subset]:
        """First tracked subsets by one of their numbers.

        Parameters
        ----------
        count
            At most so many, at least 0.
        by
            One of `COLUMNS`. Where the number is not known, a subset comes after all where it is.
        direction
            Largest first or smallest first. Equal ones stand in scope order either way.
        min_n
            Only subsets with so many distinct trades.
        dims
            Only subsets with so many dimensions.
        within
            Only subsets that pin this and perhaps more.

        Raises
        ------
        BadInput
            For a name that is none of `COLUMNS`, with all of them, and for a dimension the module does not have.
        """
        if by not in COLUMNS:
            raise BadInput("by", f"one of {', '.join(COLUMNS)}", by)
        rows = self._within(within, dims=dims)
        rows = rows[self.tracked.n[rows] >= min_n]
        value = getattr(self.tracked, by)[rows]
        # NaN sorts last, and so does its negative.
        order = np.lexsort((self._rank[rows], -value.astype(np.float64) if direction == "descending" else value))
        return self._of_tracked(rows[order[: max(count, 0)]])

    def _within(self, scope: Mapping[str, ScopeValue], *, dims: int | None) -> npt.NDArray[np.int64]:
        """Rows of the tracked subsets that pin a scope, of a number of dimensions if one is given."""
        codes = self.cells.codes_of(self._ordered(scope))
        pinned = np.flatnonzero(codes)
        hit = (self.tracked.codes[:, pinned] == codes[pinned]).all(axis=1)
        if dims is not None:
            hit &= self._dims == dims
        return np.flatnonzero(hit)

    def _of_tracked(self, rows: npt.NDArray[np.int64]) -> list[Subset]:
        return [self._subset(self.cells.scope_of(self.tracked.codes[row]), self.tracked, row) for row in rows.tolist()]

    def _subsets(self, scopes: Sequence[Scope]) -> list[Subset]:
        """Any subsets: those that are counted already from there, the others counted together."""
        if not scopes:
            return []
        known = self._rows if "tracked" in self.__dict__ else {}
        codes = [self.cells.codes_of(scope) for scope in scopes]
        unknown = [code for code in codes if code.tobytes() not in known]
        fresh = iter(range(len(unknown)))
        counted = self._counted(np.array(unknown)) if unknown else self.tracked
        return [
            self._subset(scope, counted, next(fresh)) if row is None else self._subset(scope, self.tracked, row)
            for scope, row in zip(scopes, [known.get(code.tobytes()) for code in codes], strict=True)
        ]

    def _counted(self, codes: npt.NDArray[np.int32]) -> GroupStats:
        return view_stats(self._view, codes, self._parameters)

    def _subset(self, scope: Scope, stats: GroupStats, row: int) -> Subset:
        dims, largest = len(scope), self._schema.modules[self.cells.module].max_dims
        tracked = 0 < dims <= largest and int(stats.n[row]) >= self._parameters.n_min(dims)
        return Subset(scope=scope, tracked=tracked, stats=stats.row(row))

    def _ordered(self, scope: Mapping[str, ScopeValue]) -> Scope:
        """Return the scope in the order of its dimensions, or BadInput for one that the module does not have."""
        for name in scope:
            if name not in self.cells.dimensions:
                raise BadInput(f"scope.{name}", f"a dimension of {', '.join(self.cells.dimensions)}", name)
        return {name: scope[name] for name in self.cells.dimensions if name in scope}

    @cached_property
    def _view(self) -> GroupView:
        segment = self._schema.modules[self.cells.module].segment
        return group_view(self.cells, self.epoch_at_ms, self._baselines, segment, self._weights)

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        """Row of each tracked subset by the bytes of its codes."""
        codes = np.ascontiguousarray(self.tracked.codes, dtype=np.int32)
        return {code.tobytes(): row for row, code in enumerate(codes)}

    @cached_property
    def _dims(self) -> npt.NDArray[np.int64]:
        return np.asarray((self.tracked.codes != 0).sum(axis=1), dtype=np.int64)

    @cached_property
    def _rank(self) -> npt.NDArray[np.int64]:
        """Place of each tracked subset in scope order: by its values, dimension by dimension."""
        order = self.cells.ordered(self.tracked.codes)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return rank
