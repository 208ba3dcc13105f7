"""Outcomes of one group as columns: the rows that every statistic is counted from (spec section 6).

rr is quantised to 1e-5 R and summed in 64-bit integers, so that sums are exact, free of order and can
be taken back. Scope values are coded by a dictionary per dimension; code 0 is a missing dimension and
never part of a subset. Rows have no order of their own: whoever needs one sorts by (trade, action).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from learning.companions import Companions
from learning.index import Index
from learning.measures import Measures
from learning.outcome import Outcome
from learning.packing import PackedRows
from learning.parameters import DAY_MS
from learning.places import place_of
from learning.ragged import Ragged, grown
from learning.rows import FIXED, RR_SCALE, Row, hashed, numbers_of, quantised, row_of
from learning.vocabulary import OTHER, Vocabulary
from leverloop.patterns import ActionCategory, Module
from leverloop.scope import Scope, ScopeSchema

__all__ = ["RR_SCALE", "GroupCells", "day_of", "quantised"]

_FIRST_CAPACITY: Final = 64
_GROWTH: Final = 1.5
_ROOM: Final = 1.125  # behind what is loaded: memory that is not written is not taken


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
        self._schema = schema
        self._words = Vocabulary(schema)
        self._codes = np.zeros((_FIRST_CAPACITY, len(self.dimensions)), dtype=np.uint16)
        self._columns = {name: np.zeros(_FIRST_CAPACITY, dtype=FIXED[name]) for name in FIXED.names or ()}
        self._by_action, self._by_trade = Index(_FIRST_CAPACITY), Index(_FIRST_CAPACITY)
        self._ids = Ragged(np.uint8, _FIRST_CAPACITY)
        self._companions = Companions(_FIRST_CAPACITY, schema, self._words)
        self._measures = Measures(_FIRST_CAPACITY)
        self._ranks_of: dict[int, npt.NDArray[np.int64]] = {}

    @property
    def action_category(self) -> ActionCategory:
        """Category part of the group."""
        return self.group.rpartition("|")[2]  # type: ignore[return-value]

    def put(self, outcome: Outcome, counts_from_ms: int) -> int:
        """Insert an outcome, or replace the one of the same id (which keeps its row); return its row."""
        return self.put_row(row_of(outcome, counts_from_ms, self._schema))

    def put_row(self, row: Row) -> int:
        """Insert a row, or replace the one of the same id; return where it stands."""
        return self.set_row(row, self.find_row(row))

    def set_row(self, row: Row, known: int | None) -> int:
        """Set a row where it stands, or insert one that is not known; return where it stands then."""
        if known is None:
            at = self._insert(row)
        else:
            at = known
            self._by_trade.unlink(self._columns["trade"], at)
            self._set_fixed(at, row)
            self._by_trade.link(self._columns["trade"], at)
        codes = self._words.coded_one(row.place + row.companions)
        own = 1 + len(self.dimensions)
        self._codes[at] = codes[1:own]
        self._companions.put(at, codes[own:])
        self._measures.put(at, row.names, row.values)
        self._compact()
        return at

    def load(self, rows: PackedRows) -> None:
        """Insert or replace many packed rows of the group at once, of which no two have the same id."""
        known = self._by_action.holds(self._columns["action"], rows.fixed["action"])
        for at in np.flatnonzero(known).tolist():  # one by one: it may be another id of the same hash
            self.put_row(rows.row(at))
        self._append(rows.taken(np.flatnonzero(~known)) if known.any() else rows)

    def remove(self, outcome_id: bytes) -> bool:
        """Take an outcome back; False if it is not there. The last row moves into its place."""
        row = self.find(outcome_id)
        if row is None:
            return False
        last = self.n - 1
        for index, name in ((self._by_action, "action"), (self._by_trade, "trade")):
            index.unlink(self._columns[name], row)
            if row != last:
                index.move(self._columns[name], last, row)
        for ragged in (self._ids, self._companions.codes, self._measures.values):
            if row == last:
                ragged.clear(row)
            else:
                ragged.move(last, row)
        for column in (*self._columns.values(), self._codes, self._measures.shape):
            column[row] = column[last]
            column[last] = 0
        self.n = last
        self._compact()
        return True

    def find(self, outcome_id: bytes) -> int | None:
        """Row of an outcome, None if it is not there."""
        return self._find(outcome_id, hashed(outcome_id))

    def find_row(self, row: Row) -> int | None:
        """Where the outcome of a row stands, None if it is not there."""
        return self._find(row.outcome_id, numbers_of(row)[1])

    def counts_from(self, outcome_id: str) -> int | None:
        """Epoch from which a known outcome counts, None for an unknown one."""
        row = self.find(outcome_id.encode())
        return None if row is None else int(self._columns["counts_from_ms"][row])

    def counted(self, epoch_at_ms: int) -> npt.NDArray[np.int64]:
        """Rows that count by an epoch, by trade, then by the time of the action: (n,) int64."""
        rows = np.flatnonzero(self._columns["counts_from_ms"][: self.n] <= epoch_at_ms)
        keys = ("action", "action_at_ms", "trade")  # no order of arrival in it
        return rows[np.lexsort([self._columns[key][rows] for key in keys])]

    def closed_before(self, at_ms: int) -> list[str]:
        """Ids of the outcomes of trades that closed before a time, in no order."""
        rows = np.flatnonzero(self._columns["closed_at_ms"][: self.n] < at_ms)
        return [self._ids.get(row).tobytes().decode() for row in rows.tolist()]

    def column(self, name: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """One column at some rows; rr_q as int64, so that its sums and squares do not overflow."""
        values = self._columns[name][rows]
        return values.astype(np.int64) if name == "rr_q" else values

    def payback_ms(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Time to the payback of some rows, or their hold where there was none: (n,) int64."""
        payback_ms = self._columns["payback_ms"][rows]
        return np.where(payback_ms < 0, self._columns["hold_ms"][rows], payback_ms)

    def of_trades(self) -> tuple[Any, ...]:
        """Return what a kernel needs to find the rows of a trade, and to count them.

        Index of the trades (heads, following); columns trade, action, action_at_ms, hold_ms, payback_ms;
        scope codes, `OTHER` among them; rr_q. Views, with room behind the last row.
        """
        columns = self._columns
        return (
            self._by_trade.heads,
            self._by_trade.following,
            tuple(columns[name] for name in ("trade", "action", "action_at_ms", "hold_ms", "payback_ms")),
            self._codes,
            columns["rr_q"],
        )

    def measure(self, name: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Control, or other measure, of some rows by its name: (n,) float64, NaN where it was not logged.

        Names: ``return_frac``, ``rr_raw``, ``missed_entry_rr``, ``signals.TS``, ``knobs.phase_scaling.S1``,
        ``deltas.entry_delay_bars=2`` and so on.
        """
        return self._measures.get(name, rows)

    def measure_names(self) -> tuple[str, ...]:
        """Names of every measure ever logged here, sorted."""
        return self._measures.names()

    def codes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
        """Scope codes at some rows: (n, n_dimensions) uint16, 0 where missing or past what can be coded."""
        found = self._codes[rows]
        if self._words.overflowed:
            found[found == OTHER] = 0
        return found

    def folded(self) -> dict[str, int]:
        """Dimension -> outcomes whose value is past what can be coded; empty as a rule."""
        counts = (self._codes[: self.n] == OTHER).sum(axis=0).tolist() if self._words.overflowed else []
        return {name: n for name, n in zip(self.dimensions, counts, strict=False) if n}

    def cardinalities(self) -> npt.NDArray[np.int64]:
        """Codes per dimension, the missing one included: (n_dimensions,) int64."""
        return np.array([len(self._words.values(name)) + 1 for name in self.dimensions], dtype=np.int64)

    def met(self, group: str, scope: Scope, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether any action of each row's trade lies in a subset of a group: its own or a companion's."""
        hit = self._companions.met(group, scope, rows)
        return hit | self.matching(scope, rows) if group == self.group else hit

    def matching(self, scope: Scope, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of some rows lie in a subset: (n,) bool."""
        hit = np.ones(len(rows), dtype=np.bool_)
        for name, value in scope.items():
            code = self._words.code(name, value) if name in self.dimensions else None
            if code is None:
                return np.zeros(len(rows), dtype=np.bool_)
            hit &= self._codes[rows, self.dimensions.index(name)] == code
        return hit

    def scope_of(self, codes: npt.NDArray[Any]) -> Scope:
        """Scope subset of a vector of codes, 0 where a dimension is free."""
        return {
            name: self._words.values(name)[code - 1]
            for name, code in zip(self.dimensions, codes.tolist(), strict=True)
            if code
        }

    def codes_of(self, scope: Scope) -> npt.NDArray[np.int32]:
        """Vector of codes of a scope subset: (n_dimensions,) int32; an unseen value gets a code that no row shows."""
        codes = [self._words.code(name, scope[name]) if name in scope else 0 for name in self.dimensions]
        return np.array([OTHER if code is None else code for code in codes], dtype=np.int32)

    def ordered(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Order of coded subsets by their values, not by when each value was seen first: (n_subsets,) int64."""
        return np.lexsort([self._ranks(d)[codes[:, d]] for d in reversed(range(codes.shape[1]))])

    def _ranks(self, dimension: int) -> npt.NDArray[np.int64]:
        """Place of each code of a dimension in the order of their texts; found anew when there are more of them."""
        n = len(self._words.values(self.dimensions[dimension])) + 1
        known = self._ranks_of.get(dimension)
        if known is None or len(known) != n:
            names = [self.value_name(dimension, code) for code in range(n)]
            known = np.empty(n, dtype=np.int64)
            known[sorted(range(n), key=names.__getitem__)] = np.arange(n)
            self._ranks_of[dimension] = known
        return known

    def value_name(self, dimension: int, code: int) -> str:
        """Text of a coded value, empty where missing."""
        return str(self._words.values(self.dimensions[dimension])[code - 1]) if code else ""

    def rows(self) -> Iterator[Row]:
        """Every outcome as a row again, in no order; a value past what can be coded is missing in it."""
        for at in range(self.n):
            place = place_of(self.group, self.scope_of(self.codes(np.array([at]))[0]), self._schema)
            names, values = self._measures.row(at)
            yield Row(
                outcome_id=self._ids.get(at).tobytes(),
                fixed=np.array([tuple(column[at] for column in self._columns.values())], dtype=FIXED).tobytes(),
                place=place,
                companions=self._companions.row(at),
                names=names,
                values=values,
            )

    def _find(self, outcome_id: bytes, action: int) -> int | None:
        row = self._by_action.first(self._columns["action"], action)
        if row is None or self._ids.get(row).tobytes() == outcome_id:
            return row
        # Equal hashes do not make equal ids.
        same = self._by_action.rows(self._columns["action"], action).tolist()
        return next((row for row in same if self._ids.get(row).tobytes() == outcome_id), None)

    def _insert(self, row: Row) -> int:
        at = self.n
        self._reserve(1)
        self.n += 1
        self._set_fixed(at, row)
        self._by_action.link(self._columns["action"], at)
        self._by_trade.link(self._columns["trade"], at)
        self._ids.put(at, np.frombuffer(row.outcome_id, dtype=np.uint8))
        return at

    def _set_fixed(self, at: int, row: Row) -> None:
        for column, value in zip(self._columns.values(), numbers_of(row), strict=True):
            column[at] = value

    def _append(self, rows: PackedRows) -> None:
        """Add rows that are not there yet."""
        first, n = self.n, len(rows)
        self._reserve(n)
        new = slice(first, first + n)
        fixed = rows.fixed
        for name, column in self._columns.items():
            column[new] = fixed[name]
        self._by_action.link_from(self._columns["action"], first, first + n)
        self._by_trade.link_from(self._columns["trade"], first, first + n)
        self._codes[new] = self._words.coded(rows.places)[0].reshape(n, len(self.dimensions) + 1)[:, 1:]
        self._companions.append(first, *self._words.coded(rows.companions))
        self._ids.append(first, rows.ids.gathered(), rows.ids.ends - rows.ids.begins)
        self._measures.append(first, rows.names, rows.values)
        self.n += n

    def _reserve(self, n: int) -> None:
        held = len(self._codes)
        if self.n + n <= held:
            return
        capacity = max(int((self.n + n) * _ROOM), int(held * _GROWTH))
        self._codes = grown(self._codes, capacity)
        self._columns = {name: grown(column, capacity) for name, column in self._columns.items()}
        self._by_action.rebuild(self._columns["action"][: self.n], capacity)
        self._by_trade.rebuild(self._columns["trade"][: self.n], capacity)
        self._ids.grow(capacity)
        self._companions.codes.grow(capacity)
        self._measures.grow(capacity)

    def _compact(self) -> None:
        for ragged in (self._ids, self._companions.codes, self._measures.values):
            ragged.compact(self.n)


def day_of(at_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """UTC day of a time, counted from the epoch."""
    return at_ms // DAY_MS
