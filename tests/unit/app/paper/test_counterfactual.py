"""A replay of what was gives what was; a choice is left out where its end is not known."""

import msgspec
import pytest

from app.paper.counterfactual import Other, deltas, replayed_rr
from app.paper.desk import Watched
from app.paper.pm import PaperPM
from app.paper.strategy import KNOBS
from leverloop.events import TradeClosed
from tests.unit.app.paper.scenes import book, days, lever_on, neutral, trade, trades

FOREVER = 10**9


@pytest.fixture(scope="module", params=["neutral", "moved"])
def watched(request: pytest.FixtureRequest) -> list[Watched]:
    """Closed trades with their tapes: without levers, and with stops, delays and trims moved."""
    overrides = []
    if request.param == "moved":
        overrides = [
            *lever_on("entry", {"entry_delay_bars": 2.0, "phase1_frac_mult": 0.5}),
            *lever_on("trim", {"trim_delay_mult": 1.25, "trail_mult": 0.9}),
            *lever_on("exit", {"trail_mult": 1.2, "panic_trigger_mult": 0.75}),
        ]
    pm = PaperPM(book(*overrides), watch_bars=FOREVER)
    trade(pm, days())
    closed = [w for desks in pm._desks.values() for desk in desks.values() for w in desk.watched]
    return [w for w in closed if w.position.here > w.exited]


def lived(w: Watched) -> Watched:
    """The trade with its tape cut at its close."""
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(w), type=Watched)
    del copy.position.tape[w.exited + 1 :]
    return copy


def test_the_replay_of_what_was_applied_gives_the_result_it_had(watched: list[Watched]) -> None:
    assert len(watched) > 60
    assert any(w.position.adds for w in watched)
    assert any(w.position.trims for w in watched)
    for w in map(lived, watched):
        assert replayed_rr(w.position, w.exit_price, w.exited) == w.position.rr
        assert round(w.position.rr, 6) == w.close.rr


def test_an_entry_behind_the_close_is_no_trade(watched: list[Watched]) -> None:
    w = lived(watched[0])
    assert replayed_rr(w.position, w.exit_price, w.exited, Other(entered=w.exited + 1)) == 0.0


def known(w: Watched) -> dict[str, dict[str, float]]:
    return deltas(w.position, w.exit_price, exited=w.exited, panic_atr=KNOBS.panic_trigger_level, trim_delay=5)


def test_a_tighter_stop_needs_no_watching(watched: list[Watched]) -> None:
    """It ends with the trade at the latest, so what comes after changes nothing."""
    for w in watched:
        at_close, later = known(lived(w)), known(w)
        for lever in ("trail_mult", "panic_trigger_mult"):
            tighter = at_close.get(lever, {})
            assert tighter == {value: later[lever][value] for value in tighter}
            assert len(later[lever]) >= len(tighter)


def test_values_of_stops_are_known_alike_for_every_trade(watched: list[Watched]) -> None:
    """Which values have a delta must not depend on how the trade ended."""
    assert len({tuple(known(w)["trail_mult"]) for w in watched}) == 1
    reasons = {w.close.exit_reason for w in watched}
    assert reasons >= {"trail", "stop", "panic"}
    values = {
        (w.close.exit_reason, tuple(known(lived(w)).get("trail_mult", ()))) for w in watched if not w.position.trims
    }
    assert len({v for _, v in values}) == 1


def test_the_value_that_was_applied_is_left_out() -> None:
    for event in neutral():
        if isinstance(event, TradeClosed):
            assert event.counterfactual is not None
            found = event.counterfactual.deltas
            assert list(found["entry_delay_bars"]) == ["1", "2", "3"]
            assert list(found["trail_mult"]) == ["0.8"]
            assert list(found["panic_trigger_mult"]) == ["0.75"]
            assert list(found["trim_delay_mult"]) == ["0.75", "1.25"]


def test_deltas_have_both_signs() -> None:
    """They are differences and no maxima."""
    for lever, value in (("entry_delay_bars", "2"), ("trail_mult", "0.8"), ("panic_trigger_mult", "0.75")):
        found = [t.counterfactual.deltas[lever][value] for t in trades(neutral()).values() if t.counterfactual]
        assert min(found) < 0.0 < max(found)
