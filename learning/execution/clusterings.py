"""Clusters that a mean could hide behind: blocks of days, spells, and runs of one regime (spec section 6)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from learning.clusters import ClusteredGroup, block_days

__all__ = ["Clusterings"]


class Clusterings:
    """Clusters of some rows of a group.

    Parameters
    ----------
    clustered
        The rows, with their scope, their days and their order in time.
    """

    def __init__(self, clustered: ClusteredGroup) -> None:
        self._clustered = clustered

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
        clustered = self._clustered
        pinned = [d for d in clustered.regime.tolist() if codes[d]]
        if not pinned:
            return []
        spells = clustered.runs((clustered.codes[:, pinned] == codes[pinned]).all(axis=1))
        return [spells, *(clustered.runs(clustered.codes[:, d]) for d in pinned)]
