"""From what a trader knows of the market to the regime part of a scope (spec section 14)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from leverloop.errors import BadInput
from leverloop.scope import Scope

__all__ = [
    "BUCKETS",
    "HORIZONS",
    "MIN_POPULATION",
    "PORTFOLIO",
    "Horizon",
    "PhaseRecord",
    "age_bucket",
    "bucket_rank",
    "cap_bucket",
    "mcap_bucket",
    "mcap_vol_ratio_bucket",
    "mode",
    "regime_scope",
    "vol_bucket",
]

Horizon = Literal["macro", "meso", "micro"]
HORIZONS: Final[tuple[Horizon, ...]] = ("macro", "meso", "micro")
BUCKETS: Final = ("nano", "micro", "mid", "big", "large", "xl")
PORTFOLIO: Final = "PORTFOLIO"
MIN_POPULATION: Final = 8
"""A bucket of fewer tokens has no rank."""
_MAX_AGE_INTERVALS: Final = 2
_DAY_MS: Final = 86_400_000

_CAP_BOUNDS: Final = (1e5, 5e6, 5e7, 5e8, 1e9)
_MCAP: Final = ((5e5, 1e6, 2e6, 5e6, 1e7, 5e7), ("<500k", "500k-1m", "1m-2m", "2m-5m", "5m-10m", "10m-50m", "50m+"))
_VOL: Final = (
    (1e4, 5e4, 1e5, 2.5e5, 5e5, 1e6),
    ("<10k", "10k-50k", "50k-100k", "100k-250k", "250k-500k", "500k-1m", "1m+"),
)
_AGE_DAYS: Final = ((1.0, 3.0, 7.0, 14.0, 30.0, 90.0), ("<1d", "1-3d", "3-7d", "7-14d", "14-30d", "30-90d", "90d+"))
_RATIO: Final = ((0.1, 0.5, 1.0, 2.0, 5.0), ("<0.1", "0.1-0.5", "0.5-1", "1-2", "2-5", "5+"))
_MODES: Final = ((0.3, 0.7), ("patient", "normal", "aggressive"))


class PhaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Phase of the portfolio or of one cap bucket on one horizon, as a regime tracker wrote it."""

    bucket: str
    """One of `BUCKETS`, or `PORTFOLIO`."""
    horizon: Horizon
    phase: str
    score: float
    slope: float = 0.0
    confidence: float = 0.0
    population: int = 0
    at_ms: int


def regime_scope(
    records: Iterable[PhaseRecord], *, at_ms: int, interval_ms: Mapping[Horizon, int], bucket: str | None = None
) -> Scope:
    """Regime part of a scope: phases of the portfolio, leader among the buckets, place of a token's bucket.

    Parameters
    ----------
    records
        Phase records in any order; the newest up to `at_ms` counts for each bucket and horizon, so that
        nothing is seen before it was known.
    at_ms
        Time of the action.
    interval_ms
        How often the tracker writes each horizon; what is older than two intervals is left out.
    bucket
        Cap bucket of the token; None leaves its place out.

    Returns
    -------
    Scope
        Dimensions that are known; the others are missing.

    Notes
    -----
    Source: spec section 14.

    Examples
    --------
    >>> def record(bucket, horizon, phase, score):
    ...     return PhaseRecord(bucket=bucket, horizon=horizon, phase=phase, score=score, population=20, at_ms=1000)
    >>> regime_scope(
    ...     [record("PORTFOLIO", "macro", "Dip", 0.1), record("mid", "meso", "Good", 0.4),
    ...      record("micro", "meso", "Good", 0.9)],
    ...     at_ms=1500, interval_ms={"macro": 1000, "meso": 1000, "micro": 1000}, bucket="mid")
    {'macro_phase': 'Dip', 'bucket_leader': 'micro', 'bucket_rank_position': 2}
    """
    known = _newest(records, at_ms, interval_ms)
    scope: Scope = {}
    for horizon in HORIZONS:
        portfolio = known.get((PORTFOLIO, horizon))
        if portfolio is not None:
            scope[f"{horizon}_phase"] = portfolio.phase
    ranked = _ranked(known)
    if ranked:
        scope["bucket_leader"] = ranked[0]
    if bucket in ranked:
        scope["bucket_rank_position"] = ranked.index(bucket) + 1
    return scope


