"""State of a partition of the outcome table, and of the epochs table beside it.

One record per outcome (key: its id). The groups' columns are a view of it, kept up to date with every
record and rebuilt by recovery.
"""

from __future__ import annotations

from typing import Final

import msgspec

from learning.findings import Decided
from learning.outcome import Outcome
from learning.partition import OutcomesPartition
from learning.progress import Passed, Progress
from tables.catalogue import EPOCHS, OUTCOMES
from tables.encoding import Encoding
from tables.state import PartitionState

__all__ = ["DECIDED_KEY", "EpochsState", "OutcomesState", "StoredOutcome", "stored_outcome", "stored_progress"]

DECIDED_KEY: Final = b"<decided>"


class StoredOutcome(msgspec.Struct, frozen=True):
    """An outcome and the epoch from which it counts."""

    counts_from_ms: int
    outcome: Outcome


_OUTCOME: Final = Encoding(OUTCOMES.version, StoredOutcome)
_PROGRESS: Final[Encoding[Passed | Decided]] = Encoding(
    EPOCHS.version,
    Passed | Decided,  # type: ignore[arg-type]
)


def stored_outcome(value: StoredOutcome) -> bytes:
    """Bytes of an outcome's record."""
    return _OUTCOME.encode(value)


def stored_progress(value: Passed | Decided) -> bytes:
    """Bytes of a record of the epochs table."""
    return _PROGRESS.encode(value)


class OutcomesState(PartitionState):
    """The outcome table's half of a partition."""

    def __init__(self, view: OutcomesPartition) -> None:
        self.view = view

    def __len__(self) -> int:
        return len(self.view)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is None:
            self.view.remove(key.decode())
        else:
            record = _OUTCOME.decode(value)
            self.view.put(record.outcome, record.counts_from_ms)


class EpochsState(PartitionState):
    """The epochs table's half of a partition."""

    def __init__(self) -> None:
        self.progress = Progress()

    def __len__(self) -> int:
        return len(self.progress.inputs) + (self.progress.decided is not None)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is None:
            return
        record = _PROGRESS.decode(value)
        if isinstance(record, Decided):
            self.progress = msgspec.structs.replace(self.progress, decided=record)
        else:
            inputs = self.progress.inputs | {key.decode(): record}
            self.progress = msgspec.structs.replace(self.progress, inputs=inputs)
