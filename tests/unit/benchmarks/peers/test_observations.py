from pathlib import Path

import numpy as np
from scipy.stats import ttest_ind

from benchmarks.peers.observations import Subsets, groups_of, p_of_trades
from leverloop.events import ActionLogged, TradeClosed, encode

HOUR_MS = 3_600_000
AT_MS = 1_760_000_000_000
TRADES = {
    # trade: rr, bucket of each action
    "t1": (1.0, ["micro", "micro"]),
    "t2": (0.5, ["nano", "micro"]),
    "t3": (2.0, ["micro"]),
    "t4": (-1.0, ["nano"]),
    "t5": (0.25, ["nano", "nano"]),
    "t6": (-0.5, ["nano"]),
}


def write(folder: Path) -> None:
    with (folder / "actions.jsonl").open("wb") as actions, (folder / "trades.jsonl").open("wb") as trades:
        for name, (rr, buckets) in TRADES.items():
            for i, bucket in enumerate(buckets):
                action = ActionLogged(
                    action_id=f"{name}-{i}", trade_id=name, module="pm", pattern_key="pm.uptrend.S3.add",
                    action_type="add", event_at_ms=AT_MS + i, scope={"bucket": bucket},
                )  # fmt: skip
                actions.write(encode(action) + b"\n")
            close = TradeClosed(
                trade_id=name, module="pm", symbol="SIM", opened_at_ms=AT_MS, event_at_ms=AT_MS + HOUR_MS, rr=rr,
                return_frac=rr / 20, max_drawdown_frac=0.05, max_gain_frac=0.1,
            )  # fmt: skip
            trades.write(encode(close) + b"\n")


def test_a_trade_counts_once_on_the_side_of_any_of_its_actions(tmp_path: Path) -> None:
    """t1 has two actions inside and counts once; one of t2's lies inside, so that t2 does."""
    write(tmp_path)
    groups = groups_of(tmp_path)
    assert [len(group.trade) for group in groups] == [9]
    subset = Subsets(
        group=np.array([0]), scope=[{"bucket": "micro"}], n=np.array([3]), effect_rr=np.zeros(1), p_days=np.zeros(1)
    )
    expected = ttest_ind([1.0, 0.5, 2.0], [-1.0, 0.25, -0.5], equal_var=False).pvalue
    assert np.isclose(p_of_trades(groups, subset), expected).all()
