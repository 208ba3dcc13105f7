"""A desk rests after a close, keeps its stops, and knows which exit it asks for before the bar that hits it."""

from app.paper.desk import _REST_BARS
from app.paper.pm import PaperPM
from app.paper.resample import TIMEFRAMES
from app.paper.strategy import EXIT_KEY, PANIC_KEY
from app.paper.trade import stop_level
from leverloop.book import OverrideBook
from leverloop.events import ActionLogged, TradeClosed
from tests.unit.app.paper.scenes import actions, days, neutral, trade, trades

FOREVER = 10**9


def test_a_desk_rests_after_a_close() -> None:
    closed: dict[tuple[str, object], int] = {}
    rested = 0
    for event in neutral():
        if isinstance(event, TradeClosed):
            timeframe = event.trade_id.split("-")[2]
            closed[event.symbol, timeframe] = event.event_at_ms
        elif event.category == "entry":
            symbol, timeframe = event.trade_id.rsplit("-", 3)[0], str(event.scope["timeframe"])
            last_at_ms = closed.get((symbol, timeframe))
            if last_at_ms is not None:
                assert event.event_at_ms > last_at_ms + _REST_BARS * TIMEFRAMES[timeframe]
                rested += 1
    assert rested > 20


def test_one_trade_at_a_time_on_a_desk() -> None:
    open_now: set[str] = set()
    for event in neutral():
        desk = "-".join(event.trade_id.split("-")[:3])
        if isinstance(event, TradeClosed):
            open_now.remove(desk)
        elif event.category == "entry":
            assert desk not in open_now
            open_now.add(desk)


def test_stops_fill_where_they_stood_and_panics_are_told_apart() -> None:
    pm = PaperPM(OverrideBook.empty().resolve, watch_bars=FOREVER)
    exits = {a.trade_id: a for a in actions(trade(pm, days()), "exit")}
    closed = [w for desks in pm._desks.values() for desk in desks.values() for w in desk.watched]
    hit = [w for w in closed if w.close.exit_reason in ("trail", "stop")]
    assert {w.close.exit_reason for w in hit} == {"trail", "stop"}
    for w in hit:
        position, bar, stops = w.position, w.position.tape[w.exited].bar, w.position.tape[w.exited - 1].stops
        highest = max(t.bar.close for t in position.tape[position.entered : w.exited])
        level, which = stop_level(position.entry_price, position.r_price, highest, stops)
        assert bar.low <= w.exit_price == min(bar.open, level) <= bar.open
        assert which == w.close.exit_reason
        assert exits[position.trade_id].pattern_key == EXIT_KEY
    fallen = [w for w in closed if w.close.exit_reason == "panic"]
    assert len(fallen) > 3
    for w in closed:
        assert (exits[w.position.trade_id].pattern_key == PANIC_KEY) == (w.close.exit_reason == "panic")
        before = w.position.tape[w.position.entered + 1 : w.exited]
        assert not any(here.panic or here.leave for here in before)


def test_what_is_sold_was_held() -> None:
    """Sizes of the log add up: an exit sells, at its price, what entry and adds bought and trims left."""
    by_trade: dict[str, list[ActionLogged]] = {}
    for action in actions(neutral()):
        by_trade.setdefault(action.trade_id, []).append(action)
    for trade_id, close in trades(neutral()).items():
        bought = sum(a.size_frac or 0.0 for a in by_trade[trade_id] if a.category in ("entry", "add"))
        sold = sum(a.size_frac or 0.0 for a in by_trade[trade_id] if a.category in ("trim", "exit"))
        # Prices moved in between, by no more than the trade saw.
        assert bought * (1.0 - close.max_drawdown_frac - 0.01) <= sold
        assert sold <= bought * (1.0 + close.max_gain_frac + 0.01)
