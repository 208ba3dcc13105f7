"""edge_raw: how much a subset earns over its baseline, how steadily, on how much evidence (spec section 6)."""

from __future__ import annotations

import math
from typing import Final

import msgspec

__all__ = ["NEUTRAL_WEIGHTS", "EdgeWeights", "edge_raw"]


class EdgeWeights(msgspec.Struct, frozen=True, kw_only=True):
    """Regime weights of the factors of an edge; 1 is neutral (spec section 9)."""

    time_efficiency: float = 1.0
    field_coherence: float = 1.0
    recurrence_score: float = 1.0
    variance: float = 1.0


NEUTRAL_WEIGHTS: Final = EdgeWeights()


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
    if variance is None:
        return None
    c = 1.0 / (1.0 + variance)
    weighted = [
        weight * factor
        for weight, factor in (
            (weights.time_efficiency, time_efficiency),
            (weights.field_coherence, field_coherence),
            (weights.recurrence_score, recurrence_score),
        )
        if factor is not None
    ]
    steadiness = 0.5 + 0.5 * math.fsum(weighted) / len(weighted) if weighted else 0.5
    return delta_rr * c * math.log1p(n) * steadiness * c**weights.variance
