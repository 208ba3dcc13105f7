"""Outcomes of one group as columns: the rows that every statistic is counted from (spec section 6).

rr is quantised to 1e-5 R and summed in 64-bit integers, so that sums are exact, free of order and can
be taken back. Scope values are coded by a dictionary per dimension; code 0 is a missing dimension and
never part of a subset. Rows have no order of their own: whoever needs one sorts by (trade, action).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from learning.outcome import Outcome
from learning.parameters import DAY_MS
from leverloop.patterns import ActionCategory, Module
from leverloop.scope import Scope, ScopeSchema, ScopeValue

__all__ = ["RR_SCALE", "Columns", "GroupCells", "day_of", "quantised"]

RR_SCALE: Final = 100_000
"""Units of rr in one R (spec section 6: 1e-5 R)."""

_FIRST_CAPACITY: Final = 256
_UNKNOWN: Final = -1
_NOBODY: Final = 65_535
"""A code that no row has. Values of a dimension past the 65,534th count as missing: they form no subset."""

_FIELDS: Final[dict[str, Any]] = {
    "rr_q": np.int64,
    "trade": np.int64,  # hash of the trade id: equal for equal trades, the same in every process
    "action": np.int64,  # hash of the action id
    "action_at_ms": np.int64,
    "closed_at_ms": np.int64,
    "hold_ms": np.int64,
    "payback_ms": np.int64,  # -1: never paid back
    "counts_from_ms": np.int64,  # the epoch from which the outcome counts
    "first_of_trade": np.bool_,
    "first_of_category": np.bool_,
}

Columns = dict[str, npt.NDArray[Any]]


def quantised(rr: float) -> int:
    """Return rr in units of 1e-5 R.

    Examples
    --------
    >>> quantised(-1.234567)
    -123457
    """
    return round(rr * RR_SCALE)


class GroupCells:
    """Columns of one group, kept up to date outcome by outcome.

    Parameters
    ----------
    group
        ``pattern_key|action_category``.
    module
        Decides which dimensions count.
    schema
        Scope schema.
    """

    def __init__(self, group: str, module: Module, schema: ScopeSchema) -> None:
        self.group = group
        self.module: Module = module
        self.dimensions = schema.modules[module].dimensions
        self.n = 0
        self.changes = 0
        """Counts every insert, change and removal: tells whether the group has grown since."""
        self._rows: dict[str, int] = {}
        self._ids: list[str] = []
        self._outcomes: list[Outcome] = []
        self._codes_of: tuple[dict[ScopeValue, int], ...] = tuple({} for _ in self.dimensions)
        self._values: tuple[list[ScopeValue], ...] = tuple([] for _ in self.dimensions)
        self._codes = np.zeros((_FIRST_CAPACITY, len(self.dimensions)), dtype=np.uint16)
        self._matches: dict[str, npt.NDArray[np.int8]] = {}
        self._columns: Columns = {name: np.zeros(_FIRST_CAPACITY, dtype=kind) for name, kind in _FIELDS.items()}

    @property
    def action_category(self) -> ActionCategory:
        """Category part of the group."""
        return self.group.rpartition("|")[2]  # type: ignore[return-value]

    def put(self, outcome: Outcome, counts_from_ms: int) -> None:
        """Insert an outcome, or replace the one of the same id (which keeps its row)."""
        row = self._rows.get(outcome.outcome_id)
        if row is None:
            row = self._append(outcome.outcome_id)
        self._outcomes[row] = outcome
        for known in self._matches.values():
            known[row] = _UNKNOWN
        self._codes[row] = [
            0 if (value := outcome.scope.get(name)) is None else self._code(d, value)
            for d, name in enumerate(self.dimensions)
        ]
        hold_ms = outcome.closed_at_ms - outcome.opened_at_ms
        columns = self._columns
        columns["rr_q"][row] = quantised(outcome.rr)
        columns["trade"][row] = _hashed(outcome.trade_id)
        columns["action"][row] = _hashed(outcome.outcome_id)
        columns["action_at_ms"][row] = outcome.action_at_ms
        columns["closed_at_ms"][row] = outcome.closed_at_ms
        columns["hold_ms"][row] = hold_ms
        columns["payback_ms"][row] = -1 if outcome.payback_ms is None else outcome.payback_ms
        columns["counts_from_ms"][row] = counts_from_ms
        columns["first_of_trade"][row] = outcome.first_of_trade
        columns["first_of_category"][row] = outcome.first_of_category
        self.changes += 1

    def remove(self, outcome_id: str) -> bool:
        """Take an outcome back; False if it is not there. The last row moves into its place."""
        row = self._rows.pop(outcome_id, None)
        if row is None:
            return False
        last = self.n - 1
        if row != last:
            self._ids[row], self._outcomes[row] = self._ids[last], self._outcomes[last]
            self._rows[self._ids[row]] = row
            self._codes[row] = self._codes[last]
            for column in (*self._columns.values(), *self._matches.values()):
                column[row] = column[last]
        self._ids.pop()
        self._outcomes.pop()
        self.n = last
        self.changes += 1
        return True

    def counts_from(self, outcome_id: str) -> int | None:
        """Epoch from which a known outcome counts, None for an unknown one."""
        row = self._rows.get(outcome_id)
        return None if row is None else int(self._columns["counts_from_ms"][row])

    def counted(self, epoch_at_ms: int) -> npt.NDArray[np.int64]:
        """Rows that count by an epoch, by trade, then by the time of the action: (n,) int64."""
        rows = np.flatnonzero(self._columns["counts_from_ms"][: self.n] <= epoch_at_ms)
        keys = ("action", "action_at_ms", "trade")  # no order of arrival in it
        return rows[np.lexsort([self._columns[key][rows] for key in keys])]

    def column(self, name: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """One column at some rows."""
        return self._columns[name][rows]

    def codes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
        """Scope codes at some rows: (n, n_dimensions) uint16, 0 where missing."""
        return self._codes[rows]

    def cardinalities(self) -> npt.NDArray[np.int64]:
        """Codes per dimension, the missing one included: (n_dimensions,) int64."""
        return np.array([len(values) + 1 for values in self._values], dtype=np.int64)

    def outcomes(self, rows: npt.NDArray[np.int64]) -> list[Outcome]:
        """Outcomes at some rows."""
        return [self._outcomes[row] for row in rows]

    def matches(self, name: str, rows: npt.NDArray[np.int64], test: Callable[[Outcome], bool]) -> npt.NDArray[np.bool_]:
        """Result of a test of each outcome, (n,) bool; known results of a test of that name are kept."""
        known = self._matches.get(name)
        if known is None:
            known = self._matches[name] = np.full(len(self._codes), _UNKNOWN, dtype=np.int8)
        for row in rows[known[rows] == _UNKNOWN].tolist():
            known[row] = test(self._outcomes[row])
        return known[rows] == 1

    def keep_matches(self, names: Collection[str]) -> None:
        """Forget the results of all tests but these."""
        for name in [name for name in self._matches if name not in names]:
            del self._matches[name]

    def matching(self, scope: Scope, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of some rows lie in a subset: (n,) bool."""
        hit = np.ones(len(rows), dtype=np.bool_)
        for name, value in scope.items():
            if name not in self.dimensions:
                return np.zeros(len(rows), dtype=np.bool_)
            d = self.dimensions.index(name)
            hit &= self._codes[rows, d] == self._codes_of[d].get(value, _NOBODY)
        return hit

    def scope_of(self, codes: npt.NDArray[Any]) -> Scope:
        """Scope subset of a vector of codes, 0 where a dimension is free."""
        return {
            name: self._values[d][code - 1]
            for d, (name, code) in enumerate(zip(self.dimensions, codes.tolist(), strict=True))
            if code
        }

    def codes_of(self, scope: Scope) -> npt.NDArray[np.int32]:
        """Vector of codes of a scope subset: (n_dimensions,) int32; an unseen value gets a code nobody has."""
        return np.array(
            [
                self._codes_of[d].get(scope[name], _NOBODY) if name in scope else 0
                for d, name in enumerate(self.dimensions)
            ],
            dtype=np.int32,
        )

    def ordered(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Order of coded subsets by their values, not by when each value was seen first: (n_subsets,) int64."""
        ranks = np.empty(codes.shape, dtype=np.int64)
        for d in range(codes.shape[1]):
            present, inverse = np.unique(codes[:, d], return_inverse=True)
            names = [self.value_name(d, code) for code in present.tolist()]
            rank = np.empty(len(names), dtype=np.int64)
            rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
            ranks[:, d] = rank[inverse]
        return np.lexsort(ranks.T[::-1])

    def value_name(self, dimension: int, code: int) -> str:
        """Text of a coded value, empty where missing."""
        return str(self._values[dimension][code - 1]) if code else ""

    def _code(self, dimension: int, value: ScopeValue) -> int:
        codes = self._codes_of[dimension]
        code = codes.get(value)
        if code is None:
            if len(codes) + 1 >= _NOBODY:
                return 0
            code = codes[value] = len(codes) + 1
            self._values[dimension].append(value)
        return code

    def _append(self, outcome_id: str) -> int:
        row = self.n
        if row == len(self._codes):
            self._matches.clear()
            self._codes = np.concatenate([self._codes, np.zeros_like(self._codes)])
            self._columns = {name: np.concatenate([old, np.zeros_like(old)]) for name, old in self._columns.items()}
        self._rows[outcome_id] = row
        self._ids.append(outcome_id)
        self._outcomes.append(None)  # type: ignore[arg-type]  # set by put, which alone calls this
        self.n += 1
        return row


def _hashed(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def day_of(at_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """UTC day of a time, counted from the epoch."""
    return at_ms // DAY_MS
