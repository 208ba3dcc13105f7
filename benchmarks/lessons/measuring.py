"""One stream replayed, scored, and looked into."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from benchmarks.lessons.deltas import Deltas, deltas
from benchmarks.lessons.fates import Fate, fates
from benchmarks.lessons.replayed import off_neutral, replayed
from benchmarks.planted_streams import Score, Stream, made, score
from learning.parameters import Parameters

__all__ = ["Result", "measured"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one stream came to."""

    stream: Stream
    score: Score
    activated: int
    """Lessons that were active at any time; execution levers apart."""
    execution: int
    """Execution levers that were off neutral at any time."""
    deltas: Deltas
    """Those at the end, and the deltas that they are about."""
    epochs: int
    seconds: float
    fates: list[Fate]


def measured(stream: Stream, parameters: Parameters, cache: Path) -> Result:
    """Replay one stream and score it."""
    folder = made(stream, cache)
    with tempfile.TemporaryDirectory() as out:
        run = replayed(folder, Path(out), parameters)
        scored = score(folder, Path(out, "lessons.json"))
    truth = msgspec.json.decode((folder / "truth.json").read_bytes())
    return Result(
        stream=stream,
        score=scored,
        activated=len(run.activated),
        execution=run.moved,
        deltas=deltas(off_neutral(run.snapshots.values()), truth["deltas"]),
        epochs=run.epochs,
        seconds=run.seconds,
        fates=fates(run, truth, parameters),
    )
