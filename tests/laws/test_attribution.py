"""Attribution: whatever the order of arrival, the same outcomes stand at the end (spec section 5)."""

from collections.abc import Iterable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.attribution import EMPTY, Trade, close_trade, deadline_at_ms, log_action, outcomes
from learning.outcome import Outcome, OutcomeVoided
from learning.parameters import Parameters
from leverloop.errors import BadInput
from leverloop.events import ActionLogged, TradeClosed
from leverloop.patterns import Module
from tests.laws.examples import DAY_MS, START_MS, TYPE_OF, a_close, an_action

PARAMETERS = Parameters(max_companions=3)
CLOSED_AT_MS = START_MS + 30 * DAY_MS
Event = ActionLogged | TradeClosed

times = st.integers(START_MS, CLOSED_AT_MS + PARAMETERS.late_grace_ms) | st.sampled_from([START_MS, CLOSED_AT_MS])
scopes = st.dictionaries(st.sampled_from(["bucket", "timeframe"]), st.sampled_from(["micro", "mid"]))
rrs = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([-10.0, 10.0, 0.0])


@st.composite
def actions_of(draw: st.DrawFn, trade_id: str) -> list[ActionLogged]:
    return [
        an_action(
            f"{trade_id}/{i}",
            trade_id,
            action_type=draw(st.sampled_from(sorted(TYPE_OF.values()))),
            event_at_ms=draw(times),
            scope=draw(scopes),
        )
        for i in range(draw(st.integers(0, 5)))
    ]


@st.composite
def closes_of(draw: st.DrawFn, trade_id: str) -> list[TradeClosed]:
    """Revisions of one close, some of them voids, none of them necessarily."""
    revisions = draw(st.sets(st.integers(0, 5), max_size=3))
    return [
        a_close(trade_id, event_at_ms=CLOSED_AT_MS, rr=draw(rrs), revision=revision, void=draw(st.booleans()))
        for revision in sorted(revisions)
    ]


trades = st.integers(1, 3).flatmap(
    lambda n: st.tuples(*(st.tuples(actions_of(f"t{i}"), closes_of(f"t{i}")) for i in range(n)))
)


class Sink:
    """What the outcome table holds after everything that was emitted."""

    def __init__(self) -> None:
        self.trades: dict[str, Trade] = {}
        self.standing: dict[str, Outcome] = {}

    def take(self, event: Event) -> bool:
        """Take an event; whether it changed its trade."""
        before = self.trades.get(event.trade_id, EMPTY)
        is_action = isinstance(event, ActionLogged)
        after = log_action(before, event, PARAMETERS) if is_action else close_trade(before, event)
        self.trades[event.trade_id] = after
        for outcome in outcomes(after, PARAMETERS) if after is not before else ():
            if isinstance(outcome, OutcomeVoided):
                self.standing.pop(outcome.outcome_id, None)
            else:
                self.standing[outcome.outcome_id] = outcome
        return after is not before


def taken(events: Iterable[Event]) -> Sink:
    sink = Sink()
    for event in events:
        sink.take(event)
    return sink


def recorded_again(event: Event, at_ms: int) -> Event:
    """When we recorded an event is no part of its content."""
    return msgspec.structs.replace(event, recorded_at_ms=at_ms)


@given(trades, st.randoms(use_true_random=False))
def test_any_order_and_any_duplicates_leave_the_same_outcomes(
    planned: tuple[tuple[list[ActionLogged], list[TradeClosed]], ...], random: Random
) -> None:
    events: list[Event] = [event for actions, closes in planned for event in (*actions, *closes)]
    expected = taken(events)
    twice = events + [recorded_again(event, random.randrange(START_MS, CLOSED_AT_MS)) for event in events]
    random.shuffle(twice)
    found = taken(twice)
    assert found.standing == expected.standing
    assert found.trades == expected.trades


@given(trades)
def test_what_stands_is_the_highest_revision_of_each_trade_or_nothing_if_that_is_a_void(
    planned: tuple[tuple[list[ActionLogged], list[TradeClosed]], ...],
) -> None:
    sink = taken(event for actions, closes in planned for event in (*actions, *closes))
    wanted: dict[str, tuple[float | None, int]] = {}
    for actions, closes in planned:
        last = closes[-1] if closes else None
        if last is not None and not last.void:
            wanted |= {action.action_id: (last.rr, last.revision) for action in actions}
    assert {name: (found.rr_raw, found.revision) for name, found in sink.standing.items()} == wanted


@given(trades)
def test_a_duplicate_changes_nothing(planned: tuple[tuple[list[ActionLogged], list[TradeClosed]], ...]) -> None:
    sink = Sink()
    for actions, closes in planned:
        for event in (*actions, *closes):
            sink.take(event)
            assert not sink.take(recorded_again(event, START_MS))


