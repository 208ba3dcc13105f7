"""Search: it finds what was planted, beside the lessons there are, whatever arrived first."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.baseline import Baselines
from learning.cells import GroupCells
from learning.evidence import p_values
from learning.findings import AcceptedLesson, DaySums, Decided
from learning.lessons import Forward
from learning.outcome import Companion, Outcome
from learning.parameters import Parameters
from learning.search import GroupSearch
from learning.statistics import group_view
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, HOUR_MS, START_MS, an_outcome

PARAMETERS = Parameters()
ENTRY, EXIT = "pm.up.S1.a|entry", "pm.up.S0.x|exit"
END_MS = START_MS + 400 * DAY_MS
EDGE = {"bucket": "micro"}


def world(seed: int, *, edge_rr: float, group: str = ENTRY, trades: int = 400) -> list[Outcome]:
    """Outcomes of one group; trades whose entry was in bucket micro earn more, and the exit carries them too."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(trades):
        bucket, mode = str(rng.choice(["nano", "micro", "mid"])), str(rng.choice(["patient", "normal"]))
        timeframe, at_ms = str(rng.choice(["1h", "4h"])), START_MS + i * 6 * HOUR_MS
        rr = float(np.clip(rng.normal() + edge_rr * (bucket == "micro"), -10, 10))
        scope: dict[str, Any] = {"bucket": bucket, "timeframe": timeframe}
        mine = scope if group == ENTRY else scope | {"E_mode": mode}
        other = Companion(group=EXIT if group == ENTRY else ENTRY, scope=scope)
        found.append(
            an_outcome(
                f"{group}{i}", f"t{i}", group=group, scope=mine, rr=rr, action_at_ms=at_ms,
                closed_at_ms=at_ms + HOUR_MS, companions=(other,),
            )
        )  # fmt: skip
    return found


def searched(outcomes: list[Outcome], *lessons: AcceptedLesson, days: DaySums = ()) -> GroupSearch:
    cells = GroupCells(outcomes[0].group, "pm", DEFAULT_SCHEMA)
    for outcome in outcomes:
        cells.put(outcome, START_MS)
    view = group_view(cells, END_MS, Baselines([]), ("bucket", "timeframe"))
    return GroupSearch(cells, view, Decided(epoch_at_ms=END_MS, lessons=lessons, days=days), PARAMETERS)


LESSON = AcceptedLesson(id="ls_1", group=ENTRY, scope=EDGE, effect_rr=1.5)


@pytest.mark.parametrize("edge_rr", [1.5, -1.5])
def test_it_finds_what_was_planted(edge_rr: float) -> None:
    found = searched(world(1, edge_rr=edge_rr)).test(400)
    simplest = next(c for c in found.candidates if len(c.scope) == 1)
    assert simplest.scope == EDGE
    assert simplest.evidence.effect_rr == pytest.approx(edge_rr, abs=0.35)
    assert simplest.evidence.p_value < 1e-9
    assert found.tested_by_dims == (5, 6, 0)
    assert found.trades == 400


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_nothing_in_noise(seed: int) -> None:
    assert searched(world(seed, edge_rr=0.0)).test(400).candidates == ()


def test_beside_the_lesson_there_is_nothing_left_neither_at_the_entry_nor_at_the_exit() -> None:
    for group in (ENTRY, EXIT):
        outcomes = world(1, edge_rr=1.5, group=group)
        assert any(c.scope == EDGE for c in searched(outcomes).test(400).candidates), "the exit mirrors the entry"
        assert searched(outcomes, LESSON).test(400).candidates == ()


def test_a_lesson_is_weighed_without_itself() -> None:
    outcomes = world(1, edge_rr=1.5)
    alone = searched(outcomes).weigh(EDGE, None)
    beside_itself = searched(outcomes, LESSON).weigh(EDGE, LESSON)
    assert alone is not None
    assert beside_itself is not None
    assert beside_itself.effect_rr == pytest.approx(alone.effect_rr)
    assert beside_itself.error_rr == pytest.approx(alone.error_rr)
    unweighed = searched(outcomes, LESSON).weigh(EDGE, None)
    assert unweighed is not None
    assert unweighed.effect_rr == pytest.approx(alone.effect_rr - 1.5)


def test_there_is_no_evidence_where_there_is_nothing_to_compare() -> None:
    search = searched(world(1, edge_rr=0.0))
    assert search.weigh({"bucket": "xl"}, None) is None
    assert searched([o for o in world(1, edge_rr=0.0) if o.scope["bucket"] == "micro"]).weigh(EDGE, None) is None


