"""What the demo says: counts, and no comparison that its trades cannot carry."""

from io import StringIO

from rich.console import Console

from app.demo_view import DemoView
from app.paper.tally import PaperSummary
from app.settings import Settings


def said(paper: PaperSummary) -> str:
    out = StringIO()
    DemoView(Console(file=out, width=120), Settings(), None).finish(None, paper, market_ended=False)
    return out.getvalue()


def test_the_summary_counts_trades_with_levers_and_does_not_compare_them() -> None:
    text = said(PaperSummary(actions=9_000, trades=4_852, levers_applied=60, trades_with=57, rr_with=570.9))
    assert "in 60 actions, of 57 closed trades" in text
    assert "+0.118 R" in text
    assert "with a lever" not in text
    assert "without" not in text
