"""The paper PM keeps the contract, repeats itself, goes on from its state, sees no future, and obeys the levers."""

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.paper.candles import Batch, Candle, CandleMarket
from app.paper.market import SimulatedMarket
from app.paper.pm import PaperPM
from app.paper.resample import TIMEFRAMES
from leverloop.book import OverrideBook
from leverloop.errors import BadConfig
from leverloop.events import ActionLogged, TradeClosed, encode, parse_action, parse_trade
from tests.unit.app.paper.scenes import (
    CANDLES,
    KEYS,
    actions,
    book,
    days,
    lever_on,
    needs_candles,
    neutral,
    trade,
    traded_with,
    trades,
)

UNMOVED = OverrideBook.empty().resolve
UNSHRUNK = (
    Phase.explicit,
    Phase.reuse,
    Phase.generate,
)  # an example takes a second: a smaller one is not worth minutes


def check_contract(events: list[ActionLogged | TradeClosed]) -> None:
    """Every event passes the door of the engine unchanged, in order of time, and every trade is whole."""
    seen: dict[str, list[ActionLogged]] = {}
    ids, latest_at_ms = set(), 0
    for event in events:
        assert event.event_at_ms >= latest_at_ms
        latest_at_ms = event.event_at_ms
        if isinstance(event, ActionLogged):
            parsed = parse_action(encode(event), received_at_ms=event.event_at_ms)
            assert parsed == msgspec.structs.replace(event, action_category=event.category)
            assert event.decision is not None
            assert event.scope.keys() >= {"bucket", "timeframe", "A_mode", "E_mode", "macro_phase", "market_family"}
            assert event.action_id not in ids
            ids.add(event.action_id)
            seen.setdefault(event.trade_id, []).append(event)
        else:
            assert parse_trade(encode(event), received_at_ms=event.event_at_ms) == event
            mine = seen.pop(event.trade_id)
            assert (mine[0].category, mine[-1].category) == ("entry", "exit")
            assert {a.category for a in mine[1:-1]} <= {"add", "trim"}
            assert event.opened_at_ms == mine[0].event_at_ms < event.event_at_ms == mine[-1].event_at_ms
            assert sum(a.category == "exit" for a in mine) == 1


def test_every_event_keeps_the_contract() -> None:
    check_contract(list(neutral()))
    assert len(trades(neutral())) > 60
    assert {a.category for a in actions(neutral())} == {"entry", "add", "trim", "exit"}
    assert {a.scope["timeframe"] for a in actions(neutral())} == set(TIMEFRAMES)


def test_the_same_candles_give_the_same_events() -> None:
    assert trade(PaperPM(UNMOVED), days()) == list(neutral())


@settings(max_examples=12, phases=UNSHRUNK)
@given(cut=st.integers(0, 1200))
def test_going_on_at_any_bar_is_the_same_as_never_having_stopped(cut: int) -> None:
    first, second = PaperPM(UNMOVED), PaperPM(UNMOVED)
    before = trade(first, days()[:cut])
    second.restore(first.state())
    assert before + trade(second, days()[cut:]) == list(neutral())


@settings(max_examples=8, phases=UNSHRUNK)
@given(cut=st.integers(400, 1190), factor=st.floats(0.5, 2.0), data=st.data())
def test_bars_to_come_change_nothing_before_them(cut: int, factor: float, data: st.DataObject) -> None:
    def other(batch: Batch) -> Batch:
        times = data.draw(st.floats(0.9, 1.1)) * factor
        return Batch(
            batch.open_at_ms,
            {
                symbol: Candle(c.open_at_ms, *(times * p for p in (c.open, c.high, c.low, c.close)), c.volume)
                for symbol, c in batch.candles.items()
            },
        )

    events = trade(PaperPM(UNMOVED), [*days()[:cut], *map(other, days()[cut : cut + 40])])
    known_at_ms = days()[cut].open_at_ms
    assert [e for e in events if e.event_at_ms <= known_at_ms] == [e for e in neutral() if e.event_at_ms <= known_at_ms]


def test_a_symbol_without_bars_for_a_while_is_traded_on() -> None:
    gone = days()[500].open_at_ms, days()[560].open_at_ms
    batches = [
        Batch(b.open_at_ms, {s: c for s, c in b.candles.items() if s > "F" or not gone[0] <= b.open_at_ms < gone[1]})
        for b in days()
        if not gone[1] <= b.open_at_ms < gone[1] + 3_600_000  # and nothing at all for an hour
    ]
    events = trade(PaperPM(UNMOVED), batches)
    check_contract(events)
    assert any(e.event_at_ms > gone[1] + 3_600_000 for e in events)