@given(trades)
def test_an_outcome_tells_its_action_and_its_close(
    planned: tuple[tuple[list[ActionLogged], list[TradeClosed]], ...],
) -> None:
    sink = taken(event for actions, closes in planned for event in (*actions, *closes))
    for actions, closes in planned:
        for action in actions:
            found = sink.standing.get(action.action_id)
            if found is None:
                continue
            close = closes[-1]
            capped = 10.0 if close.rr is None else min(10.0, max(-10.0, close.rr))
            assert (found.rr, found.rr_raw, found.rr_capped) == (capped, close.rr, close.rr is None)
            assert found.group == f"{action.pattern_key}|{action.action_category}"
            assert (found.scope, found.controls) == (action.scope, action.controls)
            assert (found.action_at_ms, found.closed_at_ms) == (action.event_at_ms, close.event_at_ms)


@given(trades)
def test_a_trade_counts_once_by_its_first_action_and_once_in_each_category(
    planned: tuple[tuple[list[ActionLogged], list[TradeClosed]], ...],
) -> None:
    sink = taken(event for actions, closes in planned for event in (*actions, *closes))
    for actions, closes in planned:
        if not closes or closes[-1].void:
            continue
        ordered = sorted(actions, key=lambda action: (action.event_at_ms, action.action_id))
        first = [action.action_id for action in ordered if sink.standing[action.action_id].first_of_trade]
        assert first == [action.action_id for action in ordered[:1]]
        for category in {action.action_category for action in actions}:
            of = [action.action_id for action in ordered if action.action_category == category]
            assert [name for name in of if sink.standing[name].first_of_category] == of[:1]


@pytest.mark.parametrize("modules", [("pm", "dm"), ("dm", "pm")])
def test_a_trade_counts_once_in_the_category_of_each_module(modules: tuple[Module, Module]) -> None:
    actions = [
        an_action(f"a{i}", module=module, pattern_key=f"{module}.uptrend.S1.buy_flag", event_at_ms=START_MS + i)
        for i, module in enumerate((*modules, *modules))
    ]
    sink = taken([*actions, a_close()])
    assert [sink.standing[action.action_id].first_of_category for action in actions] == [True, True, False, False]


@given(trades)
def test_companions_are_the_distinct_other_actions_in_time_order(
    planned: tuple[tuple[list[ActionLogged], list[TradeClosed]], ...],
) -> None:
    sink = taken(event for actions, closes in planned for event in (*actions, *closes))
    for actions, _ in planned:
        ordered = sorted(actions, key=lambda action: (action.event_at_ms, action.action_id))
        for own in ordered:
            found = sink.standing.get(own.action_id)
            if found is None:
                continue
            others = [
                (f"{a.pattern_key}|{a.action_category}", a.scope) for a in ordered if a.action_id != own.action_id
            ]
            distinct = [other for i, other in enumerate(others) if other not in others[:i]]
            assert [(c.group, c.scope) for c in found.companions] == distinct[: PARAMETERS.max_companions]


@given(st.integers(START_MS, CLOSED_AT_MS + 3 * PARAMETERS.late_grace_ms), st.booleans())
def test_past_late_grace_nothing_counts_whatever_came_first(at_ms: int, close_first: bool) -> None:
    close, early = a_close(event_at_ms=CLOSED_AT_MS), an_action("early")
    action = an_action("late", event_at_ms=at_ms)
    allowed = at_ms <= CLOSED_AT_MS + PARAMETERS.late_grace_ms
    sink = Sink()
    order = [early, close, action] if close_first else [early, action, close]
    if close_first and not allowed:
        sink.take(early)
        sink.take(close)
        with pytest.raises(BadInput, match="event_at_ms: expected a time within late_grace of the close"):
            sink.take(action)
    else:
        for event in order:
            sink.take(event)
    assert ("late" in sink.standing) is allowed
    assert "early" in sink.standing


@given(trades)
def test_a_trade_is_kept_for_as_long_as_something_may_still_come(
    planned: tuple[tuple[list[ActionLogged], list[TradeClosed]], ...],
) -> None:
    sink = taken(event for actions, closes in planned for event in (*actions, *closes))
    for trade in sink.trades.values():
        seen = [action.event_at_ms for action in trade.actions.values()]
        deadline = deadline_at_ms(trade, PARAMETERS)
        if trade.close is not None and seen:
            assert deadline == CLOSED_AT_MS + PARAMETERS.closed_keep_ms
            assert deadline > CLOSED_AT_MS + PARAMETERS.late_grace_ms
        elif trade.close is not None:
            assert deadline == CLOSED_AT_MS + PARAMETERS.max_open_ms
        else:
            assert deadline == min(seen) + PARAMETERS.max_open_ms
