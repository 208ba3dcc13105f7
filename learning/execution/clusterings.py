"""Clusters that a mean could hide behind: blocks of days, spells, and runs of one regime (spec section 6)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.clusters import REGIME, ClusteredGroup, block_days

__all__ = ["Clusterings"]


class Clusterings:
    """Clusters of some rows of a group.

    Parameters
    ----------
    cells
        The group.
    rows
        (n_rows,) rows, those of a trade together.
    clustered
        The same rows with their scope and their days.
    """

    def __init__(self, cells: GroupCells, rows: npt.NDArray[np.int64], clustered: ClusteredGroup) -> None:
        self._clustered = clustered
        self._by_time = np.lexsort((clustered.trade, cells.column("action_at_ms", rows)))
        self._regime = [i for i, name in enumerate(cells.dimensions) if name in REGIME]

    @cached_property
    def _in_time(self) -> npt.NDArray[np.int32]:
        return self._clustered.codes[self._by_time]

    def blocks(self, column: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Block of days of each row, as long as the daily mean of a column is autocorrelated: (n_rows,) int64.

        Parameters
        ----------
        column
            (n_rows,) values, NaN where not known; a trade counts with its first known row.
        """
        if not len(column):
            return np.zeros(0, dtype=np.int64)
        since = self._clustered.day - self._clustered.day.min()
        known = np.flatnonzero(~np.isnan(column))
        trade = self._clustered.trade[known]
        known = known[np.concatenate([[True], trade[1:] != trade[:-1]])] if len(known) else known
        n = np.bincount(since[known], minlength=1)
        present = np.flatnonzero(n)
        means = np.bincount(since[known], weights=column[known], minlength=1)[present] / n[present]
        return since // block_days(present, means)

    def of_regime(self, codes: npt.NDArray[np.int32]) -> list[npt.NDArray[np.int64]]:
        """Clusterings that a subset's error has to stand up to beside blocks of days: each (n_rows,) int64.

        Parameters
        ----------
        codes
            (n_dimensions,) codes of the subset, 0 where free.

        Notes
        -----
        None where it pins no regime; else its spells and the runs of each pinned regime by itself: a subset
        that pins a slow and a fast regime has many short spells within few of the slow one.
        Source: spec section 6; `learning.clusters.ClusteredGroup.cautious` does the same.
        """
        pinned = [d for d in self._regime if codes[d]]
        if not pinned:
            return []
        held = self._in_time
        runs = [self._runs(held[:, d]) for d in pinned]
        return [self._runs((held[:, pinned] == codes[pinned]).all(axis=1)), *runs]

    def _runs(self, values: npt.NDArray[np.int32] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Run of each row: maximal stretches of one value in time."""
        run = np.zeros(len(values), dtype=np.int64)
        run[self._by_time[1:]] = np.cumsum(values[1:] != values[:-1])
        return run
