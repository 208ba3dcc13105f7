"""One outcomes partition as the core sees it: its groups and its progress.

The stage keeps a changelog of what it is told, a replay does not; both drive this.
"""

from __future__ import annotations

from collections.abc import Sequence

from learning.cells import GroupCells
from learning.findings import Decided, Findings
from learning.mining import mine
from learning.outcome import Outcome, OutcomeVoided
from learning.parameters import Parameters
from learning.progress import PROPOSAL, Progress, counts_from_ms, due, first_epoch
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
        self.progress = Progress()
        self.reported_at_ms: int | None = None
        """What was last reported by this process: None makes a restarted one report again."""
        self._group_of: dict[str, str] = {}
        self._inputs = tuple(inputs)
        self._parameters = parameters
        self._schema = schema

    def __len__(self) -> int:
        return len(self._group_of)

    def counts_from_ms(self, outcome: Outcome) -> int:
        """Epoch from which an outcome that arrives now counts; a revision keeps the one it had."""
        group = self._group_of.get(outcome.outcome_id)
        known = None if group is None else self.groups[group].counts_from(outcome.outcome_id)
        if known is not None:
            return known
        return counts_from_ms(self.progress, self._inputs, outcome.closed_at_ms, self._parameters)

    def put(self, outcome: Outcome, counts_from_ms: int) -> None:
        """Insert or replace an outcome; a group it no longer belongs to forgets it."""
        before = self._group_of.get(outcome.outcome_id)
        if before is not None and before != outcome.group:
            self.groups[before].remove(outcome.outcome_id)
        cells = self.groups.get(outcome.group)
        if cells is None:
            cells = self.groups[outcome.group] = GroupCells(outcome.group, outcome.module, self._schema)
        cells.put(outcome, counts_from_ms)
        self._group_of[outcome.outcome_id] = outcome.group

    def remove(self, outcome_id: str) -> None:
        """Take an outcome back; unknown ones are gone already."""
        group = self._group_of.pop(outcome_id, None)
        if group is not None:
            self.groups[group].remove(outcome_id)

    def void(self, voided: OutcomeVoided) -> None:
        """Take the outcome of a voided trade back."""
        self.remove(voided.outcome_id)

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
        return self.mined(epoch_at_ms, self.progress.decided or Decided(epoch_at_ms=0))

    def mined(self, epoch_at_ms: int, decided: Decided) -> Findings:
        """Findings of an epoch, given the decision before it."""
        return mine(
            self.groups,
            epoch_at_ms,
            decided,
            partition=self.partition,
            parameters=self._parameters,
            schema=self._schema,
        )
