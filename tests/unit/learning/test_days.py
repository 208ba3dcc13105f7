"""Days: what each did to everybody beside the lessons, and to those that are not of a group."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.cells import GroupCells, day_of
from learning.days import day_means, day_sums, merged_days, of_others
from learning.findings import AcceptedLesson, Decided
from learning.outcome import Companion
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, START_MS, an_outcome

GROUPS = ("pm.up.S1.a|entry", "pm.up.S1.b|entry", "pm.up.S0.x|exit")
LESSON = AcceptedLesson(id="ls_1", group=GROUPS[0], scope={"bucket": "micro"}, effect_rr=0.25)
DAY = int(day_of(START_MS))  # type: ignore[arg-type]


class Trade(NamedTuple):
    day: int
    groups: tuple[str, ...]
    rr: float
    bucket: str


trades = st.lists(
    st.builds(
        Trade,
        st.integers(0, 3),
        st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True).map(tuple),
        st.integers(-1_000_000, 1_000_000).map(lambda rr_q: rr_q / 100_000),
        st.sampled_from(["micro", "nano"]),
    ),
    max_size=30,
)


def cells_of(drawn: list[Trade]) -> dict[str, GroupCells]:
    found = {name: GroupCells(name, "pm", DEFAULT_SCHEMA) for name in GROUPS}
    for i, trade in enumerate(drawn):
        for place, group in enumerate(trade.groups):
            scope = {"bucket": trade.bucket}
            others = tuple(Companion(group=other, scope=scope) for other in trade.groups if other != group)
            found[group].put(
                an_outcome(
                    f"o{i}{place}", f"t{i}", group=group, scope=scope, rr=trade.rr, companions=others,
                    first_of_trade=place == 0, closed_at_ms=START_MS + trade.day * DAY_MS,
                ),
                START_MS,
            )  # fmt: skip
    return found


def beside(trade: Trade) -> int:
    """What a trade made beside the lesson, in 1e-5 R."""
    return round(trade.rr * 100_000) - 25_000 * (GROUPS[0] in trade.groups and trade.bucket == "micro")


@given(trades)
def test_a_day_is_each_trade_once_beside_the_lessons_however_groups_are_parted(drawn: list[Trade]) -> None:
    cells = cells_of(drawn)
    expected: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for trade in drawn:
        n, rr_q = expected[trade.day + DAY]
        expected[trade.day + DAY] = (n + 1, rr_q + beside(trade))
    found = day_sums(cells.values(), START_MS, (LESSON,))
    assert {day: (n, rr_q) for day, n, rr_q in found} == expected
    assert merged_days(day_sums([each], START_MS, (LESSON,)) for each in reversed(cells.values())) == found
    assert day_means(found) == {day: pytest.approx(rr_q / n / 100_000) for day, (n, rr_q) in expected.items()}


@given(trades)
def test_others_are_the_trades_of_the_day_that_did_not_act_in_the_group(drawn: list[Trade]) -> None:
    cells = cells_of(drawn)
    decided = Decided(epoch_at_ms=START_MS, days=day_sums(cells.values(), START_MS, (LESSON,)), days_beside=(LESSON,))
    for name, own in cells.items():
        rows = own.counted(START_MS)
        mean, n = of_others(own, rows, decided, {})
        for day, found_mean, found_n in zip(
            day_of(own.column("closed_at_ms", rows)).tolist(), mean.tolist(), n.tolist(), strict=True
        ):
            others = [beside(trade) / 100_000 for trade in drawn if trade.day + DAY == day and name not in trade.groups]
            assert found_n == len(others)
            assert found_mean == pytest.approx(np.mean(others) if others else 0.0, abs=1e-12)
