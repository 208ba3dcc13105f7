"""A scope from what a trader has at hand: numbers become the names that the schema knows (spec sections 3 and 14)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from leverloop.errors import BadInput
from leverloop.patterns import Module
from leverloop.regime import (
    Horizon,
    PhaseRecord,
    age_bucket,
    cap_bucket,
    mcap_bucket,
    mcap_vol_ratio_bucket,
    mode,
    regime_scope,
    vol_bucket,
)
from leverloop.scope import DEFAULT_SCHEMA, Scope, ScopeSchema, ScopeValue

__all__ = ["build_dm_scope", "build_pm_scope"]

_NO_INTERVALS: Final[Mapping[Horizon, int]] = {}


def build_pm_scope(
    *,
    at_ms: int,
    phases: Iterable[PhaseRecord] = (),
    interval_ms: Mapping[Horizon, int] = _NO_INTERVALS,
    mcap_usd: float | None = None,
    bucket: str | None = None,
    market_family: str | None = None,
    timeframe: str | None = None,
    a_value: float | None = None,
    e_value: float | None = None,
    schema: ScopeSchema = DEFAULT_SCHEMA,
    **own: ScopeValue | None,
) -> Scope:
    """Scope of a Portfolio Manager's action; what is None is left out, in bit order.

    Parameters
    ----------
    at_ms
        Time of the action: phases from after it, or older than two intervals, are left out.
    phases, interval_ms
        Phase records of the regime tracker, and how often it writes each horizon (`regime_scope`).
    mcap_usd, bucket
        Market capitalisation, from which the cap bucket follows; or the bucket itself, which wins.
    market_family, timeframe
        As the schema names them.
    a_value, e_value
        The trader's A and E *before* overrides, in [0, 1]: the modes follow from them.
    schema, own
        Schema with dimensions of your own, and their values.

    Raises
    ------
    BadInput
        For a value outside its dimension's vocabulary, a dimension that a PM does not have, and phases of a
        horizon without an interval.

    Notes
    -----
    Source: spec sections 3 and 14.

    Examples
    --------
    >>> build_pm_scope(at_ms=0, mcap_usd=2e6, timeframe="1h", a_value=0.8)
    {'bucket': 'micro', 'timeframe': '1h', 'A_mode': 'aggressive'}
    """
    if bucket is None and mcap_usd is not None:
        bucket = cap_bucket(mcap_usd)
    values: dict[str, Any] = {
        **_regime(phases, at_ms, interval_ms, bucket),
        "bucket": bucket,
        "market_family": market_family,
        "timeframe": timeframe,
        "A_mode": None if a_value is None else mode(a_value),
        "E_mode": None if e_value is None else mode(e_value),
    }
    return _scope(values, own, schema, "pm")


def build_dm_scope(
    *,
    at_ms: int,
    phases: Iterable[PhaseRecord] = (),
    interval_ms: Mapping[Horizon, int] = _NO_INTERVALS,
    mcap_usd: float | None = None,
    volume_usd: float | None = None,
    age_ms: float | None = None,
    bucket: str | None = None,
    curator: str | None = None,
    chain: str | None = None,
    intent: str | None = None,
    mapping_confidence: str | None = None,
    schema: ScopeSchema = DEFAULT_SCHEMA,
    **own: ScopeValue | None,
) -> Scope:
    """Scope of a Decision Maker's allocation; what is None is left out, in bit order.

    Parameters
    ----------
    at_ms, phases, interval_ms, schema, own
        As in `build_pm_scope`.
    mcap_usd, volume_usd, age_ms
        Market capitalisation, traded volume and age of the token: four buckets and the cap bucket follow. The
        ratio is left out where nothing was traded.
    bucket
        Cap bucket, if not that of the market capitalisation.
    curator, chain, intent, mapping_confidence
        As the schema names them.

    Raises
    ------
    BadInput
        As `build_pm_scope`.

    Notes
    -----
    Source: spec sections 3 and 14.

    Examples
    --------
    >>> build_dm_scope(at_ms=0, mcap_usd=2e6, volume_usd=1e6, chain="sol")["mcap_vol_ratio_bucket"]
    '2-5'
    """
    if bucket is None and mcap_usd is not None:
        bucket = cap_bucket(mcap_usd)
    values: dict[str, Any] = {
        **_regime(phases, at_ms, interval_ms, bucket),
        "bucket": bucket,
        "curator": curator,
        "chain": chain,
        "mcap_bucket": None if mcap_usd is None else mcap_bucket(mcap_usd),
        "vol_bucket": None if volume_usd is None else vol_bucket(volume_usd),
        "age_bucket": None if age_ms is None else age_bucket(age_ms),
        "intent": intent,
        "mapping_confidence": mapping_confidence,
        "mcap_vol_ratio_bucket": _ratio_bucket(mcap_usd, volume_usd),
    }
    return _scope(values, own, schema, "dm")


def _regime(phases: Iterable[PhaseRecord], at_ms: int, interval_ms: Mapping[Horizon, int], bucket: str | None) -> Scope:
    records = list(phases)
    for record in records:
        if record.horizon not in interval_ms:
            raise BadInput("interval_ms", f"how often phases of horizon {record.horizon} are written", interval_ms)
    return regime_scope(records, at_ms=at_ms, interval_ms=interval_ms, bucket=bucket)


def _ratio_bucket(mcap_usd: float | None, volume_usd: float | None) -> str | None:
    if mcap_usd is None or not volume_usd:
        return None
    return mcap_vol_ratio_bucket(min(mcap_usd / volume_usd, sys.float_info.max))  # next to no volume: not infinity


def _scope(values: Mapping[str, Any], own: Mapping[str, Any], schema: ScopeSchema, module: Module) -> Scope:
    scope, ignored = schema.normalise({**values, **own}, module)
    if ignored:
        raise BadInput(f"scope.{ignored[0]}", f"a dimension of module {module}: {', '.join(_names(schema, module))}")
    return scope


def _names(schema: ScopeSchema, module: Module) -> tuple[str, ...]:
    return schema.modules[module].dimensions
