"""What the demo says: counts, and no comparison that its trades cannot carry."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from app.demo_view import DemoView, _counted, _lessons
from app.paper.tally import PaperSummary
from app.settings import Settings
from tests.laws.test_lessons import alive


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


def test_candidates_for_two_levers_of_one_place_are_told_apart() -> None:
    about = [
        alive(id=name, lesson_type="pm_tuning", lever=name, state="candidate", scope={})
        for name in ("trim_delay_mult", "trail_mult")
    ]
    out = StringIO()
    Console(file=out, width=120).print(_lessons(about))
    assert "trim_delay_mult: not confirmed" in out.getvalue()
    assert "trail_mult: not confirmed" in out.getvalue()
    assert out.getvalue().count("(the whole group)") == 2


def test_a_line_of_progress_counts_lessons_by_state() -> None:
    candidates = [alive(id=f"ls_{n}", state="candidate") for n in range(5)]
    assert _counted([]) == "0 active, 0 candidate"
    assert _counted(candidates) == "0 active, 5 candidate"
    assert _counted([*candidates, alive(), alive(state="retired")]) == "1 active, 5 candidate, 1 retired"


def banner(*, alone: bool, **fields: str) -> str:
    out = StringIO()
    settings = Settings(data_dir=Path("data"), **fields)  # type: ignore[arg-type]
    with DemoView(Console(file=out, width=40), settings, Path("candles"), alone=alone):
        return out.getvalue()


def test_the_paper_pm_has_a_banner_of_its_own_with_files_that_it_has() -> None:
    text = banner(alone=True)
    assert "Leverloop paper PM: candles on embedded://.leverloop/log.db" in text
    assert "data/paper.state" in text
    assert "data/emit" not in text  # the embedded log takes an event at once
    assert "events not yet sent: data/emit" in banner(alone=True, broker_url="kafka://127.0.0.1:9092")
    assert "worker.log" not in text
    assert "demo" not in text
    assert "Leverloop demo: candles on" in banner(alone=False)
    assert "worker.log in data" in banner(alone=False)
