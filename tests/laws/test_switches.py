"""Meta-learners: each is read, and a switch shows which published numbers it changes, and by how much (section 9)."""

import msgspec
import pytest

from app.replay import Replay
from app.replay_output import snapshots_of
from learning.parameters import DAY_MS, Parameters
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.snapshot import Override, Snapshot
from tests.laws.streams import Stream, small_stream

PARAMETERS = Parameters(epoch_ms=DAY_MS, alpha=0.9, discovery_alpha=0.9, min_clusters=4, forward_min_clusters=2)
STREAM = small_stream(7, trades=1200, days=84, edge_rr=3.0)


def published(stream: Stream, parameters: Parameters) -> dict[str, Override]:
    """Overrides of the last snapshot by their lessons."""
    replay = Replay(parameters, DEFAULT_SCHEMA)
    events = sorted(
        [(a["event_at_ms"], 0, a) for a in stream[0]] + [(t["event_at_ms"], 1, t) for t in stream[1]],
        key=lambda entry: entry[:2],
    )
    for _, kind, document in events:
        (replay.trade if kind else replay.action)(msgspec.json.encode(document))
    replay.finish()
    found: Snapshot = snapshots_of(replay)["pm"]
    return {o.lesson.id: o for o in (*found.pattern_strength_overrides, *found.pattern_overrides)}


@pytest.fixture(scope="module")
def with_all() -> dict[str, Override]:
    return published(STREAM, PARAMETERS)


def test_there_is_something_published(with_all: dict[str, Override]) -> None:
    assert any(o.levers for o in with_all.values())


def test_regime_weights_change_edges_by_no_more_than_their_bounds_allow(with_all: dict[str, Override]) -> None:
    off = published(STREAM, msgspec.structs.replace(PARAMETERS, v5_regime_weights_enabled=False))
    both = with_all.keys() & off.keys()
    ratios = {name: with_all[name].stats.edge_raw / off[name].stats.edge_raw for name in both}
    assert ratios
    assert any(abs(ratio - 1.0) > 0.001 for ratio in ratios.values())
    for name, ratio in ratios.items():
        c = 1.0 / (1.0 + off[name].stats.variance)
        assert 0.5 / 1.35 * c**0.7 <= ratio <= 1.35 / 0.5 / c**0.7


def test_half_lives_change_what_the_client_weighs_by(with_all: dict[str, Override]) -> None:
    off = published(STREAM, msgspec.structs.replace(PARAMETERS, v5_half_life_enabled=False))
    assert {o.stats.half_life_days for o in off.values()} == {30.0}
    learned = {o.stats.half_life_days for o in with_all.values() if o.type == "pm_strength"}
    assert learned - {30.0}
    assert all(1 / 24 <= days <= 365 for days in learned)


def test_one_switch_turns_all_of_them_off(with_all: dict[str, Override]) -> None:
    off = published(STREAM, msgspec.structs.replace(PARAMETERS, v5_meta_learning_enabled=False))
    each = msgspec.structs.replace(
        PARAMETERS, v5_regime_weights_enabled=False, v5_half_life_enabled=False, v5_latent_factors_enabled=False
    )
    assert off == published(STREAM, each) != with_all
