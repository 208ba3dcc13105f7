"""Log entries carry what the contract asks for, and come back from the wire as they were."""

import msgspec

from app.paper.strategy import KNOBS
from leverloop.events import ActionLogged, TradeClosed, encode
from tests.unit.app.paper.scenes import actions, neutral, trades


def test_actions_are_numbered_within_their_trade() -> None:
    counts: dict[str, int] = {}
    for action in actions(neutral()):
        number = counts.get(action.trade_id, 0)
        assert action.action_id == f"{action.trade_id}-a{number}"
        counts[action.trade_id] = number + 1


def test_an_action_says_what_it_saw_and_used() -> None:
    for action in actions(neutral()):
        assert action.controls.signals.keys() == {"TS", "OX", "DX", "EDX", "OBV_z"}
        assert action.controls.applied_knobs.keys() == set(KNOBS.__struct_fields__)
        assert action.controls.applied_knobs["wait_for_signal"] == {"TS": KNOBS.wait_for_signal}
        assert action.size_frac is not None
        assert 0.0 < action.size_frac < 1.0
        assert action.regime is not None


def test_a_close_says_what_came_of_the_trade() -> None:
    for close in trades(neutral()).values():
        assert close.rr is not None
        assert close.return_frac * close.rr >= 0.0
        assert close.counterfactual is not None
        assert close.counterfactual.missed_exit_rr is not None
        assert close.counterfactual.missed_exit_rr >= 0.0
        # A gain of 1R was there to be paid back exactly where the trade says when.
        assert (close.payback_ms is None) or close.max_gain_frac > 0.0
        assert close.exit_reason in {"trail", "stop", "panic", "trend_over", "held_long"}


def test_an_event_has_one_spelling() -> None:
    """What a restarted run logs again was read from a file: it must be the same bytes, not only equal."""
    for event in neutral():
        kind = ActionLogged if isinstance(event, ActionLogged) else TradeClosed
        packed = msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=kind)
        assert encode(packed) == encode(event)