def test_what_arrived_first_decides_nothing_even_between_equals() -> None:
    """Of two values one does better by exactly as much as the other does worse: the same p for both."""
    outcomes = [
        an_outcome(
            f"a{i}", f"t{i}", group=ENTRY, scope={"bucket": "micro" if i % 2 else "mid"}, rr=float(i % 2 + i % 3),
            action_at_ms=START_MS + i * 6 * HOUR_MS, closed_at_ms=START_MS + i * 6 * HOUR_MS,
        )
        for i in range(80)
    ]  # fmt: skip
    found = [searched(order).test(80) for order in (outcomes, outcomes[::-1], outcomes[1:] + outcomes[:1])]
    assert found[0] == found[1] == found[2]
    assert {c.scope["bucket"] for c in found[0].candidates} == {"micro", "mid"}
    both = [searched(outcomes).weigh({"bucket": name}, None) for name in ("micro", "mid")]
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].p_value == both[1].p_value, "or it is no tie"


@given(
    st.dictionaries(st.sampled_from(["bucket", "timeframe"]), st.sampled_from(["micro", "1h"]), max_size=2),
    st.lists(
        st.tuples(
            st.sampled_from([ENTRY, EXIT]),
            st.dictionaries(st.sampled_from(["bucket", "timeframe", "E_mode"]), st.sampled_from(["micro", "1h"])),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_a_lesson_is_met_by_any_action_of_the_trade(wanted: dict[str, Any], actions: list[tuple[str, Any]]) -> None:
    (group, scope), *others = actions
    outcome = an_outcome(group=group, scope=scope, companions=tuple(Companion(group=g, scope=s) for g, s in others))
    cells = GroupCells(group, "pm", DEFAULT_SCHEMA)
    cells.put(outcome, START_MS)
    met = any(g == ENTRY and all(s.get(name) == value for name, value in wanted.items()) for g, s in actions)
    assert cells.met(ENTRY, wanted, np.array([0])).tolist() == [met]


def in_regimes(seed: int, *, main_rr: float = 0.0, own_rr: float = 0.0, days: int = 240) -> list[Outcome]:
    """Trades of six a day; a regime lasts six days. In Dip every trade earns main_rr, its micro ones own_rr more."""
    rng = np.random.default_rng(seed)
    found = []
    phases = [str(rng.choice(["Dip", "Good", "Chop"])) for _ in range(days // 6 + 1)]
    for i in range(days * 6):
        at_ms, phase, bucket = START_MS + i * DAY_MS // 6, phases[i // 36], str(rng.choice(["micro", "mid", "nano"]))
        rr = float(rng.normal()) + (phase == "Dip") * (main_rr + own_rr * (bucket == "micro"))
        scope = {"macro_phase": phase, "bucket": bucket}
        found.append(
            an_outcome(f"a{i}", f"t{i}", group=ENTRY, scope=scope, rr=rr, action_at_ms=at_ms, closed_at_ms=at_ms)
        )
    return found


def test_what_a_regime_does_to_all_is_not_taken_for_what_it_does_to_some() -> None:
    """All trades of a dip lose: beside those of its regime a part of them shows nothing, whatever its own spells say."""
    found = searched(in_regimes(3, main_rr=-1.0)).test(1_000)
    assert not [c for c in found.candidates if set(c.scope) == {"macro_phase", "bucket"}]


def test_what_holds_within_a_regime_is_seen_from_day_to_day() -> None:
    search = searched(in_regimes(4, own_rr=0.9))
    found = search.weigh({"macro_phase": "Dip", "bucket": "micro"}, None)
    assert found is not None
    codes = search.cells.codes_of({"macro_phase": "Dip", "bucket": "micro"})[None, :]
    by_spell = search.clustered.cautious(codes, search.residual, search.beside_day)
    assert found.p_value < float(p_values(by_spell)[0])
    assert found.n_clusters == int(by_spell.n_clusters[0]), "and yet it takes enough spells"


def beside_another_group(
    seed: int, *, own_rr: float = 0.0, common_rr: float = 0.0, days: int = 240
) -> tuple[list[Outcome], DaySums]:
    """Six trades a day of a group and twelve of others, all with the shock of the day; a regime lasts six days."""
    rng = np.random.default_rng(seed)
    outcomes, sums = [], []
    phases = [str(rng.choice(["Dip", "Good", "Chop"])) for _ in range(days // 6 + 1)]
    for day in range(days):
        phase = phases[day // 6]
        shock = 0.7 * float(rng.normal()) + common_rr * (phase == "Dip")
        own = np.rint((rng.normal(size=6) + shock + own_rr * (phase == "Dip")) * 100_000).astype(int)
        others = np.rint((rng.normal(size=12) + shock) * 100_000).astype(int)
        for i, rr_q in enumerate(own.tolist()):
            name, at_ms = f"{day}-{i}", START_MS + day * DAY_MS + i * HOUR_MS
            outcomes.append(
                an_outcome(
                    f"a{name}", f"t{name}", group=ENTRY, scope={"macro_phase": phase, "bucket": "micro"},
                    rr=rr_q / 100_000, action_at_ms=at_ms, closed_at_ms=at_ms,
                )
            )  # fmt: skip
        sums.append((START_MS // DAY_MS + day, 18, int(own.sum() + others.sum())))
    return outcomes, tuple(sums)


def test_what_a_regime_does_to_one_group_is_seen_beside_the_others() -> None:
    outcomes, days = beside_another_group(5, own_rr=-0.7)
    found = searched(outcomes, days=days).weigh({"macro_phase": "Dip"}, None)
    alone = searched(outcomes).weigh({"macro_phase": "Dip"}, None)
    assert found is not None
    assert alone is not None
    assert found.beside_others
    assert found.p_value < 1e-6 < alone.p_value
    assert not alone.beside_others, "on days without others there is nothing to compare with"
    assert (found.effect_rr, found.n_clusters) == (alone.effect_rr, alone.n_clusters), (
        "the effect is that of its spells"
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_a_regime_does_to_everybody_is_not_seen_beside_the_others(seed: int) -> None:
    outcomes, days = beside_another_group(seed, common_rr=-0.7)
    search = searched(outcomes, days=days)
    found = search.weigh({"macro_phase": "Dip"}, None)
    assert found is not None
    by_spell = search.clustered.cautious(
        search.cells.codes_of({"macro_phase": "Dip"})[None, :], search.residual, search.beside_day
    )
    assert found.p_value == pytest.approx(float(p_values(by_spell)[0])) or found.p_value > 1e-3


def test_what_is_seen_beside_the_others_is_confirmed_beside_them() -> None:
    outcomes, days = beside_another_group(5, own_rr=-0.7)
    lesson = AcceptedLesson(
        id="ls_1", group=ENTRY, scope={"macro_phase": "Dip"}, effect_rr=-0.7, created_at_ms=START_MS + 120 * DAY_MS
    )
    search = searched(outcomes, lesson, days=days)
    by_spell = search.weigh(lesson.scope, lesson)
    by_day = search.weigh(lesson.scope, msgspec.structs.replace(lesson, beside_others=True))
    assert by_spell is not None
    assert by_day is not None
    assert by_day.forward.n == by_spell.forward.n
    assert by_day.forward.n_clusters > 3 * by_spell.forward.n_clusters
    assert by_day.forward.error_rr < by_spell.forward.error_rr


def test_a_regime_that_has_not_changed_since_says_nothing_about_the_lesson() -> None:
    """There is no trade to compare with: neither for the lesson nor against it."""
    outcomes, days = beside_another_group(5, own_rr=-0.7)
    last = max(outcomes, key=lambda each: each.closed_at_ms)
    since = max(o.closed_at_ms for o in outcomes if o.scope["macro_phase"] != last.scope["macro_phase"])
    scope = {"macro_phase": last.scope["macro_phase"]}
    for beside_others in (False, True):
        lesson = AcceptedLesson(
            id="ls_1", group=ENTRY, scope=scope, effect_rr=-0.7, created_at_ms=since, beside_others=beside_others
        )
        found = searched(outcomes, lesson, days=days).weigh(scope, lesson)
        assert found is not None
        assert found.forward == Forward()


def test_the_second_best_is_named_too_as_the_best_may_be_one_that_rests() -> None:
    outcomes = world(1, edge_rr=1.5)
    by_timeframe = [
        msgspec.structs.replace(o, rr=float(np.clip(o.rr + (o.scope["timeframe"] == "4h"), -10, 10))) for o in outcomes
    ]
    found = searched(by_timeframe).test(400)
    assert {tuple(c.scope) for c in found.candidates if len(c.scope) == 1} == {("bucket",), ("timeframe",)}
