"""Execution levers of a group at an epoch: found, weighed again, and put to the test on later trades (spec section 8)."""

import msgspec
import pytest

from learning.baseline import Baselines
from learning.cells import GroupCells
from learning.findings import Decided, LeverFinding, StandingLever
from learning.outcome import Outcome
from learning.parameters import Parameters
from learning.search import GroupSearch
from learning.statistics import group_view
from learning.tuning import GroupTuning
from tests.laws.examples import HOUR_MS, START_MS
from tests.unit.learning.execution.planting import ENTRY, cells_of, nothing, world

PARAMETERS = Parameters()
TRADES = 500
END_MS = START_MS + TRADES * 6 * HOUR_MS
STANDING = StandingLever(
    id="x", group=ENTRY, scope={}, lever="entry_delay_bars", target=2.0, created_at_ms=START_MS + 300 * 6 * HOUR_MS
)


def tuning(outcomes: list[Outcome], *levers: StandingLever) -> GroupTuning:
    cells: GroupCells = cells_of(outcomes)
    view = group_view(cells, END_MS, Baselines([]), ("bucket", "timeframe"))
    decided = Decided(epoch_at_ms=END_MS, levers=levers)
    return GroupTuning(GroupSearch(cells, view, decided, PARAMETERS), decided)


def helped(seed: int = 1) -> list[Outcome]:
    return world(seed, lambda _scope, value: 0.5 if value == "2" else 0.0, trades=TRADES)


def test_a_lever_is_found_with_its_value_and_the_statistics_of_its_place() -> None:
    looked_at, found = tuning(helped()).test()
    assert [(each.scope, each.lever, each.target) for each in found][:1] == [({}, "entry_delay_bars", 2.0)]
    assert looked_at[0] == 3
    assert found[0].evidence.stats.n == TRADES
    assert found[0].evidence.effect_rr == pytest.approx(0.5, abs=0.15)
    assert found[0].evidence.forward.n == 0


def test_its_record_counts_the_trades_that_know_the_delta_and_says_how_sure_it_is() -> None:
    outcomes = [
        outcome if int(outcome.trade_id[1:]) % 2 else msgspec.structs.replace(outcome, counterfactual=None)
        for outcome in helped()
    ]
    evidence = tuning(outcomes, STANDING).weigh(STANDING)
    assert evidence is not None
    told = evidence.lever
    assert told is not None
    assert (told.lever, told.target, told.n, evidence.stats.n) == ("entry_delay_bars", 2.0, TRADES // 2, TRADES)
    assert told.ci_low < told.effect_rr == evidence.effect_rr < told.ci_high


@pytest.mark.parametrize("seed", range(3))
def test_on_noise_there_is_nothing(seed: int) -> None:
    assert tuning(world(seed, nothing, trades=TRADES)).test()[1] == ()


def test_the_forward_test_knows_later_trades_only() -> None:
    evidence = tuning(helped(), STANDING).weigh(STANDING)
    assert evidence is not None
    assert evidence.forward.n == 200
    before = [outcome for outcome in helped() if outcome.closed_at_ms > STANDING.created_at_ms]
    again = tuning(before, STANDING).weigh(STANDING)
    assert again is not None
    assert again.forward == evidence.forward, "what closed before the nomination does not matter"


def test_a_lever_nobody_knows_anything_of_has_no_evidence() -> None:
    unknown = msgspec.structs.replace(STANDING, lever="phase1_frac_mult", target=1.5)
    assert tuning(helped(), unknown).weigh(unknown) is None


def test_beside_a_standing_lever_it_is_not_found_again() -> None:
    _, found = tuning(helped(), STANDING).test()
    assert not [each for each in found if _is_again(each)]


def _is_again(found: LeverFinding) -> bool:
    return found.scope == {} and found.target == STANDING.target
