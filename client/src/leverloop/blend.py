"""How matches become levers: weights, the blend of capital levers, the choice of execution levers (spec section 12).

Everything here takes matches in the order of their ids and keeps to it, so that sums come out the same to
the last bit however a snapshot was written. Loops are spelt out where a resolve spends its microseconds.
"""

# ruff: noqa: PLR1730 - min and max are calls
from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log
from typing import Final

from leverloop.levers import LEVERS
from leverloop.matching import CAPITAL_OF, Match

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
    rows = [match.weighing for match in matches]
    most = 0
    for row in rows:
        if row[0] > most:
            most = row[0]
    spec = _SPEC[most - 1]
    weights: list[float] = []
    factors: dict[str, list[float]] = {}  # largest weight, sum
    shared = False
    for dims, base, updated_at_ms, decay_per_ms, factor_id in rows:
        w = base * spec[dims]
        if at_ms > updated_at_ms:
            w *= exp((at_ms - updated_at_ms) * decay_per_ms)
        weights.append(w)
        if factor_id is not None:
            if factor_id in factors:
                shared = True
                found = factors[factor_id]
                found[1] += w
                if w > found[0]:
                    found[0] = w
            else:
                factors[factor_id] = [w, w]
    if shared:
        for i, row in enumerate(rows):
            if row[4] is not None:
                largest, total = factors[row[4]]
                if largest < total:
                    weights[i] *= largest / total
    return [w - CUT_OFF if w > CUT_OFF else 0.0 for w in weights]


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
    weights = [_aged(match, at_ms) * (match.weighing[0] / all_dims) ** _SPECIFICITY for match in matches]
    return [0.0 if w < CUT_OFF else w for w in weights]


def _aged(match: Match, at_ms: int) -> float:
    _, base, updated_at_ms, decay_per_ms, _ = match.weighing
    return base * exp((at_ms - updated_at_ms) * decay_per_ms) if at_ms > updated_at_ms else base


def blended(matches: Sequence[Match], weights: Sequence[float]) -> dict[str, float]:
    """Capital levers: the weighted mean of logarithms over the matches that have the lever.

    Parameters
    ----------
    matches, weights
        Matches of one category, at least one, and their weights w'.

    Notes
    -----
    Source: spec section 12. A result never leaves the range of the values that went into it. Both levers of
    a category are summed in one pass: where a match does not move one, it adds nothing to its sums, and no
    comparison with NaN is true.
    """
    total_1 = total_2 = sum_1 = sum_2 = high_1 = high_2 = 0.0
    low_1 = low_2 = inf
    for match, w in zip(matches, weights, strict=True):
        if w > 0.0 and match.terms:
            has_1, log_1, value_1, has_2, log_2, value_2 = match.terms
            total_1 += w * has_1
            total_2 += w * has_2
            sum_1 += w * log_1
            sum_2 += w * log_2
            if value_1 < low_1:
                low_1 = value_1
            if value_1 > high_1:
                high_1 = value_1
            if value_2 < low_2:
                low_2 = value_2
            if value_2 > high_2:
                high_2 = value_2
    levers: dict[str, float] = {}
    names = CAPITAL_OF[matches[0].category]
    if total_1 > 0.0:
        value = exp(sum_1 / total_1)
        levers[names[0]] = value if low_1 <= value <= high_1 else low_1 if value < low_1 else high_1
    if total_2 > 0.0:
        value = exp(sum_2 / total_2)
        levers[names[1]] = value if low_2 <= value <= high_2 else low_2 if value < low_2 else high_2
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
    best: dict[str, Match] = {}
    for match in matches:
        if match.strength >= MIN_STRENGTH:
            dims = match.weighing[0]
            for name in match.levers:
                found = best.get(name)
                if (
                    found is None
                    or dims > found.weighing[0]
                    or (dims == found.weighing[0] and _aged(match, at_ms) > _aged(found, at_ms))
                ):
                    best[name] = match
    return best
