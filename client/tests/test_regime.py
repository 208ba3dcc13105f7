"""The regime part of a scope: newest records up to now, the old and the thin left out, edges inclusive below."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.regime import (
    BUCKETS,
    HORIZONS,
    PORTFOLIO,
    PhaseRecord,
    age_bucket,
    bucket_rank,
    cap_bucket,
    mcap_bucket,
    mcap_vol_ratio_bucket,
    mode,
    regime_scope,
    vol_bucket,
)
from leverloop.scope import DEFAULT_SCHEMA

AT_MS = 1_760_000_000_000
EVERY: dict[Any, int] = {"macro": 86_400_000, "meso": 3_600_000, "micro": 300_000}
PHASES = ("Good", "Recover", "Dip", "Double-Dip", "Oh-Shit", "Euphoria", "Chop")


def record(bucket: str, horizon: Any, phase: str = "Dip", score: float = 0.0, **how: Any) -> PhaseRecord:
    fields = {"population": 20, "at_ms": AT_MS} | how
    return PhaseRecord(bucket=bucket, horizon=horizon, phase=phase, score=score, **fields)


records = st.builds(
    PhaseRecord,
    bucket=st.sampled_from([*BUCKETS, PORTFOLIO]),
    horizon=st.sampled_from(HORIZONS),
    phase=st.sampled_from(PHASES),
    score=st.sampled_from([0.1, 0.2, 0.3]) | st.floats(-1.0, 1.0),
    population=st.integers(0, 30),
    at_ms=st.integers(AT_MS - 3 * 86_400_000, AT_MS + 10_000) | st.integers(AT_MS - 8_000_000, AT_MS),
)


@given(st.lists(records, max_size=30), st.randoms(use_true_random=False), st.none() | st.sampled_from(BUCKETS))
def test_the_order_of_records_never_matters_and_the_scope_is_one_the_schema_takes(
    found: list[PhaseRecord], chance: Any, bucket: str | None
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    scope = regime_scope(found, at_ms=AT_MS, interval_ms=EVERY, bucket=bucket)
    assert regime_scope(shuffled, at_ms=AT_MS, interval_ms=EVERY, bucket=bucket) == scope
    assert DEFAULT_SCHEMA.normalise(scope, "pm") == (scope, ())


@given(st.lists(records, max_size=30))
def test_nothing_is_seen_before_it_was_known(found: list[PhaseRecord]) -> None:
    past = [r for r in found if r.at_ms <= AT_MS]
    assert regime_scope(found, at_ms=AT_MS, interval_ms=EVERY) == regime_scope(past, at_ms=AT_MS, interval_ms=EVERY)


def test_a_scope_by_hand() -> None:
    found = [
        record(PORTFOLIO, "macro", "Good", at_ms=AT_MS - 86_400_000),
        record(PORTFOLIO, "macro", "Recover"),
        record(PORTFOLIO, "meso", "Chop"),
        record(PORTFOLIO, "micro", "Euphoria", at_ms=AT_MS - 600_000),
        record("micro", "meso", score=0.4),
        record("mid", "meso", score=0.9),
        record("xl", "meso", score=0.1),
        record("xl", "micro", score=5.0),
    ]
    assert regime_scope(found, at_ms=AT_MS, interval_ms=EVERY, bucket="xl") == {
        "macro_phase": "Recover",
        "meso_phase": "Chop",
        "micro_phase": "Euphoria",
        "bucket_leader": "mid",
        "bucket_rank_position": 3,
    }


@pytest.mark.parametrize(
    ("how", "ranked"),
    [
        ({}, True),
        ({"at_ms": AT_MS - 7_200_000}, True),
        ({"at_ms": AT_MS - 7_200_001}, False),
        ({"at_ms": AT_MS + 1}, False),
        ({"population": 8}, True),
        ({"population": 7}, False),
    ],
)
def test_a_bucket_that_is_old_or_thin_has_no_rank(how: dict[str, Any], ranked: bool) -> None:
    scope = regime_scope([record("mid", "meso", **how)], at_ms=AT_MS, interval_ms=EVERY, bucket="mid")
    assert scope == ({"bucket_leader": "mid", "bucket_rank_position": 1} if ranked else {})


def test_ties_stand_in_the_order_of_buckets() -> None:
    found = [record(bucket, "meso", score=0.5) for bucket in reversed(BUCKETS)]
    assert bucket_rank(found, at_ms=AT_MS, interval_ms=EVERY) == BUCKETS


def test_a_score_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match=r"mid\.meso\.score"):
        bucket_rank([record("mid", "meso", score=float("nan"))], at_ms=AT_MS, interval_ms=EVERY)


DAY = 86_400_000
EDGES: list[tuple[Any, list[tuple[float, str, str]]]] = [
    # function, (edge, name just below it, name from it on)
    (cap_bucket, [(1e5, "nano", "micro"), (5e6, "micro", "mid"), (5e7, "mid", "big"), (5e8, "big", "large"), (1e9, "large", "xl")]),
    (mcap_bucket, [(5e5, "<500k", "500k-1m"), (1e6, "500k-1m", "1m-2m"), (2e6, "1m-2m", "2m-5m"), (5e6, "2m-5m", "5m-10m"), (1e7, "5m-10m", "10m-50m"), (5e7, "10m-50m", "50m+")]),
    (vol_bucket, [(1e4, "<10k", "10k-50k"), (5e4, "10k-50k", "50k-100k"), (1e5, "50k-100k", "100k-250k"), (2.5e5, "100k-250k", "250k-500k"), (5e5, "250k-500k", "500k-1m"), (1e6, "500k-1m", "1m+")]),
    (age_bucket, [(DAY, "<1d", "1-3d"), (3 * DAY, "1-3d", "3-7d"), (7 * DAY, "3-7d", "7-14d"), (14 * DAY, "7-14d", "14-30d"), (30 * DAY, "14-30d", "30-90d"), (90 * DAY, "30-90d", "90d+")]),
    (mcap_vol_ratio_bucket, [(0.1, "<0.1", "0.1-0.5"), (0.5, "0.1-0.5", "0.5-1"), (1.0, "0.5-1", "1-2"), (2.0, "1-2", "2-5"), (5.0, "2-5", "5+")]),
    (mode, [(0.3, "patient", "normal"), (0.7, "normal", "aggressive")]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "edges"), EDGES, ids=[f.__name__ for f, _ in EDGES])
def test_lower_bounds_are_inclusive(function: Any, edges: list[tuple[float, str, str]]) -> None:
    for edge, below, above in edges:
        assert (function(edge * (1 - 1e-12)), function(edge)) == (below, above)
    assert function(0) == edges[0][1]
    assert function(1e18) == edges[-1][2]


@pytest.mark.parametrize("function", [f for f, _ in EDGES], ids=[f.__name__ for f, _ in EDGES])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_size_has_no_bucket(function: Any, value: float) -> None:
    with pytest.raises(BadInput, match="not negative"):
        function(value)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("bucket", cap_bucket),
        ("mcap_bucket", mcap_bucket),
        ("vol_bucket", vol_bucket),
        ("age_bucket", age_bucket),
        ("mcap_vol_ratio_bucket", mcap_vol_ratio_bucket),
        ("A_mode", mode),
    ],
)
def test_every_name_is_of_the_vocabulary(name: str, function: Any) -> None:
    dimension = DEFAULT_SCHEMA.dimension(name)
    assert dimension is not None
    assert dimension.values == tuple(
        dict.fromkeys(function(10**e * m) for e in range(-3, 13) for m in (1, 2.4, 4.9, 6))
    )
