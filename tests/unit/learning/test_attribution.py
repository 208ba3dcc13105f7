"""Attribution: refusals, and examples beside the laws in tests/laws/test_attribution.py."""

import msgspec
import pytest

from learning.attribution import EMPTY, Trade, close_trade, deadline_at_ms, log_action, outcomes
from learning.outcome import Outcome, OutcomeVoided
from learning.parameters import Parameters
from leverloop.errors import BadInput
from tests.laws.examples import DAY_MS, HOUR_MS, START_MS, a_close, an_action

PARAMETERS = Parameters()


def a_trade(*names: str, **closed: object) -> Trade:
    actions = {name: an_action(name) for name in names}
    return Trade(actions=actions, close=a_close(**closed) if closed else None)


def test_the_same_action_id_with_other_content_is_bad_input() -> None:
    trade = log_action(EMPTY, an_action("a1"), PARAMETERS)
    with pytest.raises(BadInput, match="action_id: expected an id that was not used for another action, was 'a1'"):
        log_action(trade, an_action("a1", a_value=0.5), PARAMETERS)


def test_when_an_event_was_recorded_is_no_content() -> None:
    trade = log_action(EMPTY, an_action("a1"), PARAMETERS)
    assert log_action(trade, an_action("a1", recorded_at_ms=START_MS), PARAMETERS) is trade
    closed = close_trade(trade, a_close())
    assert close_trade(closed, a_close(recorded_at_ms=START_MS)) is closed


def test_the_same_revision_with_other_content_is_bad_input() -> None:
    trade = a_trade("a1", revision=2)
    with pytest.raises(BadInput, match="revision: expected more than 2, which has other content, was 2"):
        close_trade(trade, a_close(revision=2, rr=-1.0))


def test_a_lower_revision_changes_nothing_even_with_other_content() -> None:
    trade = a_trade("a1", revision=2)
    assert close_trade(trade, a_close(revision=1, rr=-1.0)) is trade


def test_a_revision_replaces_under_the_same_ids() -> None:
    trade = close_trade(a_trade("a1", "a2", revision=0), a_close(revision=1, rr=-20.0))
    found = outcomes(trade, PARAMETERS)
    assert [(o.outcome_id, o.rr, o.rr_raw, o.revision) for o in found if isinstance(o, Outcome)] == [
        ("a1", -10.0, -20.0, 1),
        ("a2", -10.0, -20.0, 1),
    ]


def test_a_void_takes_back_every_outcome() -> None:
    trade = close_trade(a_trade("a1", "a2", revision=0), a_close(revision=1, void=True, rr=None))
    group = "pm.uptrend.S1.buy_flag|entry"
    assert outcomes(trade, PARAMETERS) == (
        OutcomeVoided(outcome_id="a1", trade_id="t1", group=group),
        OutcomeVoided(outcome_id="a2", trade_id="t1", group=group),
    )


def test_a_revision_that_moves_the_close_takes_back_what_it_leaves_too_late() -> None:
    late_by_ms = PARAMETERS.late_grace_ms + 2 * HOUR_MS
    trade = log_action(a_trade("a1", revision=0), an_action("a2", event_at_ms=START_MS + late_by_ms), PARAMETERS)
    earlier = close_trade(trade, a_close(revision=1, event_at_ms=START_MS + HOUR_MS))
    assert [(type(o).__name__, o.outcome_id) for o in outcomes(earlier, PARAMETERS)] == [
        ("OutcomeVoided", "a2"),
        ("Outcome", "a1"),
    ]


def test_an_action_past_late_grace_names_the_close() -> None:
    trade = a_trade("a1", event_at_ms=START_MS + 2 * HOUR_MS)
    late = an_action("a2", event_at_ms=START_MS + 2 * HOUR_MS + PARAMETERS.late_grace_ms + 1)
    with pytest.raises(
        BadInput, match=f"event_at_ms: expected a time within late_grace of the close at {START_MS}"[:60]
    ):
        log_action(trade, late, PARAMETERS)
    on_the_border = msgspec.structs.replace(late, event_at_ms=late.event_at_ms - 1)
    assert len(outcomes(log_action(trade, on_the_border, PARAMETERS), PARAMETERS)) == 2


@pytest.mark.parametrize(
    ("rr", "kept", "capped"),
    [(12.0, 10.0, False), (-10.5, -10.0, False), (9.99, 9.99, False), (None, 10.0, True)],
)
def test_rr_is_winsorised_and_both_are_kept(rr: float | None, kept: float, capped: bool) -> None:
    (found,) = outcomes(a_trade("a1", rr=rr), PARAMETERS)
    assert isinstance(found, Outcome)
    assert (found.rr, found.rr_raw, found.rr_capped) == (kept, rr, capped)


def test_an_open_trade_has_no_outcomes() -> None:
    assert outcomes(a_trade("a1"), PARAMETERS) == ()
    assert outcomes(Trade(actions={}, close=a_close()), PARAMETERS) == ()


@pytest.mark.parametrize(
    ("trade", "deadline_days"),
    [
        (Trade(actions={"a1": an_action("a1", event_at_ms=START_MS)}), 90),
        (Trade(actions={}, close=a_close(event_at_ms=START_MS)), 90),
        (Trade(actions={"a1": an_action("a1", event_at_ms=START_MS)}, close=a_close(event_at_ms=START_MS)), 30),
    ],
)
def test_deadlines(trade: Trade, deadline_days: int) -> None:
    assert deadline_at_ms(trade, PARAMETERS) == START_MS + deadline_days * DAY_MS
