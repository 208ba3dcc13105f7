"""A test that stays valid however often one looks: what activates a lesson (spec section 7; docs/lessons.md).

Discovery looks at thousands of subsets, again at every epoch, and its p values carry no guarantee. So a candidate is
put to the test on trades that closed after it was nominated, and on nothing else: whatever it was chosen for is not
among them. The e-value below is, where the candidate has no effect, at least x at *any* time with a probability of
at most 1/x. The i-th candidate of a module needs x = i (i + 1) / (alpha (1 + r)), r being how many of them have been
activated before: of all that are ever activated at most alpha, in expectation, have no effect.
"""

from __future__ import annotations

import math
from typing import Final

from scipy.special import log_ndtr, ndtri_exp, stdtr

__all__ = ["e_value", "level"]

_TUNED_TO: Final = 16.0
"""Clusters at which the test is sharpest; a quarter or four times as many cost it half a unit of ln e."""
_LARGEST_Z: Final = 38.0
_MOST_LOG: Final = 690.0


def e_value(effect_rr: float, error_rr: float, n_clusters: int, direction: int) -> float:
    """Evidence for an effect of a direction, against none: a mixture likelihood ratio that may be looked at any time.

    Parameters
    ----------
    effect_rr, error_rr
        Effect on the trades closed after the nomination, and its clustered standard error, in R.
    n_clusters
        Independent stretches of time among them.
    direction
        +1 or -1, as nominated.

    Notes
    -----
    With z = direction * effect / error and r = G / (G + G0): 2 sqrt(1 - r) exp(r z^2 / 2) Phi(z sqrt(r)), the normal
    mixture martingale over positive effects (Robbins, Annals of Mathematical Statistics 41, 1970), with estimated
    errors an asymptotic one (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 52, 2024). For few
    clusters z is the normal score of Student's t with G - 1 degrees of freedom, which is smaller.

    Examples
    --------
    >>> round(e_value(0.6, 0.1, 40, 1)), e_value(0.6, 0.1, 40, -1) < 0.2, e_value(0.6, 0.1, 1, 1)
    (8650, True, 1.0)
    """
    if n_clusters <= 1 or not error_rr > 0.0 or not math.isfinite(effect_rr):
        return 1.0
    t = direction * effect_rr / error_rr
    tail = float(stdtr(n_clusters - 1, -abs(t)))
    z = math.copysign(-float(ndtri_exp(math.log(tail))), t) if tail > 0.0 else math.copysign(_LARGEST_Z, t)
    r = n_clusters / (n_clusters + _TUNED_TO)
    log_e = math.log(2.0) + 0.5 * math.log1p(-r) + 0.5 * r * z * z + float(log_ndtr(z * math.sqrt(r)))
    return math.exp(min(log_e, _MOST_LOG))


def level(alpha: float, ordinal: int, confirmed: int = 0) -> float:
    """Share of alpha that the test of a module's i-th candidate may spend.

    Parameters
    ----------
    alpha
        Expected share, at most, of candidates without an effect among those that are ever activated.
    ordinal
        i: 1 for the first candidate.
    confirmed
        How many have been activated before this one is.

    Notes
    -----
    alpha (confirmed + 1) / (i (i + 1)): e-LOND (Xu and Ramdas, Online multiple testing with e-values, AISTATS 2024),
    which bounds the false discovery rate however the e-values depend on each other. With nothing to be found,
    nothing has been activated before, and it bounds the probability of any activation.

    Examples
    --------
    >>> level(0.02, 1), sum(level(0.02, i) for i in range(1, 100_000)) < 0.02
    (0.01, True)
    >>> round(1 / level(0.02, 8)), round(1 / level(0.02, 8, confirmed=5))
    (3600, 600)
    """
    return alpha * (confirmed + 1) / (ordinal * (ordinal + 1))
