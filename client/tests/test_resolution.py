"""Resolutions: levers with their neutrals, and decisions that an event carries."""

import msgspec
import pytest

from leverloop.book import OverrideBook
from leverloop.errors import BadInput
from leverloop.events import encode, parse_action
from leverloop.resolution import Resolution
from leverloop.testing import AT_MS, make_override, make_snapshot

from .examples import ACTION, changed


def test_a_threshold_rests_at_the_knob_of_the_trader() -> None:
    name = "signal_thresholds.min_ts_for_add"
    assert Resolution(reason="MATCHED", levers={name: 0.7}).lever(name) == 0.7
    assert Resolution(reason="NO_MATCH").lever(name, knob=0.55) == 0.55
    with pytest.raises(BadInput, match=f"own value of {name}"):
        Resolution(reason="NO_MATCH").lever(name)


def test_a_knob_is_no_neutral_where_the_lever_has_its_own() -> None:
    assert Resolution(reason="NO_MATCH").lever("size_mult", knob=0.3) == 1.0


def test_an_unknown_lever_is_refused() -> None:
    with pytest.raises(BadInput, match="a lever of spec section 8"):
        Resolution(reason="NO_MATCH").lever("leverage")


def test_a_decision_goes_into_the_next_action_and_comes_back() -> None:
    one = make_override({"size_mult": 1.2}, {"bucket": "micro"})
    cut_off = make_override({"size_mult": 0.8}, {"timeframe": "1h"}, n=0)
    book = OverrideBook(make_snapshot(one, cut_off, version=12), holdout_share=0.1)
    trade_id = next(f"t{i}" for i in range(100) if book.resolve(*_asked(f"t{i}")).arm == "treated")
    decision = book.resolve(*_asked(trade_id)).decision(
        before={"position_size_frac": 0.1}, after={"position_size_frac": 0.12}
    )
    assert (decision.reason, decision.arm, decision.propensity, decision.snapshot_version) == (
        "MATCHED",
        "treated",
        0.9,
        12,
    )
    assert sorted((o.weight > 0, o.levers) for o in decision.overrides) == [(False, {}), (True, {"size_mult": 1.2})]
    assert decision.before == {"size_mult": 1.0, "position_size_frac": 0.1}
    assert decision.after == {"size_mult": 1.2, "position_size_frac": 0.12}
    action = parse_action(changed(ACTION, "action_id", "a"), received_at_ms=AT_MS)
    logged = msgspec.structs.replace(action, decision=decision)
    assert parse_action(encode(logged), received_at_ms=AT_MS).decision == decision


def _asked(trade_id: str):
    return "pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro", "timeframe": "1h"}, trade_id, AT_MS