def bucket_rank(records: Iterable[PhaseRecord], *, at_ms: int, interval_ms: Mapping[Horizon, int]) -> tuple[str, ...]:
    """Cap buckets by meso score, the best first, ties in the order of buckets.

    Left out: what is older than two intervals, and a population below `MIN_POPULATION`.

    Notes
    -----
    Source: spec section 14.
    """
    return _ranked(_newest(records, at_ms, interval_ms))


def _newest(
    records: Iterable[PhaseRecord], at_ms: int, interval_ms: Mapping[Horizon, int]
) -> dict[tuple[str, Horizon], PhaseRecord]:
    known: dict[tuple[str, Horizon], PhaseRecord] = {}
    for record in records:
        age_ms = at_ms - record.at_ms
        if 0 <= age_ms <= _MAX_AGE_INTERVALS * interval_ms[record.horizon]:
            key = (record.bucket, record.horizon)
            if key not in known or _recency(record) > _recency(known[key]):
                known[key] = record
    return known


def _recency(record: PhaseRecord) -> tuple[int, float, str]:
    return record.at_ms, record.score, record.phase  # two records of one time: never the order they came in


def _ranked(known: Mapping[tuple[str, Horizon], PhaseRecord]) -> tuple[str, ...]:
    scores: dict[str, float] = {}
    for bucket in BUCKETS:
        record = known.get((bucket, "meso"))
        if record is not None and record.population >= MIN_POPULATION:
            if not math.isfinite(record.score):
                raise BadInput(f"{bucket}.meso.score", "a finite number", record.score)
            scores[bucket] = record.score
    return tuple(sorted(scores, key=lambda bucket: -scores[bucket]))  # stable: ties stay in the order of buckets


def cap_bucket(mcap_usd: float) -> str:
    """Cap bucket of a market capitalisation in USD, lower bounds inclusive.

    Notes
    -----
    Source: spec section 14.

    Examples
    --------
    >>> cap_bucket(99_999), cap_bucket(100_000), cap_bucket(1e9)
    ('nano', 'micro', 'xl')
    """
    return _within("mcap_usd", mcap_usd, _CAP_BOUNDS, BUCKETS)


def mcap_bucket(mcap_usd: float) -> str:
    """Value of dimension ``mcap_bucket`` for a market capitalisation in USD.

    Examples
    --------
    >>> mcap_bucket(500_000)
    '500k-1m'
    """
    return _within("mcap_usd", mcap_usd, *_MCAP)


def vol_bucket(volume_usd: float) -> str:
    """Value of dimension ``vol_bucket`` for a traded volume in USD.

    Examples
    --------
    >>> vol_bucket(250_000)
    '250k-500k'
    """
    return _within("volume_usd", volume_usd, *_VOL)


def age_bucket(age_ms: float) -> str:
    """Value of dimension ``age_bucket`` for the age of a token in milliseconds.

    Examples
    --------
    >>> age_bucket(7 * 86_400_000)
    '7-14d'
    """
    return _within("age_ms", age_ms, tuple(days * _DAY_MS for days in _AGE_DAYS[0]), _AGE_DAYS[1])


def mcap_vol_ratio_bucket(ratio: float) -> str:
    """Value of dimension ``mcap_vol_ratio_bucket`` for a market capitalisation over a volume.

    Examples
    --------
    >>> mcap_vol_ratio_bucket(0.5)
    '0.5-1'
    """
    return _within("ratio", ratio, *_RATIO)


def mode(value: float) -> str:
    """Value of ``A_mode`` or ``E_mode`` for an A or E value.

    Examples
    --------
    >>> mode(0.29), mode(0.3), mode(0.7)
    ('patient', 'normal', 'aggressive')
    """
    return _within("value", value, *_MODES)


def _within(field: str, value: float, bounds: tuple[float, ...], names: tuple[str, ...]) -> str:
    if not (math.isfinite(value) and value >= 0.0):
        raise BadInput(field, "a finite number, not negative", value)
    return names[bisect_right(bounds, value)]
