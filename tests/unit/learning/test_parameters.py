"""Parameters: one frozen value, its limits, its hash."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.parameters import DAY_MS, Parameters, config_hash
from leverloop.errors import BadConfig
from leverloop.scope import DEFAULT_SCHEMA


def test_defaults_are_those_of_the_specification() -> None:
    found = Parameters()
    assert [found.n_min(k) for k in range(1, 12)] == [10, 10, 20, 20, 30, 30, 50, 50, 50, 50, 50]
    assert (found.rr_cap, found.late_grace_ms, found.max_open_ms) == (10.0, 7 * DAY_MS, 90 * DAY_MS)
    assert (found.effect_min_rr, found.lesson_n_min, found.edge_ref, found.edge_min) == (0.15, 20, 0.5, 0.0)
    assert (found.epoch_ms, found.epoch_slack_ms) == (DAY_MS // 4, 600_000)


@given(st.lists(st.integers(1, 60), max_size=6))
def test_more_dimensions_never_need_fewer_trades(steps: list[int]) -> None:
    if steps and steps == sorted(steps):
        assert [Parameters(n_min_by_dims=tuple(steps)).n_min(k) for k in (1, 99)] == [steps[0], steps[-1]]
    else:
        with pytest.raises(BadConfig, match="n_min_by_dims: a list that does not fall"):
            Parameters(n_min_by_dims=tuple(steps))


def test_a_closed_trade_is_kept_for_as_long_as_actions_may_come() -> None:
    with pytest.raises(BadConfig, match="closed_keep_ms: at least late_grace_ms"):
        Parameters(closed_keep_ms=6 * DAY_MS)
    assert Parameters(closed_keep_ms=7 * DAY_MS).closed_keep_ms == 7 * DAY_MS


@pytest.mark.parametrize(
    "raw", [b'{"rr_cap": 0}', b'{"alpha": 1.0}', b'{"epoch_ms": 0}', b'{"tau": 1}', b'{"min_clusters": 1.5}']
)
def test_what_is_out_of_limits_does_not_read(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"Expected|unknown"):
        msgspec.json.decode(raw, type=Parameters)


def test_every_parameter_is_part_of_the_hash() -> None:
    plain = config_hash(Parameters(), DEFAULT_SCHEMA)
    assert config_hash(msgspec.json.decode(msgspec.json.encode(Parameters()), type=Parameters), DEFAULT_SCHEMA) == plain
    seen = {plain}
    for name in Parameters.__struct_fields__:
        value = getattr(Parameters(), name)
        other = (*value, value[-1] + 1) if isinstance(value, tuple) else value + 1
        seen.add(config_hash(msgspec.structs.replace(Parameters(), **{name: other}), DEFAULT_SCHEMA))
    assert len(seen) == 1 + len(Parameters.__struct_fields__)
    shorter = msgspec.structs.replace(DEFAULT_SCHEMA, dimensions=DEFAULT_SCHEMA.dimensions, modules={})
    assert config_hash(Parameters(), shorter) != plain
