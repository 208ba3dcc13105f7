"""Stage: control -> epoch markers to every outcomes partition, commands to book or publish (spec section 10).

A command is passed on into the topic that the stage reads which obeys it: there it stands in one order with the epochs,
the same in every run. And the timer that writes markers in a quiet market.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faust
import structlog

from learning.commands import LessonCommand, SnapshotCommand
from learning.epochs import CONTROL as MARKERS
from learning.progress import Progress, newest_passed
from leverloop.errors import BadInput
from streams.codec import EpochMarker, Watermark, dead_letter, decode_control, encode
from streams.records import raw_topic, record_of
from streams.topics import CONTROL, DEAD_LETTERS, DRAFTS, FINDINGS, OUTCOMES
from tables.outcomes import EpochsState
from tables.partitioned import PartitionedTable

__all__ = ["QuietMarket", "control"]

_LOG = structlog.get_logger(__name__)


class QuietMarket:
    """Notices that some inputs have passed an epoch and the others are silent.

    Parameters
    ----------
    quiet_ms
        How long, on the wall clock, nothing may move before the epoch is closed by a marker.
    """

    def __init__(self, quiet_ms: int) -> None:
        self._quiet_ms = quiet_ms
        self._seen: dict[int, tuple[int, ...]] = {}
        self._since_ms = 0

    def overdue(self, states: dict[int, Progress], inputs: tuple[str, ...], at_ms: int) -> int | None:
        """Return the epoch to close now, or None.

        Parameters
        ----------
        states
            Progress of each outcomes partition of this worker.
        inputs
            All inputs.
        at_ms
            The wall clock.
        """
        moved = {p: tuple(sorted(e.newest_at_ms for e in s.inputs.values())) for p, s in states.items()}
        if moved != self._seen:
            self._seen, self._since_ms = moved, at_ms
            return None
        if at_ms - self._since_ms < self._quiet_ms:
            return None
        waiting = [
            max(e.newest_at_ms for e in state.inputs.values())
            for state in states.values()
            if state.inputs and newest_passed(state, inputs) != max(e.newest_at_ms for e in state.inputs.values())
        ]
        return max(waiting, default=None)


def control(
    app: faust.App,
    epochs: PartitionedTable[EpochsState],
    *,
    inputs: tuple[str, ...],
    partitions: int,
    quiet: QuietMarket,
    every_s: float,
    now_ms: Callable[[], int],
    guarded: Callable[[Any], Any],
) -> None:
    """Wire the stage and its timer into an app."""
    topic, outcomes, findings, drafts, dead = (
        raw_topic(app, name) for name in (CONTROL, OUTCOMES, FINDINGS, DRAFTS, DEAD_LETTERS)
    )

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            try:
                told = decode_control(record.value, received_at_ms=record.received_at_ms)
            except BadInput as bad:
                letter = dead_letter(
                    bad,
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    received_at_ms=record.received_at_ms,
                    original=record.value,
                )
                await dead.send(key=record.source.encode(), value=encode(letter), partition=0)
                continue
            if isinstance(told, SnapshotCommand):
                await drafts.send(key=b"command", value=encode(told), partition=0)
                continue
            if isinstance(told, LessonCommand):
                await findings.send(key=b"command", value=encode(told), partition=0)
                continue
            mark = encode(Watermark(source=MARKERS, epoch_at_ms=told.epoch_at_ms))
            for partition in range(partitions):
                await outcomes.send(key=MARKERS.encode(), value=mark, partition=partition)

    async def tick() -> None:
        states = {partition: state.progress for partition, state in epochs.states().items()}
        epoch_at_ms = quiet.overdue(states, inputs, now_ms())
        if epoch_at_ms is not None:
            marker = EpochMarker(epoch_at_ms=epoch_at_ms, who="worker", why="quiet_market", at_ms=now_ms())
            _LOG.info("epoch_marker_written", epoch_at_ms=epoch_at_ms)
            await topic.send(key=b"epoch", value=encode(marker), partition=0)

    app.agent(topic, name="control")(guarded(run))
    app.timer(every_s)(tick)
