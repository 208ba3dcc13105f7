"""edge_raw: how much a subset earns over its baseline, how steadily, on how much evidence (spec section 6)."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

__all__ = ["NEUTRAL_WEIGHTS", "EdgeWeights", "edge_raw", "edges_raw"]


class EdgeWeights(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Regime weights of the factors of an edge; 1 is neutral (spec section 9)."""

    time_efficiency: float = 1.0
    field_coherence: float = 1.0
    recurrence_score: float = 1.0
    variance: float = 1.0


NEUTRAL_WEIGHTS: Final = EdgeWeights()
_FIELDS: Final = EdgeWeights.__struct_fields__


def edge_raw(
    *,
    delta_rr: float,
    variance: float | None,
    n: int,
    time_efficiency: float | None,
    field_coherence: float | None,
    recurrence_score: float | None,
    weights: EdgeWeights = NEUTRAL_WEIGHTS,
) -> float | None:
    """Edge of a subset; None without a variance.

    Parameters
    ----------
    delta_rr
        Mean rr above the baseline, in R.
    variance
        Sample variance of rr, in R squared; None for n < 2.
    n
        Distinct trades.
    time_efficiency, field_coherence, recurrence_score
        Factors in [0, 1]; a missing one leaves the mean.
    weights
        Regime weights.

    Notes
    -----
    Source: spec section 6: delta_rr c ln(1 + n) (0.5 + 0.5 mean_j(w_j f_j)) c**w_variance, c = 1/(1 + variance).
    The specification's vectors, 1.17395 and 1.16927, were worked out with c rounded to 0.75758; these are exact.

    Examples
    --------
    >>> round(edge_raw(delta_rr=0.65, variance=0.32, n=42, time_efficiency=0.75, field_coherence=0.82,
    ...     recurrence_score=0.45), 5)
    1.17394
    >>> round(edge_raw(delta_rr=0.65, variance=0.32, n=42, time_efficiency=1, field_coherence=1,
    ...     recurrence_score=0), 5)
    1.16926
    """
    found = edges_raw(
        delta_rr=_array(delta_rr),
        variance=_array(variance),
        n=np.array([n], dtype=np.int64),
        time_efficiency=_array(time_efficiency),
        field_coherence=_array(field_coherence),
        recurrence_score=_array(recurrence_score),
        weights=weights,
    )
    return None if math.isnan(found[0]) else float(found[0])


def edges_raw(
    *,
    delta_rr: npt.NDArray[np.float64],
    variance: npt.NDArray[np.float64],
    n: npt.NDArray[np.int64],
    time_efficiency: npt.NDArray[np.float64],
    field_coherence: npt.NDArray[np.float64],
    recurrence_score: npt.NDArray[np.float64],
    weights: EdgeWeights | npt.NDArray[np.float64] = NEUTRAL_WEIGHTS,
) -> npt.NDArray[np.float64]:
    """Edges of many subsets, (n_subsets,), NaN without a variance: the same numbers as `edge_raw` gives one by one.

    Parameters
    ----------
    delta_rr, variance, n, time_efficiency, field_coherence, recurrence_score
        (n_subsets,) as of `edge_raw`, NaN where that has None.
    weights
        Regime weights: one for all subsets, or (n_subsets, 4), a column for each field of `EdgeWeights`.

    Notes
    -----
    Source: spec section 6.

    Examples
    --------
    >>> three = np.array([0.75, np.nan, 0.5])
    >>> edges_raw(delta_rr=np.full(3, 0.65), variance=three - 0.5, n=np.full(3, 42), time_efficiency=three,
    ...     field_coherence=three, recurrence_score=three).round(3)
    array([1.369,   nan, 1.834])
    """
    of = np.array(msgspec.structs.astuple(weights)) if isinstance(weights, EdgeWeights) else weights
    factors = np.stack((time_efficiency, field_coherence, recurrence_score))
    return _edges(delta_rr, variance, n, factors, np.ascontiguousarray(np.broadcast_to(of, (len(n), len(_FIELDS)))))


def _array(value: float | None) -> npt.NDArray[np.float64]:
    return np.array([math.nan if value is None else value], dtype=np.float64)


@numba.njit(cache=True, nogil=True)
def _edges(delta_rr: Any, variance: Any, n: Any, factors: Any, weights: Any) -> Any:
    edges = np.full(len(n), np.nan)
    for s in range(len(n)):
        if math.isnan(variance[s]):
            continue
        c = 1.0 / (1.0 + variance[s])
        weighted, known = 0.0, 0
        for j in range(len(factors)):
            if not math.isnan(factors[j, s]):
                weighted += weights[s, j] * factors[j, s]
                known += 1
        steadiness = 0.5 + 0.5 * weighted / known if known else 0.5
        edges[s] = delta_rr[s] * c * math.log1p(n[s]) * steadiness * c ** weights[s, 3]
    return edges
