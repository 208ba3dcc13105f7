"""How matches become levers: weights, the blend of capital levers, the choice of execution levers (spec section 12).

Everything here takes matches in the order of their ids and keeps to it, so that sums come out the same to
the last bit however a snapshot was written. Loops are spelt out where a resolve spends its microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Final

from leverloop.levers import LEVERS
from leverloop.matching import Match

__all__ = ["CUT_OFF", "MIN_STRENGTH", "blended", "blended_weights", "choose", "strict", "strict_weights"]

CUT_OFF: Final = 0.02
"""Weight that counts for nothing (S3); a match weighs what it has beyond it."""
MIN_STRENGTH: Final = 0.2
"""Confidence in a lesson that execution levers need."""
_SPECIFICITY: Final = 1.5  # S3's alpha
_MAX_STEP: Final = log(1.02)  # S3: at most 0.02 in multiplier space per call
_MAX_DIMS: Final = 31  # a mask has 31 bits
_SPEC: Final = tuple(
    tuple((k / most) ** _SPECIFICITY for k in range(_MAX_DIMS + 1)) for most in range(1, _MAX_DIMS + 1)
)


def blended_weights(matches: Sequence[Match], at_ms: int) -> list[float]:
    """Weights w' of matches: specific relative to the most specific of them, a factor counted once.

    Parameters
    ----------
    matches
        Capital matches of one action, at least one.
    at_ms
        Time of the action; evidence from after it counts as fresh.

    Notes
    -----
    Source: spec section 12. Within a factor the weights sum to the largest of them, before the cut-off.
    """
    spec = _SPEC[max([match.dims for match in matches]) - 1]
    weights: list[float] = []
    factored = False
    for match in matches:
        w = match.base * spec[match.dims]
        age_ms = at_ms - match.updated_at_ms
        if age_ms > 0:
            w *= exp(age_ms * match.decay_per_ms)
        weights.append(w)
        if match.factor_id is not None:
            factored = True
    if factored:
        _share_factors(matches, weights)
    return [w - CUT_OFF if w > CUT_OFF else 0.0 for w in weights]


def _share_factors(matches: Sequence[Match], weights: list[float]) -> None:
    """Scale the weights of each factor, in place, so that they sum to the largest of them."""
    factors: dict[str, list[float]] = {}  # largest, sum
    for match, w in zip(matches, weights, strict=True):
        if match.factor_id is not None:
            found = factors.get(match.factor_id)
            if found is None:
                factors[match.factor_id] = [w, w]
            else:
                found[1] += w
                found[0] = max(found[0], w)
    for i, match in enumerate(matches):
        if match.factor_id is not None:
            largest, total = factors[match.factor_id]
            if largest < total:
                weights[i] *= largest / total


def strict_weights(matches: Sequence[Match], at_ms: int, all_dims: int) -> list[float]:
    """Weights of matches by S3 to the letter: specific relative to all dimensions, ignored below the cut-off.

    Parameters
    ----------
    matches
        Matches prepared for profile ``strict``, whose decay is exp(-age / half_life).
    at_ms
        Time of the action.
    all_dims
        S3's max_scope_dims: dimensions of the module.

    Notes
    -----
    Source: S3 section 3.
    """
    weights = [_aged(match, at_ms) * (match.dims / all_dims) ** _SPECIFICITY for match in matches]
    return [0.0 if w < CUT_OFF else w for w in weights]


def _aged(match: Match, at_ms: int) -> float:
    age_ms = at_ms - match.updated_at_ms
    return match.base * exp(age_ms * match.decay_per_ms) if age_ms > 0 else match.base


def blended(matches: Sequence[Match], weights: Sequence[float]) -> dict[str, float]:
    """Capital levers: the weighted mean of logarithms over the matches that have the lever.

    Parameters
    ----------
    matches, weights
        Matches, and their weights w'.

    Notes
    -----
    Source: spec section 12. A result never leaves the range of the values that went into it.
    """
    sums: dict[str, list[float]] = {}
    for match, w in zip(matches, weights, strict=True):
        if w > 0.0:
            for name, logarithm, value in match.logs:
                if name in sums:
                    found = sums[name]
                    found[0] += w * logarithm
                    found[1] += w
                    if value < found[2]:
                        found[2] = value
                    elif value > found[3]:
                        found[3] = value
                else:
                    sums[name] = [w * logarithm, w, value, value]
    levers: dict[str, float] = {}
    for name, (weighted, total, low, high) in sums.items():
        value = exp(weighted / total)
        levers[name] = value if low <= value <= high else low if value < low else high
    return levers


def strict(matches: Sequence[Match], weights: Sequence[float]) -> dict[str, float]:
    """Capital levers by S3: blended, moved by at most 2 % per call, within bounds.

    Notes
    -----
    Source: S3 sections 3 and 5 (a logarithm of at most ln 1.02).
    """
    levers: dict[str, float] = {}
    for name, value in blended(matches, weights).items():
        step = exp(min(_MAX_STEP, max(-_MAX_STEP, log(value))))
        levers[name] = min(LEVERS[name].high, max(LEVERS[name].low, step))
    return levers


def choose(matches: Sequence[Match], at_ms: int) -> dict[str, Match]:
    """Execution levers: for each the most specific match that has it and is strong enough.

    Parameters
    ----------
    matches
        Execution matches in the order of ids.
    at_ms
        Time of the action.

    Returns
    -------
    dict
        Lever name -> the match it comes from. Ties go to the larger weight, then to the smaller id.

    Notes
    -----
    Source: spec section 12. Tied matches are equally specific: their order needs no specificity.
    """
    best: dict[str, tuple[int, float, Match]] = {}
    for match in matches:
        if match.strength >= MIN_STRENGTH:
            w = _aged(match, at_ms)
            for name in match.levers:
                found = best.get(name)
                if found is None or (match.dims, w) > found[:2]:
                    best[name] = (match.dims, w, match)
    return {name: match for name, (_, _, match) in best.items()}