def test_a_bar_ends_by_the_clock_although_nothing_trades_any_more() -> None:
    """A pause of the whole market in the middle of an hour: the hour is a bar of its own all the same."""
    batches = [*days()[:100], *days()[130:160]]
    pm = PaperPM(UNMOVED)
    trade(pm, batches)
    for timeframe, length_ms in TIMEFRAMES.items():
        over = {
            b.open_at_ms // length_ms
            for b in batches
            if (b.open_at_ms // length_ms + 1) * length_ms <= batches[-1].close_at_ms
        }
        assert pm._desks[timeframe]["ANT-SIM"].track.bars == len(over)


# --- levers ---------------------------------------------------------------------------------------------


def test_size_levers_change_sizes_and_nothing_else() -> None:
    pm = PaperPM(book(*lever_on("entry", {"size_mult": 1.3}), *lever_on("add", {"size_mult": 0.7})))
    moved = trade(pm, days())
    assert {k: t.rr for k, t in trades(moved).items()} == {k: t.rr for k, t in trades(neutral()).items()}
    for before, after in zip(actions(neutral()), actions(moved), strict=True):
        assert (before.action_id, before.event_at_ms) == (after.action_id, after.event_at_ms)
        assert before.size_frac is not None
        if after.category == "entry":
            assert after.size_frac == pytest.approx(1.3 * before.size_frac, rel=1e-6)
        if after.category == "add":
            assert after.size_frac == pytest.approx(1.3 * 0.7 * before.size_frac, rel=1e-6)


def test_what_was_applied_is_in_the_decision() -> None:
    for action in actions(traded_with("entry", "size_mult", 1.3), "entry"):
        decision = action.decision
        assert decision is not None
        assert (decision.reason, decision.arm, decision.snapshot_version) == ("MATCHED", "treated", 1)
        assert decision.after["size_mult"] == pytest.approx(1.3)
        assert decision.after["position_size_frac"] == pytest.approx(1.3 * decision.before["position_size_frac"])
        assert len(decision.overrides) == 1


def test_the_holdout_trades_as_if_there_were_no_levers() -> None:
    pm = PaperPM(book(*lever_on("entry", {"size_mult": 1.3}), holdout_share=1.0))
    events = trade(pm, days())
    assert {k: t.rr for k, t in trades(events).items()} == {k: t.rr for k, t in trades(neutral()).items()}
    for before, after in zip(actions(neutral(), "entry"), actions(events, "entry"), strict=True):
        assert after.size_frac == before.size_frac
        assert after.decision is not None
        assert after.decision.reason == "HOLDOUT"


def test_entry_aggression_moves_a_and_how_much_is_entered() -> None:
    bold, shy = (traded_with("entry", "entry_aggression_mult", m) for m in (1.2, 0.8))
    assert len(actions(bold, "entry")) > len(actions(neutral(), "entry")) > len(actions(shy, "entry"))
    for action in actions(bold, "entry"):
        assert action.decision is not None
        assert action.a_value == pytest.approx(min(1.0, 1.2 * action.decision.before["A_value"]))


def test_exit_aggression_moves_the_trailing_stop() -> None:
    tight, wide = (trades(traded_with("exit", "exit_aggression_mult", m)) for m in (1.2, 0.8))
    same = tight.keys() & wide.keys()
    assert len(same) > 30
    assert all(tight[k].event_at_ms <= wide[k].event_at_ms for k in same)
    assert any(tight[k].event_at_ms < wide[k].event_at_ms for k in same)


def test_a_delayed_entry_is_late_by_its_bars() -> None:
    events = traded_with("entry", "entry_delay_bars", 2.0)
    assert len(trades(events)) > 40
    for entry in actions(events, "entry"):
        signal_at_ms = int(entry.trade_id.split("-")[-2])
        assert entry.event_at_ms == signal_at_ms + 2 * TIMEFRAMES[str(entry.scope["timeframe"])]
        assert entry.controls.applied_knobs["entry_delay_bars"] == 2


@pytest.mark.parametrize(
    ("category", "lever", "value"),
    [("exit", "trail_mult", 0.8), ("exit", "panic_trigger_mult", 0.75), ("trim", "trim_delay_mult", 1.25)],
)
def test_a_lever_does_what_its_delta_said(category: str, lever: str, value: float) -> None:
    """The delta of a trade without the lever is what the same trade earns more with it."""
    moved, before = trades(traded_with(category, lever, value)), trades(neutral())  # type: ignore[arg-type]
    with_it = traded_with(category, lever, value)  # type: ignore[arg-type]
    adds = [{(a.trade_id, a.event_at_ms) for a in actions(events, "add")} for events in (with_it, neutral())]
    other = {trade_id for trade_id, _ in adds[0] ^ adds[1]}
    # Adds depend on what came before them; deltas leave them as they were.
    same = [k for k in moved.keys() & before.keys() if k not in other]
    assert len(same) > 20
    for key in same:
        rr, had, counterfactual = moved[key].rr, before[key].rr, before[key].counterfactual
        assert rr is not None
        assert had is not None
        assert counterfactual is not None
        assert rr == pytest.approx(had + counterfactual.deltas[lever][f"{value:g}"], abs=3e-6)
    assert any(moved[key].rr != before[key].rr for key in same)


@pytest.mark.parametrize(
    ("category", "lever", "value"),
    [
        ("add", "signal_thresholds.min_ts_for_add", 1.0),
        ("add", "signal_thresholds.min_dx_for_add", 1.0),
        ("add", "signal_thresholds.max_edx_for_add", 0.0),
        ("trim", "signal_thresholds.min_ox_for_trim", 1.0),
    ],
)
def test_thresholds_forbid(category: str, lever: str, value: float) -> None:
    assert len(actions(neutral(), category)) > 10  # type: ignore[arg-type]
    assert len(actions(traded_with(category, lever, value), category)) <= 1  # type: ignore[arg-type]


def test_an_entry_waits_for_its_signal() -> None:
    entries = actions(traded_with("entry", "signal_thresholds.wait_for_signal", 0.75), "entry")
    assert 0 < len(entries) < len(actions(neutral(), "entry"))
    assert all(a.controls.signals["TS"] >= 0.75 for a in entries)


def test_phases_scale_what_is_bought() -> None:
    half = {a.action_id: a for a in actions(traded_with("entry", "phase1_frac_mult", 0.5), "entry")}
    for action in actions(neutral(), "entry"):
        if action.action_id in half:
            assert action.size_frac is not None
            assert half[action.action_id].size_frac == pytest.approx(0.5 * action.size_frac, rel=1e-6)
    more = {a.action_id: a for a in actions(traded_with("add", "phase_scaling.S2", 1.5), "add")}
    scaled = [(a, more[a.action_id]) for a in actions(neutral(), "add") if a.action_id in more]
    assert {a.pattern_key for a, _ in scaled} == set(KEYS["add"])
    for one, other in scaled:
        assert one.size_frac is not None
        times = 1.5 if one.pattern_key == "pm.uptrend.S2.add" else 1.0
        assert other.size_frac == pytest.approx(times * one.size_frac, rel=1e-6)


@pytest.mark.parametrize("category", ["add", "trim"])
def test_adds_wait_after_a_trim(category: str) -> None:
    def gaps(events: list[ActionLogged]) -> list[float]:
        trimmed: dict[str, int] = {}
        found = []
        for action in events:
            length_ms = TIMEFRAMES[str(action.scope["timeframe"])]
            if action.category == "trim":
                trimmed[action.trade_id] = action.event_at_ms
            elif action.category == "add" and action.trade_id in trimmed:
                found.append((action.event_at_ms - trimmed[action.trade_id]) / length_ms)
        return found

    assert min(gaps(actions(neutral()))) < 10
    assert min(gaps(actions(traded_with(category, "wait_n_bars_after_trim", 10.0))), default=10) >= 10  # type: ignore[arg-type]


def test_a_trim_can_move_the_stop_behind_it() -> None:
    moved, before = trades(traded_with("trim", "trail_mult", 0.5)), trades(neutral())
    trimmed = {a.trade_id for a in actions(neutral(), "trim")}
    for key in (moved.keys() & before.keys()) - trimmed:
        assert moved[key].rr == before[key].rr
    assert any(moved[key].event_at_ms < before[key].event_at_ms for key in moved.keys() & before.keys() & trimmed)


# --- revisions, state, real candles ---------------------------------------------------------------------


def test_a_watched_trade_is_revised_with_what_wider_stops_would_have_earned() -> None:
    events = trade(PaperPM(UNMOVED, watch_bars=12), days())
    first = trades(events)
    assert first == trades(neutral())
    revised = [e for e in events if isinstance(e, TradeClosed) and e.revision == 1]
    assert len(revised) > 40
    for close in revised:
        before = first[close.trade_id]
        assert close.counterfactual is not None
        assert list(close.counterfactual.deltas["trail_mult"]) == ["0.8", "1.2"]
        assert msgspec.structs.replace(close, revision=0, counterfactual=before.counterfactual) == before
        assert parse_trade(encode(close), received_at_ms=close.event_at_ms) == close
    assert any(c.counterfactual and c.counterfactual.deltas["trail_mult"]["1.2"] != 0.0 for c in revised)


def test_labels_keep_runs_apart() -> None:
    events = trade(PaperPM(UNMOVED, label="b"), days())
    assert [a.action_id for a in actions(events)] == [f"b-{a.action_id}" for a in actions(neutral())]


def test_a_state_that_is_not_ours_is_refused() -> None:
    pm = PaperPM(UNMOVED, label="a")
    with pytest.raises(BadConfig, match="expected version 1, label 'a', was version 1, label ''"):
        pm.restore(PaperPM(UNMOVED).state())
    with pytest.raises(BadConfig, match="not one of a paper PM"):
        pm.restore(SimulatedMarket(1).state())


@needs_candles
def test_recorded_candles_give_hundreds_of_trades_that_keep_the_contract() -> None:
    pm, market, events = PaperPM(UNMOVED), CandleMarket(CANDLES), []
    while (batch := market.next()) is not None:
        events += pm.step(batch)
    check_contract(events)
    assert len(trades(events)) >= 500
    assert len({a.pattern_key for a in actions(events)}) >= 5
