"""Counters count each event once, and tell trades with levers from trades without."""

import pytest

from app.paper.tally import PaperSummary
from tests.unit.app.paper.scenes import actions, neutral, traded_with, trades


def tallied(events: tuple) -> PaperSummary:
    summary = PaperSummary()
    for event in events:
        summary.count(event)
    return summary


def test_a_run_without_levers() -> None:
    summary = tallied(neutral())
    assert summary.actions == len(actions(neutral()))
    assert summary.trades == len(trades(neutral()))
    assert summary.reasons == {"NOT_READY": summary.actions}
    assert (summary.levers_applied, summary.snapshot_versions, summary.trades_with) == (0, [], 0)
    results = [t.rr for t in trades(neutral()).values() if t.rr is not None]
    assert summary.mean_rr == pytest.approx(sum(results) / len(results))


def test_a_run_with_levers_on_trims() -> None:
    events = traded_with("trim", "trim_delay_mult", 1.25)
    summary = tallied(events)
    trimmed = {a.trade_id for a in actions(events, "trim")}
    closed = trades(events)
    assert summary.levers_applied == summary.reasons["MATCHED"] == len(actions(events, "trim"))
    assert summary.snapshot_versions == [1]
    assert summary.trades_with == len(trimmed & closed.keys())
    assert summary.levered == trimmed - closed.keys()
    results = [t.rr for t in closed.values() if t.rr is not None]
    assert summary.mean_rr == pytest.approx(sum(results) / len(results))


def test_a_lever_at_its_neutral_is_not_applied() -> None:
    assert tallied(traded_with("entry", "size_mult", 1.0)).levers_applied == 0
