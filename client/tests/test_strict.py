"""Profile strict: S3 to the letter. Every number below was worked out by hand from its sections 3 and 5.

w_total = tanh(|edge_raw|) * (1 - exp(-n / 25)) * 1 / (1 + variance) * exp(-age_days / half_life_days)
          * (num_scope_dims / max_scope_dims) ** 1.5,  ignored if w_total < 0.02;
blend in log space; at most a logarithm of ln 1.02 per call; clamp to the bounds.
max_scope_dims is 10 for a PM and 14 for a DM: all dimensions that the module has.
"""

from typing import Any

import pytest

from leverloop.book import OverrideBook
from leverloop.snapshot import Override, override_id
from leverloop.testing import AT_MS, make_override, make_snapshot

DAY_MS = 86_400_000
LIVE = {
    "macro_phase": "Dip", "meso_phase": "Good", "micro_phase": "Chop", "bucket_leader": "micro",
    "bucket_rank_position": 1, "market_family": "perps", "bucket": "micro", "timeframe": "1h",
    "A_mode": "normal", "E_mode": "patient",
}  # fmt: skip


def first(k: int) -> dict[str, Any]:
    """The first k dimensions of the live scope."""
    return dict(list(LIVE.items())[:k])


def strict(*overrides: Override, category: Any = "entry") -> Any:
    book = OverrideBook(make_snapshot(*overrides), profile="strict", holdout_share=0.0)
    return book.resolve("pm.uptrend.S1.buy_flag", category, LIVE, "t1", AT_MS)


# tanh(1) = 0.7615941559557649, 1 - exp(-4) = 0.9816843611112658; variance 1 gives 1/2; age 0 gives 1.
FRESH = 0.7615941559557649 * 0.9816843611112658 / 2  # = 0.3738223...

WEIGHTS: list[tuple[str, dict[str, Any], int, float]] = [
    ("all ten dimensions", {}, 10, FRESH),
    # (5 / 10) ** 1.5 = 0.35355339059327373
    ("half of them", {}, 5, FRESH * 0.35355339059327373),
    # (2 / 10) ** 1.5 = 0.08944271909999159: 0.0334, counts
    ("two of ten", {}, 2, FRESH * 0.08944271909999159),
    # (1 / 10) ** 1.5 = 0.03162277660168379: 0.01182 < 0.02, ignored
    ("one of ten", {}, 1, 0.0),
    # a one-dimension lesson needs edge >= 2 and n >= 104 at variance 0.5 (spec section 16):
    # tanh 2 = 0.9640275800758169, 1 - exp(-4.16) = 0.9843924420, / 1.5 * 0.0316227766 = 0.0200063
    ("one of ten, edge 2, n 104", {"edge_raw": 2.0, "n": 104, "variance": 0.5}, 1, 0.0200063),
    ("one of ten, edge 2, n 100", {"edge_raw": 2.0, "n": 100, "variance": 0.5}, 1, 0.0),
    # one half-life old: exp(-1) = 0.36787944117144233, not one half
    ("one half-life old", {"updated_at_ms": AT_MS - 30 * DAY_MS}, 10, FRESH * 0.36787944117144233),
    # the sign of the edge is the lever's business
    ("a losing edge", {"edge_raw": -1.0}, 10, FRESH),
    # no factor is shared in S3
    ("in a factor", {"factor_id": "f"}, 10, FRESH),
]


@pytest.mark.parametrize(("stats", "k", "weight"), [w[1:] for w in WEIGHTS], ids=[w[0] for w in WEIGHTS])
def test_weights(stats: dict[str, Any], k: int, weight: float) -> None:
    override = make_override({"size_mult": 1.01}, first(k), **stats)
    resolution = strict(override)
    assert resolution.weights == {override_id(override): pytest.approx(weight, abs=5e-7)}
    assert bool(resolution.levers) == (weight > 0.0)


LEVERS: list[tuple[str, dict[str, float], dict[str, float]]] = [
    # lever values asked for -> what comes out of one call
    ("a small step is taken", {"size_mult": 1.01}, {"size_mult": 1.01}),
    ("a large one is cut to 2 % up", {"size_mult": 1.3}, {"size_mult": 1.02}),
    ("and to 2 % down in logarithms", {"size_mult": 0.7}, {"size_mult": 1 / 1.02}),
    (
        "each lever for itself",
        {"size_mult": 1.3, "entry_aggression_mult": 0.99},
        {"size_mult": 1.02, "entry_aggression_mult": 0.99},
    ),
]


@pytest.mark.parametrize(("asked", "applied"), [row[1:] for row in LEVERS], ids=[row[0] for row in LEVERS])
def test_movement_per_call(asked: dict[str, float], applied: dict[str, float]) -> None:
    assert strict(make_override(asked, first(10))).levers == pytest.approx(applied, abs=1e-12)


def test_the_blend_is_in_log_space() -> None:
    # Weights FRESH (k = 10) and FRESH * 0.35355339059327373 (k = 5); logarithms 0.0099503 and -0.0100503:
    # (0.00995033085 - 0.35355339059 * 0.01005033585) / 1.35355339059 = 0.00472606, exp = 1.00473724
    blend = strict(make_override({"size_mult": 1.01}, first(10)), make_override({"size_mult": 0.99}, first(5)))
    assert blend.levers == {"size_mult": pytest.approx(1.00473724, abs=1e-7)}


def test_copies_in_a_factor_count_as_often_as_there_are() -> None:
    # Two copies of +1 % and one of -1 %, all with nine of ten dimensions: (2 * 0.0099503 - 0.0100503) / 3
    scopes = [{name: value for name, value in LIVE.items() if name != left} for left in ("E_mode", "A_mode", "bucket")]
    blend = strict(
        make_override({"size_mult": 1.01}, scopes[0], factor_id="f"),
        make_override({"size_mult": 1.01}, scopes[1], factor_id="f"),
        make_override({"size_mult": 0.99}, scopes[2]),
    )
    assert blend.levers == {"size_mult": pytest.approx(1.00328884, abs=1e-7)}


def test_a_decision_maker_has_fourteen_dimensions() -> None:
    # (7 / 14) ** 1.5 = 0.35355339059327373
    scope = {
        "macro_phase": "Dip", "bucket": "micro", "curator": "alpha", "chain": "sol", "intent": "x",
        "mapping_confidence": "high", "age_bucket": "<1d",
    }  # fmt: skip
    override = make_override({"alloc_mult": 1.01}, scope, pattern_key="dm.a.b.c", action_category="allocation")
    book = OverrideBook(make_snapshot(override, module="dm"), profile="strict", holdout_share=0.0)
    resolution = book.resolve("dm.a.b.c", "allocation", scope, "t1", AT_MS)
    assert list(resolution.weights.values()) == [pytest.approx(FRESH * 0.35355339059327373, abs=1e-9)]
    assert resolution.levers == {"alloc_mult": pytest.approx(1.01)}


def test_tuning_is_left_as_it_was() -> None:
    broad = make_override({"entry_delay_bars": 1.0}, first(1))
    narrow = make_override({"entry_delay_bars": 4.0}, first(2))
    assert strict(broad, narrow).levers == {"entry_delay_bars": 4.0}
