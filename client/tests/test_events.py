"""Events: what the contract takes comes back as it was, and every breach of it is refused by name."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.events import ActionLogged, TradeClosed, content_hash, encode, parse_action, parse_trade

from .examples import ACTION, AT_MS, RECEIVED_AT_MS, TRADE, changed
from .strategies import actions, trades

INFINITY, NAN = float("inf"), float("nan")


@given(actions())
def test_an_action_comes_back_as_it_was(action: ActionLogged) -> None:
    assert parse_action(encode(action), received_at_ms=AT_MS) == action


@given(trades())
def test_a_trade_comes_back_as_it_was(trade: TradeClosed) -> None:
    assert parse_trade(encode(trade), received_at_ms=AT_MS) == trade


@given(actions(), st.integers(AT_MS, AT_MS + 10**6))
def test_when_we_recorded_an_action_is_no_part_of_its_content(action: ActionLogged, recorded_at_ms: int) -> None:
    again = msgspec.structs.replace(action, recorded_at_ms=recorded_at_ms)
    assert content_hash(again) == content_hash(action)
    other = msgspec.structs.replace(action, action_id=action.action_id + "x")
    assert content_hash(other) != content_hash(action)


def test_fields_nobody_knows_are_ignored() -> None:
    plain = parse_action(changed(ACTION, "action_id", "a"), received_at_ms=RECEIVED_AT_MS)
    newer = msgspec.json.decode(changed(ACTION, "action_id", "a")) | {"venue": {"name": "x", "fees": [1, None]}}
    assert parse_action(msgspec.json.encode(newer), received_at_ms=RECEIVED_AT_MS) == plain


def test_an_action_is_normalised_at_the_edge() -> None:
    raw = changed(ACTION, "scope", {"timeframe": "15m", "bucket": "micro", "macro_phase": "Unknown", "weather": "wet"})
    action = parse_action(raw.replace(b"pm.uptrend", b"uptrend"), received_at_ms=RECEIVED_AT_MS)
    assert action.pattern_key == "pm.uptrend.S1.buy_flag"
    assert action.action_category == action.category == "entry"
    assert list(action.scope.items()) == [("bucket", "micro"), ("timeframe", "15m")]


def test_a_missing_rr_is_the_cap_only_after_a_gain_without_drawdown() -> None:
    raw = changed(msgspec.json.decode(changed(TRADE, "rr", None)), "max_drawdown_frac", 0)
    assert parse_trade(raw, received_at_ms=RECEIVED_AT_MS).rr_capped
    assert not parse_trade(changed(TRADE, "rr", 2), received_at_ms=RECEIVED_AT_MS).rr_capped
    assert parse_trade(
        changed(msgspec.json.decode(changed(TRADE, "rr", None)), "void", True), received_at_ms=RECEIVED_AT_MS
    ).void


BAD_ACTIONS: list[tuple[str, Any, str]] = [
    # path that is broken, value (... removes it), field that is named
    ("action_id", ..., "action_id"),
    ("action_id", "", "action_id"),
    ("action_id", 7, "action_id"),
    ("action_id", "a\nb", "action_id"),
    ("action_id", "a\n", "action_id"),
    ("action_id", "a" * 257, "action_id"),
    ("trade_id", ..., "trade_id"),
    ("trade_id", None, "trade_id"),
    ("schema_version", 2, "schema_version"),
    ("module", "hedge", "module"),
    ("module", ..., "module"),
    ("pattern_key", "dm.uptrend.S1.buy_flag", "pattern_key"),
    ("pattern_key", "uptrend.S1", "pattern_key"),
    ("pattern_key", "uptrend.S1.buy flag", "pattern_key"),
    ("pattern_key", "module=dm|pattern_key=uptrend.S1.buy_flag", "pattern_key"),
    ("pattern_key", "module=pm|key=uptrend.S1.buy_flag", "pattern_key"),
    ("pattern_key", 3, "pattern_key"),
    ("action_type", "yolo", "action_type"),
    ("action_type", "allocation", "action_type"),
    ("action_type", ..., "action_type"),
    ("action_category", "exit", "action_category"),
    ("action_category", "enter", "action_category"),
    ("event_at_ms", ..., "event_at_ms"),
    ("event_at_ms", "2025-10-09T08:53:20", "event_at_ms"),
    ("event_at_ms", 1.76e12, "event_at_ms"),
    ("event_at_ms", 1_230_767_999_999, "event_at_ms"),
    ("event_at_ms", RECEIVED_AT_MS + 86_400_001, "event_at_ms"),
    ("event_at_ms", 10**30, "event_at_ms"),
    ("recorded_at_ms", 0, "recorded_at_ms"),
    ("recorded_at_ms", 10**17, "recorded_at_ms"),
    ("scope", ..., "scope"),
    ("scope", ["micro"], "scope"),
    ("scope.bucket", "huge", "scope.bucket"),
    ("scope.bucket", 3, "scope.bucket"),
    ("scope.bucket", ["micro"], "scope.bucket"),
    ("scope.bucket", {"is": "micro"}, "scope.bucket"),
    ("scope.bucket", NAN, "scope.bucket"),
    ("scope.bucket_rank_position", 0, "scope.bucket_rank_position"),
    ("scope.bucket_rank_position", 7, "scope.bucket_rank_position"),
    ("scope.bucket_rank_position", "1", "scope.bucket_rank_position"),
    ("scope.bucket_rank_position", True, "scope.bucket_rank_position"),
    ("scope.unheard_of", INFINITY, "scope.unheard_of"),
    ("controls", [], "controls"),
    ("controls.signals.TS", 1.01, "controls.signals.TS"),
    ("controls.signals.EDX", -0.01, "controls.signals.EDX"),
    ("controls.signals.TS", NAN, "controls.signals.TS"),
    ("controls.signals.OBV_z", -INFINITY, "controls.signals.OBV_z"),
    ("controls.signals.momentum", "strong", "controls.signals.momentum"),
    ("controls.signals.momentum", True, "controls.signals.momentum"),
    ("controls.signals.momentum", 10**400, "controls.signals.momentum"),
    ("controls.applied_knobs.trail_mult", "wide", "controls.applied_knobs.trail_mult"),
    ("controls.applied_knobs.phase_scaling.S2", None, "controls.applied_knobs.phase_scaling.S2"),
    ("size_frac", 1.5, "size_frac"),
    ("size_frac", NAN, "size_frac"),
    ("a_value", -0.1, "a_value"),
    ("e_value", "0.5", "e_value"),
    ("regime.macro_score", INFINITY, "regime.macro_score"),
    ("decision.arm", "placebo", "decision.arm"),
    ("decision.propensity", 1.2, "decision.propensity"),
    ("decision.snapshot_version", -1, "decision.snapshot_version"),
    ("decision.overrides", [{"id": "o1", "weight": 0.1}, {"id": "", "weight": 0.1}], "decision.overrides[1].id"),
    ("decision.overrides", [{"id": "o1", "weight": -0.1}], "decision.overrides[0].weight"),
    ("decision.after.size_mult", "big", "decision.after.size_mult"),
]


@pytest.mark.parametrize(("path", "value", "field"), BAD_ACTIONS, ids=[f"{p}={v!r:.30}" for p, v, _ in BAD_ACTIONS])
def test_a_bad_action_is_refused_by_the_name_of_its_field(path: str, value: Any, field: str) -> None:
    with pytest.raises(BadInput, match="expected") as refused:
        parse_action(changed(ACTION, path, value), received_at_ms=RECEIVED_AT_MS)
    assert refused.value.field == field


BAD_TRADES: list[tuple[str, Any, str]] = [
    ("trade_id", ..., "trade_id"),
    ("symbol", "", "symbol"),
    ("symbol", ..., "symbol"),
    ("module", "xx", "module"),
    ("opened_at_ms", ..., "opened_at_ms"),
    ("opened_at_ms", AT_MS + 1, "opened_at_ms"),
    ("opened_at_ms", 1_000, "opened_at_ms"),
    ("event_at_ms", RECEIVED_AT_MS + 86_400_001, "event_at_ms"),
    ("event_at_ms", None, "event_at_ms"),
    ("rr", ..., "rr"),
    ("rr", None, "rr"),
    ("rr", NAN, "rr"),
    ("rr", INFINITY, "rr"),
    ("rr", "1.5", "rr"),
    ("return_frac", ..., "return_frac"),
    ("return_frac", -INFINITY, "return_frac"),
    ("max_drawdown_frac", -0.01, "max_drawdown_frac"),
    ("max_gain_frac", -0.01, "max_gain_frac"),
    ("payback_ms", -1, "payback_ms"),
    ("payback_ms", 0.5, "payback_ms"),
    ("payback_ms", 10**30, "payback_ms"),
    ("exit_reason", 5, "exit_reason"),
    ("pnl_usd", NAN, "pnl_usd"),
    ("revision", -1, "revision"),
    ("revision", 10**20, "revision"),
    ("void", 1, "void"),
    ("counterfactual", [1], "counterfactual"),
    ("counterfactual.missed_exit_rr", NAN, "counterfactual.missed_exit_rr"),
    ("counterfactual.deltas.trail_mult", 0.1, "counterfactual.deltas.trail_mult"),
    ("counterfactual.deltas.trail_mult", {"1.2": "good"}, "counterfactual.deltas.trail_mult.1.2"),
    ("counterfactual.deltas.trail_mult", {"wide": 0.1}, "counterfactual.deltas.trail_mult"),
    ("counterfactual.deltas.trail_mult", {"inf": 0.1}, "counterfactual.deltas.trail_mult"),
]


@pytest.mark.parametrize(("path", "value", "field"), BAD_TRADES, ids=[f"{p}={v!r:.30}" for p, v, _ in BAD_TRADES])
def test_a_bad_trade_is_refused_by_the_name_of_its_field(path: str, value: Any, field: str) -> None:
    with pytest.raises(BadInput, match="expected") as refused:
        parse_trade(changed(TRADE, path, value), received_at_ms=RECEIVED_AT_MS)
    assert refused.value.field == field


NOT_A_RECORD = {
    "nothing": b"",
    "not JSON": b"entry t1",
    "cut off": changed(ACTION, "action_id", "a")[:-5],
    "not UTF-8": b'{"action_id": "\xff"}',
    "UTF-16": changed(ACTION, "action_id", "a").decode().encode("utf-16"),
    "half of a pair of surrogates": changed(ACTION, "action_id", "\ud800"),
    "a list": b"[]",
    "a string": b'"x"',
    "nested without end": b'{"x":' + b"[" * 30_000,
    "nested without end, closed": b'{"scope":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    "a number of 5,000 digits": b'{"event_at_ms":' + b"9" * 5_000 + b"}",
    "too long": changed(ACTION, "venue", "x" * 65_536),
}


@pytest.mark.parametrize("raw", NOT_A_RECORD.values(), ids=NOT_A_RECORD)
@pytest.mark.parametrize("parse", [parse_action, parse_trade])
def test_what_is_no_record_at_all_is_refused_as_a_whole(parse: Any, raw: bytes) -> None:
    with pytest.raises(BadInput, match="expected") as refused:
        parse(raw, received_at_ms=RECEIVED_AT_MS)
    assert refused.value.field == "$"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_whatever_raise_anything_but_bad_input(raw: bytes) -> None:
    for parse in (parse_action, parse_trade):
        with pytest.raises(BadInput, match="expected"):
            parse(raw, received_at_ms=RECEIVED_AT_MS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def _taken_or_refused(raw: bytes) -> ActionLogged | str:
    try:
        return parse_action(raw, received_at_ms=RECEIVED_AT_MS)
    except BadInput as refused:
        return refused.field


@given(st.sampled_from(sorted(ACTION)), json_values)
def test_any_value_in_any_field_of_an_action_is_taken_or_refused(path: str, value: Any) -> None:
    result = _taken_or_refused(changed(ACTION, path, value))
    if isinstance(result, ActionLogged):
        assert parse_action(encode(result), received_at_ms=RECEIVED_AT_MS) == result
    else:
        assert result == "$" or result.startswith(path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"a_value": NAN}, "a_value"),
        ({"size_frac": 2.0}, "size_frac"),
        ({"scope": {"bucket": NAN}}, "scope.bucket"),
        ({"trade_id": ""}, "trade_id"),
        ({"trade_id": "\ud800"}, "$"),
        ({"action_type": 3}, "action_type"),
    ],
)
def test_an_event_that_no_reader_would_take_back_is_not_written(change: dict[str, Any], field: str) -> None:
    action = parse_action(changed(ACTION, "action_id", "a"), received_at_ms=RECEIVED_AT_MS)
    with pytest.raises(BadInput, match="expected") as refused:
        encode(msgspec.structs.replace(action, **change))
    assert refused.value.field == field


def test_a_result_that_is_no_number_does_not_become_the_cap() -> None:
    trade = parse_trade(changed(TRADE, "max_drawdown_frac", 0), received_at_ms=RECEIVED_AT_MS)
    with pytest.raises(BadInput, match="rr: expected a finite number, was nan"):
        encode(msgspec.structs.replace(trade, rr=NAN))
