"""Scopes that are built: what the schema takes, what is missing left out, a mistake named."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.regime import PhaseRecord
from leverloop.scope import DEFAULT_SCHEMA, Dimension
from leverloop.scope_builder import build_dm_scope, build_pm_scope
from leverloop.testing import AT_MS

HOUR_MS = 3_600_000
INTERVALS: Any = {"macro": 24 * HOUR_MS, "meso": 4 * HOUR_MS, "micro": HOUR_MS}
unit = st.none() | st.floats(0.0, 1.0)
usd = st.none() | st.floats(0.0, 1e12)


def phase(bucket: str, horizon: Any, name: str = "Dip", score: float = 0.5, at_ms: int = AT_MS) -> PhaseRecord:
    return PhaseRecord(bucket=bucket, horizon=horizon, phase=name, score=score, population=20, at_ms=at_ms)


PHASES = [phase("PORTFOLIO", "macro"), phase("mid", "meso", score=0.9), phase("micro", "meso", score=0.4)]


@given(usd, unit, unit, st.sampled_from([None, "1h", "4h"]), st.sampled_from([None, "perps"]))
def test_a_pm_s_scope_is_one_that_the_schema_takes(
    mcap_usd: Any, a_value: Any, e_value: Any, timeframe: Any, market_family: Any
) -> None:
    scope = build_pm_scope(
        at_ms=AT_MS,
        phases=PHASES,
        interval_ms=INTERVALS,
        mcap_usd=mcap_usd,
        a_value=a_value,
        e_value=e_value,
        timeframe=timeframe,
        market_family=market_family,
    )
    assert DEFAULT_SCHEMA.normalise(scope, "pm") == (scope, ())
    assert list(scope) == list(DEFAULT_SCHEMA.ordered(scope))
    asked = {"A_mode": a_value, "E_mode": e_value, "timeframe": timeframe, "market_family": market_family}
    assert {name: name in scope for name in asked} == {name: value is not None for name, value in asked.items()}


@given(usd, usd, st.none() | st.floats(0.0, 1e12))
def test_a_dm_s_scope_is_one_that_the_schema_takes(mcap_usd: Any, volume_usd: Any, age_ms: Any) -> None:
    scope = build_dm_scope(at_ms=AT_MS, mcap_usd=mcap_usd, volume_usd=volume_usd, age_ms=age_ms, curator="alpha")
    assert DEFAULT_SCHEMA.normalise(scope, "dm") == (scope, ())
    assert ("mcap_vol_ratio_bucket" in scope) == (mcap_usd is not None and bool(volume_usd))


def test_a_pm_s_scope_by_hand() -> None:
    scope = build_pm_scope(
        at_ms=AT_MS, phases=PHASES, interval_ms=INTERVALS, mcap_usd=100_000, market_family="lowcaps", timeframe="15m",
        a_value=0.29, e_value=0.7,
    )  # fmt: skip
    assert scope == {
        "macro_phase": "Dip", "bucket_leader": "mid", "bucket_rank_position": 2, "market_family": "lowcaps",
        "bucket": "micro", "timeframe": "15m", "A_mode": "patient", "E_mode": "aggressive",
    }  # fmt: skip


def test_a_dm_s_scope_by_hand() -> None:
    scope = build_dm_scope(
        at_ms=AT_MS, mcap_usd=6e6, volume_usd=3e6, age_ms=30 * HOUR_MS, curator="alpha", chain="sol", intent="research",
        mapping_confidence="high",
    )  # fmt: skip
    assert scope == {
        "bucket": "mid", "curator": "alpha", "chain": "sol", "mcap_bucket": "5m-10m", "vol_bucket": "1m+",
        "age_bucket": "1-3d", "intent": "research", "mapping_confidence": "high", "mcap_vol_ratio_bucket": "2-5",
    }  # fmt: skip


def test_a_bucket_that_is_given_wins() -> None:
    assert build_pm_scope(at_ms=AT_MS, mcap_usd=1e12, bucket="nano") == {"bucket": "nano"}


def test_phases_that_were_not_known_yet_are_left_out() -> None:
    assert build_pm_scope(at_ms=AT_MS - 1, phases=PHASES, interval_ms=INTERVALS) == {}


def test_a_dimension_of_your_own_goes_in_with_its_schema() -> None:
    own = Dimension(bit=18, name="venue", modules=("pm",), values=("dex", "cex"))
    pm = DEFAULT_SCHEMA.modules["pm"]
    pm = msgspec.structs.replace(pm, dimensions=(*pm.dimensions, "venue"))
    schema = type(DEFAULT_SCHEMA)(
        dimensions=(*DEFAULT_SCHEMA.dimensions, own), modules={**DEFAULT_SCHEMA.modules, "pm": pm}
    )
    assert build_pm_scope(at_ms=AT_MS, schema=schema, venue="dex") == {"venue": "dex"}
    assert build_pm_scope(at_ms=AT_MS, schema=schema, venue=None) == {}


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"timeframe": "2h"}, "scope.timeframe: expected one of 1m, 5m"),
        ({"bucket": "huge"}, "scope.bucket: expected one of nano"),
        ({"a_value": float("nan")}, "value: expected a finite number"),
        ({"mcap_usd": -1.0}, "mcap_usd: expected a finite number, not negative"),
        ({"chain": "sol"}, "scope.chain: expected a dimension of module pm: macro_phase, "),
        ({"phases": PHASES}, "interval_ms: expected how often phases of horizon macro are written"),
    ],
)
def test_a_mistake_is_named(how: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        build_pm_scope(at_ms=AT_MS, **how)
    assert problem in str(caught.value)
