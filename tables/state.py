"""What a table's state of one partition must do: follow the changelog, record by record or many at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

__all__ = ["ChangelogRecord", "PartitionState"]

ChangelogRecord = tuple[bytes, bytes | None]
"""Key and value of a record; no value: the key is gone."""


class PartitionState(ABC):
    """State of one partition of a table, as its changelog tells it: the last record of a key wins.

    `load` and `recovered` do the plain thing here; a state that can be faster has its own.
    """

    @abstractmethod
    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record; None removes the key. Called for own writes and for recovery alike."""

    def load(self, records: Sequence[ChangelogRecord]) -> None:
        """Take many records of the changelog, in their order: what `apply` would do one by one.

        Recovery hands over thousands at a time. A key may stand in them more than once, a tombstone first or last.
        What is derived from them may wait for `recovered`, but not longer.

        Parameters
        ----------
        records
            (key, value) in the order of their offsets.
        """
        for key, value in records:
            self.apply(key, value)

    def recovered(self) -> None:  # noqa: B027 - most states leave nothing for later
        """Make up what `load` has left: the changelog has been read to its end.

        Called after the last `load`, before any event of the partition is handled; `apply` may still be called
        after it for records of the changelog. After a rebalance in which the partition was kept, `load` and this
        come again, for what another worker has written meanwhile.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Keys held."""
