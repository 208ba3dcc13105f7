"""Trades table: records in, trades out; what is deleted is gone (law: recovery, in tests/laws/test_convergence.py)."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from learning.attribution import EMPTY, Trade, deadline_at_ms
from learning.parameters import Parameters
from leverloop.events import ActionLogged, TradeClosed
from tables.trades import StoredAction, StoredClose, TradesPartition, action_key, close_key, keys_of, stored
from tests.laws.examples import DAY_MS, START_MS, a_close, an_action

IDS = st.sampled_from(["t1", "t2", "t/2", "é"])
DAYS = st.integers(0, 100)


class TradesMachine(RuleBasedStateMachine):
    """The state beside the records it was told of."""

    def __init__(self) -> None:
        super().__init__()
        self.state = TradesPartition()
        self.records: dict[bytes, tuple[int, ActionLogged | TradeClosed]] = {}

    @rule(trade_id=IDS, action_id=IDS, offset=st.integers(0, 99), a_value=st.floats(0, 1), day=DAYS)
    def write_action(self, trade_id: str, action_id: str, offset: int, a_value: float, day: int) -> None:
        action = an_action(action_id, trade_id, a_value=a_value, event_at_ms=START_MS + day * DAY_MS)
        key = action_key(trade_id, action_id)
        self.state.apply(key, stored(StoredAction(offset=offset, action=action)))
        self.records[key] = (offset, action)

    @rule(trade_id=IDS, offset=st.integers(0, 99), revision=st.integers(0, 3), day=DAYS)
    def write_close(self, trade_id: str, offset: int, revision: int, day: int) -> None:
        close = a_close(trade_id, revision=revision, event_at_ms=START_MS + day * DAY_MS)
        self.state.apply(close_key(trade_id), stored(StoredClose(offset=offset, close=close)))
        self.records[close_key(trade_id)] = (offset, close)

    @rule(trade_id=IDS)
    def delete_trade(self, trade_id: str) -> None:
        for key in list(keys_of(trade_id, self.state.get(trade_id))):
            self.state.apply(key, None)
            self.records.pop(key)

    @rule(trade_id=IDS, action_id=IDS)
    def delete_one(self, trade_id: str, action_id: str) -> None:
        for key in (action_key(trade_id, action_id), close_key(trade_id)):
            self.state.apply(key, None)
            self.records.pop(key, None)

    @rule(day=st.integers(0, 200), parameters=st.sampled_from([Parameters(), Parameters(closed_keep_ms=60 * DAY_MS)]))
    def ask_what_is_past_its_deadline(self, day: int, parameters: Parameters) -> None:
        now_ms = START_MS + day * DAY_MS
        past = [
            (name, trade) for name, trade in sorted(self.wanted().items()) if deadline_at_ms(trade, parameters) < now_ms
        ]
        assert self.state.past_deadline(now_ms, parameters) == past
        assert self.state.past_deadline(now_ms, parameters) == past, "asking changes nothing"

    def wanted(self) -> dict[str, Trade]:
        wanted: dict[str, Trade] = {}
        for _, event in self.records.values():
            trade = wanted.get(event.trade_id, EMPTY)
            wanted[event.trade_id] = (
                Trade(actions={**trade.actions, event.action_id: event}, close=trade.close)
                if isinstance(event, ActionLogged)
                else Trade(actions=trade.actions, close=event)
            )
        return wanted

    @invariant()
    def holds_exactly_what_was_written(self) -> None:
        assert len(self.state) == len(self.records)
        assert {key: self.state.offset(key) for key in self.records} == {key: o for key, (o, _) in self.records.items()}
        wanted = self.wanted()
        for trade_id in ("t1", "t2", "t/2", "é"):
            assert self.state.get(trade_id) == wanted.get(trade_id, EMPTY)
            assert set(keys_of(trade_id, self.state.get(trade_id))) == {
                key for key, (_, event) in self.records.items() if event.trade_id == trade_id
            }
        assert set(self.state._trades) == set(wanted), "nothing is left of a trade that is gone"


TradesMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestTrades = TradesMachine.TestCase


class FatTradesMachine(RuleBasedStateMachine):
    """Trades of many actions, some of which stay decoded."""

    def __init__(self) -> None:
        super().__init__()
        self.state = TradesPartition()
        self.wanted: dict[str, Trade] = {}
        self.written = 0

    @rule(trade_id=IDS, count=st.integers(1, 150))
    def write_actions(self, trade_id: str, count: int) -> None:
        for _ in range(count):
            self.written += 1
            action = an_action(f"a{self.written}", trade_id)
            self.state.apply(
                action_key(trade_id, action.action_id), stored(StoredAction(offset=self.written, action=action))
            )
            trade = self.wanted.get(trade_id, EMPTY)
            self.wanted[trade_id] = Trade(actions={**trade.actions, action.action_id: action}, close=trade.close)

    @rule(trade_id=IDS, revision=st.integers(0, 3))
    def write_close(self, trade_id: str, revision: int) -> None:
        close = a_close(trade_id, revision=revision)
        self.state.apply(close_key(trade_id), stored(StoredClose(offset=0, close=close)))
        self.wanted[trade_id] = Trade(actions=self.wanted.get(trade_id, EMPTY).actions, close=close)

    @rule(trade_id=IDS)
    def delete_one(self, trade_id: str) -> None:
        trade = self.wanted.get(trade_id, EMPTY)
        if len(trade.actions) > 1:
            gone, *_ = trade.actions
            self.state.apply(action_key(trade_id, gone), None)
            actions = {name: action for name, action in trade.actions.items() if name != gone}
            self.wanted[trade_id] = Trade(actions=actions, close=trade.close)

    @rule(trade_id=IDS)
    def read_one(self, trade_id: str) -> None:
        found = self.state.get(trade_id)
        assert found == self.wanted.get(trade_id, EMPTY)
        assert [*found.actions] == [*self.wanted.get(trade_id, EMPTY).actions], "in the order they came"

    @invariant()
    def few_stay_decoded(self) -> None:
        kept = [len(trade.actions) + (trade.close is not None) for trade in self.state._decoded.values()]
        assert self.state._n_decoded == sum(kept)
        assert sum(kept[:-1]) < 256, "but for the one used last"


FatTradesMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestFatTrades = FatTradesMachine.TestCase


def test_what_is_expected_of_trades_that_are_gone_does_not_pile_up() -> None:
    state = TradesPartition()
    for i in range(3_000):
        name = f"t{i}"
        state.apply(action_key(name, name), stored(StoredAction(offset=i, action=an_action(name, name))))
        state.apply(close_key(name), stored(StoredClose(offset=i, close=a_close(name))))
        for key in [*keys_of(name, state.get(name))]:
            state.apply(key, None)
    assert len(state) == 0
    assert sum(map(len, state._due)) < 600


def test_an_unknown_key_has_no_offset() -> None:
    assert TradesPartition().offset(b"t1") is None


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.booleans()), max_size=8))
def test_past_deadline_lists_by_id_what_can_be_forgotten(trades: list[tuple[int, bool, bool]]) -> None:
    state, parameters, now_ms = TradesPartition(), Parameters(), START_MS + 150 * DAY_MS
    wanted = []
    for i, (day, acted, closed) in enumerate(trades):
        name, at_ms = f"t{i}", START_MS + day * DAY_MS
        if acted:
            action = an_action(name, name, event_at_ms=at_ms)
            state.apply(action_key(name, name), stored(StoredAction(offset=0, action=action)))
        if closed:
            state.apply(close_key(name), stored(StoredClose(offset=0, close=a_close(name, event_at_ms=at_ms))))
        kept_days = 30 if acted and closed else 90
        if (acted or closed) and at_ms + kept_days * DAY_MS < now_ms:
            wanted.append(name)
    assert [name for name, _ in state.past_deadline(now_ms, parameters)] == wanted
