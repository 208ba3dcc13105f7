"""Deltas in absolute knob values: what a trade would have had under a value less under the lever's neutral.

A trade logs, per lever and value, the rr it would have had less the rr it had (spec section 4). Under a
lever that works that is about nothing: the evidence would erase itself. So each delta is referred to the
lever's neutral, whatever value was applied:

1. where the delta of the neutral is known, it is taken off;
2. else, where the neutral was applied, the delta is what is wanted;
3. else nothing is known.

The delta of the value that was applied is zero.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from leverloop.levers import LEVERS, levers_of

__all__ = ["DeltaValues"]

_MOST_VALUES: Final = 16
"""Values of one lever that are looked at: a trader that logs a continuum must not cost an epoch its time."""
_ALIKE: Final = 1e-6
"""Knobs are kept as 32-bit floats: seven digits."""


class DeltaValues:
    """Deltas that some rows of a group logged.

    Parameters
    ----------
    cells
        The group; its category decides which levers there are.
    rows
        (n_rows,) rows.
    rr_cap
        Bound of a delta in R, as of rr.

    Notes
    -----
    Levers without a neutral of their own, the signal thresholds, are left out: their neutral is the trader's
    own value, which is not known of a trade that an override has moved. Source: spec section 8.
    """

    def __init__(self, cells: GroupCells, rows: npt.NDArray[np.int64], rr_cap: float) -> None:
        self._cells, self._rows, self._rr_cap = cells, rows, rr_cap
        self._names: dict[str, dict[float, list[str]]] = {}
        allowed = {lever.name for lever in levers_of(cells.action_category, "execution") if lever.neutral is not None}
        for name in cells.measure_names():
            lever, _, setting = name.removeprefix("deltas.").rpartition("=")
            value = _number(setting) if name.startswith("deltas.") else math.nan
            if lever in allowed and math.isfinite(value):
                self._names.setdefault(lever, {}).setdefault(value, []).append(name)
        self._logged: dict[tuple[str, float], npt.NDArray[np.float64]] = {}

    @property
    def levers(self) -> tuple[str, ...]:
        """Levers with deltas, sorted."""
        return tuple(sorted(self._names))

    def values(self, lever: str, first: npt.NDArray[np.bool_], n_min: int) -> tuple[float, ...]:
        """Values of a lever within its bounds that enough trades know the delta of, rising.

        Parameters
        ----------
        lever
            One of `levers`.
        first
            (n_rows,) the first row of each trade.
        n_min
            Trades from which on a value is looked at.

        Notes
        -----
        Of more than 16 values those that most trades know. The choice sees who logged what, never a result.
        """
        known: list[tuple[int, float]] = []
        for value in self._names.get(lever, {}):
            if LEVERS[lever].holds(value) and value != LEVERS[lever].neutral:
                n = int((~np.isnan(self.deltas(lever, value)) & first).sum())
                known += [(-n, value)] if n >= n_min else []
        return tuple(sorted(value for _, value in sorted(known)[:_MOST_VALUES]))

    def deltas(self, lever: str, value: float) -> npt.NDArray[np.float64]:
        """Return rr under a value less rr under the lever's neutral: (n_rows,) R, NaN where not known."""
        neutral = LEVERS[lever].neutral
        assert neutral is not None, "levers without a neutral are left out"
        applied = self._cells.measure(f"knobs.{lever}", self._rows)
        applied = np.where(np.isnan(applied), neutral, applied)
        found = self._delta(lever, value, applied) - self._delta(lever, neutral, applied)
        return np.clip(found, -self._rr_cap, self._rr_cap)

    def _delta(self, lever: str, value: float, applied: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Logged delta of a value; zero for the value that was applied, unless the trade says otherwise."""
        key = (lever, value)
        if key not in self._logged:
            found = np.full(len(self._rows), np.nan)
            for name in self._names[lever].get(value, []):  # "1" and "1.0" are one value
                measure = self._cells.measure(name, self._rows)
                found = np.where(np.isnan(found), measure, found)
            self._logged[key] = found
        had = np.abs(applied - value) <= _ALIKE * max(1.0, abs(value))
        return np.where(np.isnan(self._logged[key]) & had, 0.0, self._logged[key])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
