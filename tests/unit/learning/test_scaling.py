"""Phase scaling of families: one comparison, a finding in each group of the state, a test on later days only."""

import msgspec
import numpy as np
import pytest

from learning.execution.phase_scaling import StateDay, scalings
from learning.findings import GroupAdds, StandingLever
from learning.lessons import Forward
from learning.parameters import DAY_MS, Parameters
from learning.scaling import forward_of, forward_scalings, lever_evidence, scaling_of, searched_scalings
from tests.laws.examples import START_MS, some_stats

PARAMETERS = Parameters()
FIRST = START_MS // DAY_MS
GROUPS = ("pm.up.S1.a|add", "pm.up.S1.b|add", "pm.up.S2.a|add", "pm.down.S1.a|add")


def adds(seed: int, days: int = 120, **worth: float) -> list[GroupAdds]:
    rng, found = np.random.default_rng(seed), []
    for group in GROUPS:
        _, family, state, _ = group.partition("|")[0].split(".")
        found.append(
            GroupAdds(
                group=group,
                stats=some_stats(n=4 * days),
                days=tuple(
                    StateDay(
                        family=f"pm.{family}", state=state, day=FIRST + day, n=4,
                        rr_q=round(100_000 * (4 * worth.get(state, 0.0) + 1.8 * rng.normal())),
                    )
                    for day in range(days)
                ),
            )
        )  # fmt: skip
    return found


def looked_at(parts: list[GroupAdds]) -> tuple:  # type: ignore[type-arg]
    return scalings([day for each in parts for day in each.days], PARAMETERS)


def test_a_state_is_a_finding_in_each_of_its_groups_whatever_the_order() -> None:
    parts = adds(1, S1=0.8)
    found = searched_scalings(looked_at(parts), parts, START_MS, PARAMETERS)
    assert found.looked_at == 2
    assert [(group, each.lever, each.evidence.effect_rr > 0.0) for group, each in found.found] == [
        ("pm.up.S1.a|add", "phase_scaling.S1", True),
        ("pm.up.S1.b|add", "phase_scaling.S1", True),
        ("pm.up.S2.a|add", "phase_scaling.S2", False),
    ]
    assert {(each.basis, each.neutral, len(each.scope)) for _, each in found.found} == {("state", None, 0)}
    assert searched_scalings(looked_at(parts[::-1]), parts[::-1], START_MS, PARAMETERS) == found


def test_noise_is_looked_at_and_nothing_passes() -> None:
    for seed in range(5):
        parts = adds(seed)
        found = searched_scalings(looked_at(parts), parts, START_MS, PARAMETERS)
        assert (found.looked_at, found.found) == (2, ())


def a_lever(group: str = GROUPS[0], day: int = 60, **fields: object) -> StandingLever:
    lever = StandingLever(
        id=f"{group}{day}", group=group, scope={}, lever="phase_scaling.S1", target=1.2,
        created_at_ms=(FIRST + day) * DAY_MS + 1, basis="state",
    )  # fmt: skip
    return msgspec.structs.replace(lever, **fields)


def test_the_forward_test_knows_the_days_after_the_nomination_only() -> None:
    parts = adds(2, S1=0.8)
    found = forward_scalings(parts, [a_lever(), a_lever(GROUPS[1], 100), a_lever(day=61, basis="deltas")], PARAMETERS)
    assert {name: each.n for name, each in found.items()} == {
        "pm.up.S1.a|add60": 2 * 4 * 59,
        "pm.up.S1.b|add100": 2 * 4 * 19,
    }
    before = [
        msgspec.structs.replace(
            each, days=tuple(msgspec.structs.replace(d, rr_q=0) if d.day <= FIRST + 60 else d for d in each.days)
        )
        for each in parts
    ]
    assert forward_scalings(before, [a_lever()], PARAMETERS) == {a_lever().id: found[a_lever().id]}
    assert found[a_lever().id].effect_rr == pytest.approx(0.8 / 3, abs=0.1)


def test_what_nobody_compared_has_no_evidence() -> None:
    assert scaling_of("pm.down.S1.a|add", looked_at(adds(3))) is None
    assert forward_scalings([], [a_lever()], PARAMETERS) == {a_lever().id: Forward()}
    assert forward_of(None) == Forward()


def test_evidence_is_that_of_the_comparison_and_the_statistics_those_of_the_group() -> None:
    known = scaling_of(GROUPS[0], looked_at(adds(4, S1=0.5)))
    assert known is not None
    evidence = lever_evidence(known, some_stats(n=7), START_MS, forward_of(known))
    assert (evidence.effect_rr, evidence.p_value, evidence.stats.n) == (known.effect_rr, known.p_value, 7)
    assert 0.0 < evidence.shrunk_rr < evidence.effect_rr
    assert (evidence.forward.n, evidence.forward.with_loss_rr) == (known.n, None)
    told = evidence.lever
    assert told is not None
    assert msgspec.structs.asdict(told) == {name: getattr(known, name) for name in told.__struct_fields__}
