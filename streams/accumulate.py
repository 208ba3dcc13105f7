"""Stage: outcomes -> outcome table, cells -> findings of each epoch (spec sections 6, 7, 10).

Mining happens here, in the order of the partition, and not behind a topic of its own: what an epoch
counts is then decided by the partition's offsets alone, the same in every run (docs/decisions/0001).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import faust

from learning.findings import Decided, Findings
from learning.outcome import Outcome, OutcomeVoided
from learning.partition import OutcomesPartition
from learning.progress import passed, told
from learning.rows import row_of
from streams.codec import OnOutcomes, Watermark, decode_outcomes, encode
from streams.records import raw_topic, record_of
from streams.topics import FINDINGS, OUTCOMES
from tables.outcomes import (
    DECIDED_KEY,
    EpochsState,
    OutcomesState,
    stored_outcome,
    stored_progress,
)
from tables.partitioned import PartitionedTable

__all__ = ["accumulate"]


def accumulate(
    app: faust.App,
    table: PartitionedTable[OutcomesState],
    epochs: PartitionedTable[EpochsState],
    *,
    guarded: Callable[[Any], Any],
) -> None:
    """Wire the stage into an app."""
    out = raw_topic(app, FINDINGS)

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            view = table.state(record.partition).view
            view.progress = epochs.state(record.partition).progress
            _take(decode_outcomes(record.value), view, table, epochs)
            view.progress = epochs.state(record.partition).progress
            findings = await _report(view)
            if findings is not None:
                await out.send(key=str(findings.partition).encode(), value=encode(findings), partition=0)

    app.agent(raw_topic(app, OUTCOMES), name="accumulate")(guarded(run))


def _take(message: OnOutcomes, view: OutcomesPartition, table: Any, epochs: Any) -> None:
    """Write what a message says into its table; the states follow their tables."""
    if isinstance(message, Outcome):
        if not view.is_outdated(message):
            row = row_of(message, view.counts_from_ms(message), view.schema)
            table[row.outcome_id] = stored_outcome(row)
    elif isinstance(message, OutcomeVoided):
        del table[message.outcome_id.encode()]
    elif isinstance(message, Watermark):
        progress = passed(view.progress, message.source, message.epoch_at_ms, message.offset)
        epochs[message.source.encode()] = stored_progress(progress.inputs[message.source])
    elif isinstance(message, Decided):
        if told(view.progress, message) is not view.progress:
            epochs[DECIDED_KEY] = stored_progress(message)
        # Also when it was heard before: a crash may have come between the decision and these.
        for outcome_id in view.outdated(message.epoch_at_ms):
            del table[outcome_id.encode()]


async def _report(view: OutcomesPartition) -> Findings | None:
    """Mine the epoch that is due, in a thread: the loop stays free for heartbeats and other stages."""
    if view.due() is None:
        return None
    return await asyncio.to_thread(_mine, view)


def _mine(view: OutcomesPartition) -> Findings | None:
    """Findings of the epoch; what has become frequent by it is tracked from now on."""
    findings = view.report()
    view.promote()
    return findings
