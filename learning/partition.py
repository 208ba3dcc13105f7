"""One outcomes partition as the core sees it: its groups, their tracked subsets, and its progress.

The stage keeps a changelog of what it is told, a replay does not; both drive this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from learning.cells import GroupCells
from learning.findings import Decided, Findings
from learning.lattice import Lattice
from learning.mining import mine
from learning.outcome import Outcome, OutcomeVoided
from learning.packing import PackedRows
from learning.parameters import Parameters
from learning.places import group_of_place
from learning.progress import PROPOSAL, Progress, counts_from_ms, due, first_epoch, input_offsets
from learning.rows import Row, row_of
from leverloop.patterns import Module
from leverloop.scope import ScopeSchema

__all__ = ["OutcomesPartition"]


class OutcomesPartition:
    """Groups of one partition.

    Parameters
    ----------
    partition
        Its number.
    inputs
        ``topic/partition`` of every input that has to pass an epoch before it is over.
    parameters, schema
        The rules.
    """

    def __init__(self, partition: int, inputs: Sequence[str], parameters: Parameters, schema: ScopeSchema) -> None:
        self.partition = partition
        self.groups: dict[str, GroupCells] = {}
        self.lattices: dict[str, Lattice] = {}
        """Tracked subsets of the groups that were promoted, exact with every outcome since."""
        self.progress = Progress()
        self.reported_at_ms: int | None = None
        """What was last reported by this process: None makes a restarted one report again."""
        self.schema = schema
        self._inputs = tuple(inputs)
        self._parameters = parameters

    def __len__(self) -> int:
        return sum(cells.n for cells in self.groups.values())

    def counts_from_ms(self, outcome: Outcome) -> int:
        """Epoch from which an outcome that arrives now counts; a revision keeps the one it had."""
        cells = self.groups.get(outcome.group)
        known = None if cells is None else cells.counts_from(outcome.outcome_id)
        if known is not None:
            return known
        return counts_from_ms(self.progress, self._inputs, outcome.closed_at_ms, self._parameters)

    def put(self, outcome: Outcome, counts_from_ms: int) -> None:
        """Insert or replace an outcome: an action, and so an outcome, keeps its group for ever."""
        self.put_row(row_of(outcome, counts_from_ms, self.schema))

    def put_row(self, row: Row) -> None:
        """Insert or replace an outcome that stands as a row."""
        group = group_of_place(row.place)
        cells, lattice = self._cells(group), self.lattices.get(group)
        if lattice is None:
            cells.put_row(row)
            return
        known = cells.find_row(row)
        if known is not None:
            lattice.take_back(known)
        lattice.add(cells.set_row(row, known))

    def load(self, rows: PackedRows) -> None:
        """Insert or replace many packed rows, no two of the same id; their tracked subsets come by `promote`."""
        for group, of_group in rows.by_group():
            self._cells(group).load(of_group)
            self.lattices.pop(group, None)

    def remove(self, outcome_id: str) -> None:
        """Take an outcome back; unknown ones are gone already."""
        key = outcome_id.encode()
        for group, cells in self.groups.items():
            row = cells.find(key)
            if row is not None:
                if group in self.lattices:
                    self.lattices[group].take_back(row)
                cells.remove(key)
                return

    def void(self, voided: OutcomeVoided) -> None:
        """Take the outcome of a voided trade back."""
        self.remove(voided.outcome_id)

    def promote(self, each: Callable[..., Iterable[None]] = map) -> None:
        """Enumerate the subsets of every group that has grown since: the newly frequent are tracked from now on.

        Parameters
        ----------
        each
            Applies a function to every group; one that does so in threads uses more cores.
        """
        for _ in each(self._promote, list(self.groups)):
            pass

    def is_outdated(self, outcome: Outcome) -> bool:
        """Whether an outcome's trade closed too long before the last decision to be learned from."""
        decided = self.progress.decided
        return decided is not None and outcome.closed_at_ms < decided.epoch_at_ms - self._parameters.outcome_keep_ms

    def outdated(self, at_ms: int) -> list[str]:
        """Ids of the outcomes of trades that closed longer than `outcome_keep_ms` before a time, sorted."""
        oldest_ms = at_ms - self._parameters.outcome_keep_ms
        return sorted(found for cells in self.groups.values() for found in cells.closed_before(oldest_ms))

    def rows(self) -> Iterator[Row]:
        """Every outcome held, as a row, in no order."""
        for cells in self.groups.values():
            yield from cells.rows()

    def due(self) -> int | None:
        """Epoch that is due and was not reported yet, or None."""
        epoch_at_ms = due(self.progress, self._inputs, self._parameters)
        return None if epoch_at_ms == self.reported_at_ms else epoch_at_ms

    def report(self) -> Findings | None:
        """Findings of the epoch that is due and was not reported yet, or None."""
        epoch_at_ms = self.due()
        if epoch_at_ms is None:
            return None
        self.reported_at_ms = epoch_at_ms
        if epoch_at_ms == PROPOSAL:
            return Findings(
                partition=self.partition, epoch_at_ms=PROPOSAL, first_epoch_at_ms=first_epoch(self.progress)
            )
        mined = self.mined(epoch_at_ms, self.progress.decided or Decided(epoch_at_ms=0))
        return msgspec.structs.replace(mined, input_offsets=input_offsets(self.progress, epoch_at_ms))

    def mined(self, epoch_at_ms: int, decided: Decided) -> Findings:
        """Findings of an epoch, given the decision before it."""
        return mine(
            self.groups,
            epoch_at_ms,
            decided,
            partition=self.partition,
            parameters=self._parameters,
            schema=self.schema,
        )

    def _promote(self, group: str) -> None:
        cells, lattice = self.groups[group], self.lattices.get(group)
        if lattice is None:
            self.lattices[group] = Lattice(cells, self._parameters, self.schema.modules[cells.module].max_dims)
        elif lattice.grown:
            lattice.enumerate()

    def _cells(self, group: str) -> GroupCells:
        cells = self.groups.get(group)
        if cells is None:
            module: Module = group.partition(".")[0]  # type: ignore[assignment]
            cells = self.groups[group] = GroupCells(group, module, self.schema)
        return cells
