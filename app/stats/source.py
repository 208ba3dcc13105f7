"""Where the statistics come from: the changelogs of a worker's tables, or the files of a replay.

Both are read and nothing else: no lock, no consumer group, no commit. A worker may run meanwhile. The
decision is read before the outcomes, so that what it counted is there: outcomes that come later count from
a later epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from app.outcome_file import read_decision, read_records
from app.settings import Settings
from app.topic_reader import partitions_of, read_topic
from learning.baseline import Baselines
from learning.cells import GroupCells
from learning.findings import Decided
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.queries import GroupQueries
from learning.regimes import NEUTRAL
from leverloop.errors import BadConfig, BadInput, InvariantBroken, Unavailable
from leverloop.partitions import partition_of
from leverloop.scope import ScopeSchema
from tables.catalogue import EPOCHS, OUTCOMES
from tables.outcomes import EpochsState, OutcomesState
from tables.state import ChangelogRecord, PartitionState

__all__ = ["Held", "held_by_replay", "held_by_worker"]

State = TypeVar("State", bound=PartitionState)

_AT_ONCE: Final = 8192
"""Records that a state takes at a time: enough for its bulk path, a few megabytes of records."""
_NEAR: Final = 3
_NEAR_ENOUGH: Final = 0.5  # difflib's ratio; names of groups share most of their letters


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes as columns, the last decision beside them, and the rules that both were made by."""

    source: str
    """Where they were read, in words."""
    groups: Mapping[str, GroupCells]
    decided: Decided | None
    parameters: Parameters
    schema: ScopeSchema

    def epoch_at_ms(self, *, now: bool) -> int:
        """Epoch as of which to answer: the last decided one; now: the last that any outcome held counts from.

        Raises
        ------
        Unavailable
            If no epoch was decided yet.
        """
        if now:
            return max((int(_counts_from_ms(cells).max(initial=0)) for cells in self.groups.values()), default=0)
        if self.decided is None:
            raise Unavailable(f"{self.source}: no epoch has been decided yet; --now counts every outcome held")
        return self.decided.epoch_at_ms

    def queries(self, group: str, *, now: bool) -> GroupQueries:
        """Return the questions to one group.

        Raises
        ------
        BadInput
            If nothing was ever heard of the group, with the names that are near.
        """
        cells = self.groups.get(group)
        if cells is None:
            raise BadInput("GROUP", self._expected(group), group)
        baselines = Baselines(self.decided.baselines if self.decided else ())
        weights = self.decided.regime_weights if self.decided else NEUTRAL
        return GroupQueries(cells, self.epoch_at_ms(now=now), baselines, self.parameters, self.schema, weights)

    def open_outcomes(self, cells: GroupCells, epoch_at_ms: int) -> int:
        """Outcomes of a group that count from a later epoch only."""
        return int((_counts_from_ms(cells) > epoch_at_ms).sum())

    def _expected(self, group: str) -> str:
        known = sorted({*self.groups, *(part.group for part in (self.decided.baselines if self.decided else ()))})
        if not known:
            return "a group that has outcomes: `leverloop stats --now` lists them"
        near = get_close_matches(group, known, _NEAR, _NEAR_ENOUGH) or known[:_NEAR]
        return f"one of the {len(known)} groups that `leverloop stats` lists, such as {', '.join(near)}"


def _counts_from_ms(cells: GroupCells) -> npt.NDArray[Any]:
    return cells.column("counts_from_ms", np.arange(cells.n))


async def held_by_worker(settings: Settings, group: str | None = None) -> Held:
    """Read the tables of a deployment's workers: the partition of one group, or all of them.

    Raises
    ------
    BadConfig
        If the tables' topics are not there.
    Unavailable
        If the log does not answer.
    """
    url, parameters, schema = settings.broker_url, settings.parameters(), settings.schema_()
    outcomes, epochs = (f"{settings.app_id}-{table.name}-changelog" for table in (OUTCOMES, EPOCHS))
    partitions = await partitions_of(url, outcomes)
    partition = None if group is None else partition_of(group.encode(), partitions)
    told = await _states(url, epochs, partition, lambda _: EpochsState())
    held = await _states(
        url,
        outcomes,
        partition,
        lambda number: OutcomesState(OutcomesPartition(number, (), parameters, schema)),
        mentioning=None if group is None else group.encode(),
    )
    which = f"partitions 0 to {partitions - 1}" if partition is None else f"partition {partition} of {partitions}"
    decided = [state.progress.decided for state in told.values() if state.progress.decided is not None]
    return Held(
        source=f"{url}, {which} of {outcomes}",
        groups={
            name: cells
            for state in held.values()
            for name, cells in state.view.groups.items()
            if group is None or name == group
        },
        # A decision reaches the partitions one after the other; all had reported what it counted.
        decided=max(decided, key=lambda found: found.epoch_at_ms, default=None),
        parameters=parameters,
        schema=schema,
    )


def held_by_replay(folder: Path, group: str | None = None) -> Held:
    """Read what `leverloop replay jsonl --out` has written, by the rules it went by: one group, or all of them.

    Raises
    ------
    BadConfig
        If the folder has no such files, or another release has written them.
    """
    last = read_decision(folder)
    state = OutcomesState(OutcomesPartition(0, (), last.parameters, last.scope_schema))
    asked = b"" if group is None else group.encode()
    records = (record for record in read_records(folder) if asked in record[1])  # see `_states`
    try:
        while some := list(islice(records, _AT_ONCE)):
            state.load(some)
    except InvariantBroken as error:
        raise BadConfig(f"{folder}: {error}; run the replay again with this release") from error
    return Held(
        source=f"the replay in {folder}",
        groups={name: cells for name, cells in state.view.groups.items() if group is None or name == group},
        decided=last.decided,
        parameters=last.parameters,
        schema=last.scope_schema,
    )


async def _states(
    broker_url: str,
    topic: str,
    partition: int | None,
    new_state: Callable[[int], State],
    *,
    mentioning: bytes | None = None,
) -> dict[int, State]:
    """State of each partition of a changelog, or of one.

    Parameters
    ----------
    broker_url, topic, partition
        What to read.
    new_state
        State of a partition, by its number.
    mentioning
        Leave out the records without this in their value. An outcome's record has the name of its group in it, for
        ever the same, and may have those of others: most of what is not asked about need not be read into columns.

    Notes
    -----
    `recovered` is not called: it would find the tracked subsets of every group.
    """
    states: dict[int, State] = {}
    waiting: dict[int, list[ChangelogRecord]] = {}
    async for record in read_topic(broker_url, topic, partition=partition):
        if mentioning is not None and record.value is not None and mentioning not in record.value:
            continue
        some = waiting.setdefault(record.partition, [])
        some.append((record.key or b"", record.value))
        if len(some) >= _AT_ONCE:
            states.setdefault(record.partition, new_state(record.partition)).load(some)
            waiting[record.partition] = []
    for number, some in waiting.items():
        states.setdefault(number, new_state(number)).load(some)
    return states
