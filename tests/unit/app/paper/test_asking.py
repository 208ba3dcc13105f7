"""An answer says what was asked with, what came back, and what the PM acts with."""

import pytest

from app.paper.asking import View
from app.paper.indicators import Reading
from app.paper.regimes import RegimeTracker
from app.paper.resample import Bar
from app.paper.strategy import KNOBS
from leverloop.book import OverrideBook
from leverloop.regime import mode
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.testing import make_override, make_snapshot
from tests.unit.app.paper.scenes import days

KEY = "pm.uptrend.S1.buy_flag"


@pytest.fixture(scope="module")
def view() -> View:
    regimes = RegimeTracker()
    for batch in days()[:400]:
        regimes.update(batch)
    signals = {"TS": 0.7, "OX": 0.4, "DX": 0.3, "EDX": 0.2, "OBV_z": 0.5}
    reading = Reading("S1", signals, 1.0, 100.0, 0.0, 101.0, 2.0, 0, bounced=False)
    bar = Bar(days()[399].close_at_ms, 100.0, 102.0, 99.0, 101.5, 1.0)
    return View("ELK-PERP", "15m", reading, bar, regimes)


def test_a_scope_is_whole_and_of_the_schema(view: View) -> None:
    known, ignored = DEFAULT_SCHEMA.normalise(view.scope, "pm")
    assert (known, ignored) == (view.scope, ())
    assert len(known) == 10
    assert known["A_mode"] == mode(view.a)


def test_without_levers_the_answer_is_the_pms_own(view: View) -> None:
    answer = view.ask(OverrideBook.empty().resolve, KEY, "entry", "t", KNOBS, 0.2)
    assert (answer.a, answer.e, answer.size_frac, answer.knobs) == (view.a, view.e, 0.2, KNOBS)
    assert answer.decision.reason == "NOT_READY"


def test_levers_are_applied_and_recorded(view: View) -> None:
    overrides = [
        make_override({"size_mult": 1.2, "entry_aggression_mult": 0.9}, {"timeframe": "15m"}),
        make_override({"entry_delay_bars": 1.6, "phase1_frac_mult": 0.5}, {"bucket": "mid", "timeframe": "15m"}),
        make_override({"size_mult": 0.7}, {"timeframe": "1h"}),
    ]
    book = OverrideBook(make_snapshot(*overrides, version=9), holdout_share=0.0)
    answer = view.ask(book.resolve, KEY, "entry", "t", KNOBS, 0.2)
    assert answer.size_frac == pytest.approx(0.24)
    assert answer.a == pytest.approx(0.9 * view.a)
    assert (answer.knobs.entry_delay_bars, answer.knobs.phase1_frac) == (2.0, pytest.approx(0.3))
    decision = answer.decision
    assert (decision.snapshot_version, len(decision.overrides)) == (9, 2)
    assert decision.before["A_value"] == view.a
    assert decision.after["A_value"] == answer.a


def test_a_threshold_that_a_lever_sets_is_absolute(view: View) -> None:
    key = "pm.uptrend.S1.add"
    override = make_override(
        {"signal_thresholds.min_ts_for_add": 0.66}, {"timeframe": "15m"}, pattern_key=key, action_category="add"
    )
    free = view.ask(OverrideBook.empty().resolve, key, "add", "t", KNOBS, 0.2)
    bound = view.ask(OverrideBook(make_snapshot(override), holdout_share=0.0).resolve, key, "add", "t", KNOBS, 0.2)
    assert free.knobs.min_ts_for_add == pytest.approx(KNOBS.min_ts_for_add - 0.2 * (view.a - 0.5), abs=1e-4)
    assert bound.knobs.min_ts_for_add == 0.66
