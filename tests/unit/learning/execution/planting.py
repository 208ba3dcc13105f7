"""Groups whose trades logged deltas: noise with heavy tails, and what is planted."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from learning.cells import GroupCells
from learning.execution.deltas import GroupDeltas
from learning.execution.findings import AcceptedLever
from learning.outcome import Companion, Outcome
from learning.parameters import Parameters
from leverloop.events import Controls, Counterfactual
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import HOUR_MS, START_MS, an_outcome

ENTRY, ADD, TRIM = "pm.up.S1.a|entry", "pm.up.S2.a|add", "pm.up.S3.a|trim"
PARAMETERS = Parameters()
ALPHA = 0.01
VALUES = ("1", "2", "3")

Scope = dict[str, Any]
Worth = Callable[[Scope, str], float]


def nothing(_scope: Scope, _value: str) -> float:
    return 0.0


def scopes(rng: np.random.Generator) -> Scope:
    return {
        "bucket": str(rng.choice(["nano", "micro", "mid"])),
        "timeframe": str(rng.choice(["15m", "1h", "4h"])),
        "macro_phase": str(rng.choice(["Dip", "Good"])),
    }


def logged(deltas: Mapping[str, float], lever: str = "entry_delay_bars") -> Counterfactual:
    return Counterfactual(deltas={lever: dict(deltas)})


def world(
    seed: int,
    worth: Worth = nothing,
    *,
    group: str = ENTRY,
    trades: int = 400,
    lever: str = "entry_delay_bars",
    values: tuple[str, ...] = VALUES,
    companions: Callable[[int, Scope], tuple[Companion, ...]] = lambda _i, _scope: (),
) -> list[Outcome]:
    """Outcomes of one group, two actions in every fifth trade; deltas are Student t with 4 degrees of freedom."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(trades):
        scope, at_ms = scopes(rng), START_MS + i * 6 * HOUR_MS
        deltas = {value: float(0.6 * rng.standard_t(4) + worth(scope, value)) for value in values}
        found += [
            an_outcome(
                f"{group}{i}.{j}",
                f"t{i}",
                group=group,
                scope=scope,
                action_at_ms=at_ms + j,
                closed_at_ms=at_ms + HOUR_MS,
                controls=Controls(applied_knobs={lever: 0.0 if lever.endswith("bars") else 1.0}),
                counterfactual=logged(deltas, lever),
                companions=companions(i, scope),
            )
            for j in range(1 + (i % 5 == 0))
        ]
    return found


def cells_of(outcomes: Iterable[Outcome]) -> GroupCells:
    outcomes = list(outcomes)
    cells = GroupCells(outcomes[0].group, "pm", DEFAULT_SCHEMA)
    for outcome in outcomes:
        cells.put(outcome, START_MS)
    return cells


def deltas_of(outcomes: Iterable[Outcome], *accepted: AcceptedLever) -> GroupDeltas:
    cells = cells_of(outcomes)
    return GroupDeltas(cells, cells.counted(START_MS), accepted, PARAMETERS)
