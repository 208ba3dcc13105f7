"""How far the recovery of tables has come: lines in the log, and whoever shows it to a person."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import msgspec

__all__ = ["RecoveryProgress", "RecoveryReport", "TellProgress"]

_LOG: Final = logging.getLogger("leverloop.transport")
_QUIET_S: Final = 0.5  # what takes no longer is told in one line
_LINE_EVERY_S: Final = 1.0
_TELL_EVERY_S: Final = 0.1


class RecoveryProgress(msgspec.Struct, frozen=True, kw_only=True):
    """State of a recovery that takes a while.

    Examples
    --------
    >>> progress = RecoveryProgress(
    ...     table="outcomes", records=250, offsets=300, offsets_total=1200, seconds=2.0, finished=False
    ... )
    >>> progress.rate, progress.eta_s
    (125.0, 6.0)
    """

    table: str
    """The table that is being read."""
    records: int
    """Records read of all tables."""
    offsets: int
    """Offsets passed of all tables: more than records where compaction has left gaps."""
    offsets_total: int
    seconds: float
    finished: bool
    """The last of this recovery, whether it came to its end or was cut short."""

    @property
    def rate(self) -> float:
        """Records per second, from the start on."""
        return self.records / self.seconds if self.seconds else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at this pace, None before anything has moved."""
        left = self.offsets_total - self.offsets
        return left * self.seconds / self.offsets if self.offsets else None


TellProgress = Callable[[RecoveryProgress], None]


class RecoveryReport:
    """Counts what a recovery reads, and tells of it: every second in the log, ten times a second to `tell`.

    Parameters
    ----------
    offsets_by_table
        Offsets to be passed by table, in the order in which they are read.
    tell
        Told while the recovery takes longer than half a second, and once more at its end.
    clock
        Monotonic seconds.
    """

    def __init__(
        self, offsets_by_table: Mapping[str, int], tell: TellProgress, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._tell: Final = tell
        self._clock: Final = clock
        self._tables: Final = len(offsets_by_table)
        self._total: Final = sum(offsets_by_table.values())
        self._table = ""
        self._records = self._offsets = 0
        self._started_at: Final = clock()
        self.moved_at = self._started_at
        """When something was read last; seconds, monotonic."""
        self._line_at = self._started_at + _QUIET_S
        self._tell_at = self._line_at
        self._told = False

    def begin(self, table: str) -> None:
        """Go on to a table."""
        self._table = table

    def add(self, records: int, offsets: int) -> None:
        """Count what was read."""
        self._records += records
        self._offsets += offsets
        if records or offsets:
            self.moved_at = self._clock()
        self.look()

    def look(self) -> None:
        """Tell how it goes, if it is time."""
        now = self._clock()
        if now < self._tell_at:
            return
        progress = self._progress(now, finished=False)
        self._tell_at, self._told = now + _TELL_EVERY_S, True
        self._tell(progress)
        if now < self._line_at:
            return
        if self._line_at == self._started_at + _QUIET_S:
            _LOG.info("recovery_started tables=%d offsets=%d", self._tables, self._total)
        self._line_at = now + _LINE_EVERY_S
        _LOG.info(
            "recovery_progressed table=%s records=%d offsets=%d/%d seconds=%.1f rate=%.0f eta_s=%s",
            progress.table,
            progress.records,
            progress.offsets,
            progress.offsets_total,
            progress.seconds,
            progress.rate,
            "unknown" if progress.eta_s is None else f"{progress.eta_s:.1f}",
        )

    def end(self) -> None:
        """Tell how far it has come, to the end or not: a rebalance, a stop or an error cuts it short."""
        progress = self._progress(self._clock(), finished=True)
        if self._told:
            self._tell(progress)
        _LOG.info(
            "recovery_%s tables=%d records=%d offsets=%d/%d seconds=%.2f rate=%.0f",
            "finished" if progress.offsets == progress.offsets_total else "interrupted",
            self._tables,
            progress.records,
            progress.offsets,
            progress.offsets_total,
            progress.seconds,
            progress.rate,
        )

    def _progress(self, now: float, *, finished: bool) -> RecoveryProgress:
        return RecoveryProgress(
            table=self._table,
            records=self._records,
            offsets=self._offsets,
            offsets_total=self._total,
            seconds=now - self._started_at,
            finished=finished,
        )
