from pathlib import Path

import pytest

from benchmarks.uplift.sized import sized
from leverloop.book import DEFAULT_HOLDOUT_SHARE
from leverloop.events import ActionLogged, TradeClosed, encode
from leverloop.holdout import DRAWS, draw
from leverloop.testing import AT_MS, make_override, make_snapshot

HELD_OUT = next(f"t{i}" for i in range(10_000) if draw(f"t{i}") < DEFAULT_HOLDOUT_SHARE * DRAWS)
TREATED = [f"t{i}" for i in range(20) if draw(f"t{i}") >= DEFAULT_HOLDOUT_SHARE * DRAWS]


def write(folder: Path, trades: dict[str, list[tuple[str, str]]]) -> None:
    """Trades with (action type, bucket) of their actions; rr is the number of actions."""
    with (folder / "actions.jsonl").open("wb") as actions, (folder / "trades.jsonl").open("wb") as closes:
        for name, made in trades.items():
            for i, (action_type, bucket) in enumerate(made):
                action = ActionLogged(
                    action_id=f"{name}-{i}", trade_id=name, module="pm", pattern_key="pm.uptrend.S1.buy_flag",
                    action_type=action_type, event_at_ms=AT_MS + i, scope={"bucket": bucket}, size_frac=0.1,
                    a_value=0.5, e_value=0.5,
                )  # fmt: skip
                actions.write(encode(action) + b"\n")
            close = TradeClosed(
                trade_id=name, module="pm", symbol="SIM", opened_at_ms=AT_MS, event_at_ms=AT_MS + 3_600_000,
                rr=float(len(made)), return_frac=0.05, max_drawdown_frac=0.05, max_gain_frac=0.1,
            )  # fmt: skip
            closes.write(encode(close) + b"\n")


def test_entries_are_sized_by_what_they_match_and_the_holdout_is_not(tmp_path: Path) -> None:
    micro, nano, exits = TREATED[:3]
    write(
        tmp_path,
        {
            micro: [("entry", "micro"), ("add", "micro"), ("add", "nano"), ("exit", "micro")],
            nano: [("entry", "nano"), ("exit", "micro")],
            exits: [("entry", "micro"), ("trim", "micro")],
            HELD_OUT: [("entry", "micro")],
        },
    )
    book = make_snapshot(
        make_override({"size_mult": 1.2}, {"bucket": "micro"}, updated_at_ms=AT_MS),
        make_override({"size_mult": 0.9}, {"bucket": "micro"}, action_category="add", updated_at_ms=AT_MS),
        make_override({"exit_aggression_mult": 0.9}, {"bucket": "micro"}, action_category="exit", updated_at_ms=AT_MS),
    )
    found = sized(tmp_path, book)
    assert found.rr.tolist() == [4.0, 2.0, 2.0, 1.0]
    assert found.m_entry == pytest.approx([1.2, 1.0, 1.2, 1.0])
    assert found.m_entering == pytest.approx([(1.2 + 0.9 + 1.0) / 3, 1.0, 1.2, 1.0])
