"""What moves together: the observations of a group, clustered by day or by spell (spec section 6)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells, day_of
from learning.evidence import Effects, effects, effects_by_spell

__all__ = ["ClusteredGroup"]

_REGIME: Final = ("macro_phase", "meso_phase", "micro_phase", "bucket_leader")  # bits 0-3


class ClusteredGroup:
    """Some rows of a group, with the clusters that errors are taken over.

    Parameters
    ----------
    cells
        The group.
    rows
        (n_rows,) rows, those of a trade together.
    """

    def __init__(self, cells: GroupCells, rows: npt.NDArray[np.int64]) -> None:
        self.codes = np.ascontiguousarray(cells.codes(rows).astype(np.int32))
        self.trade = cells.column("trade", rows)
        self.day = day_of(cells.column("closed_at_ms", rows))
        self._day_cluster = np.unique(self.day, return_inverse=True)[1].astype(np.int64)
        self._by_time = np.lexsort((self.trade, cells.column("action_at_ms", rows)))
        self._regime = [i for i, name in enumerate(cells.dimensions) if name in _REGIME]

    def effects(
        self,
        subsets: npt.NDArray[np.int32],
        rr: npt.NDArray[np.float64],
        rr_beside_day: npt.NDArray[np.float64],
    ) -> Effects:
        """Effect of each subset, in the order given.

        Parameters
        ----------
        subsets
            (n_subsets, n_dimensions) codes, 0 where free.
        rr
            (n_rows,) compared where the subset pins a regime: errors by spell.
        rr_beside_day
            (n_rows,) compared where it pins none: errors by the day of the close.

        Notes
        -----
        Source: spec section 6, clusters for errors.
        """
        regimes = subsets[:, self._regime]
        order = np.lexsort(regimes.T) if len(subsets) else np.zeros(0, dtype=np.int64)
        free = (regimes == 0).all(axis=1)[order]
        parts = (
            effects(self.codes, self.trade, rr_beside_day, self._day_cluster, subsets[order[free]]),
            effects_by_spell(
                self.codes, self.trade, rr, self._by_time, np.array(self._regime, dtype=np.int64), subsets[order[~free]]
            ),
        )
        back = np.argsort(np.concatenate([order[free], order[~free]]))

        def joined(name: str) -> npt.NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])[back]

        return Effects(**{name: joined(name) for name in Effects.__struct_fields__})

    def cautious(
        self,
        subsets: npt.NDArray[np.int32],
        rr: npt.NDArray[np.float64],
        rr_beside_day: npt.NDArray[np.float64],
    ) -> Effects:
        """Effect of each subset with the largest error of any clustering that it could hide behind.

        A subset that pins a slow and a fast regime has many short spells, all within few spells of the slow
        one: taken as independent they make an accident of the slow regime significant. So errors are also
        taken over the runs of each pinned regime by itself, and over days, and the largest stands.

        Parameters
        ----------
        subsets, rr, rr_beside_day
            As of `effects`.
        """
        found = self.effects(subsets, rr, rr_beside_day)
        error, n_clusters = found.error_rr.copy(), found.n_clusters.copy()
        for i, codes in enumerate(subsets):
            pinned = [d for d in self._regime if codes[d]]
            for clusters in [*(self._runs(d) for d in pinned), self._day_cluster] if pinned else []:
                other = effects(self.codes, self.trade, rr, clusters, subsets[i : i + 1])
                error[i] = max(error[i], other.error_rr[0])
                n_clusters[i] = min(n_clusters[i], other.n_clusters[0])
        return Effects(effect_rr=found.effect_rr, error_rr=error, n=found.n, n_clusters=n_clusters)

    def _runs(self, dimension: int) -> npt.NDArray[np.int64]:
        """Run of each row in time: maximal stretches of one value of a dimension."""
        values = self.codes[self._by_time, dimension]
        run = np.zeros(len(values), dtype=np.int64)
        run[self._by_time[1:]] = np.cumsum(values[1:] != values[:-1])
        return run
