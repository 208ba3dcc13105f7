"""The same events give the same snapshots: whatever interleaves, wherever it is partitioned, whoever crashes.

Source: spec section 10, design 5. The events of each input are in their order of event time here.
"""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec
import pytest

from app.replay import Replay
from learning.overrides import snapshot
from learning.parameters import DAY_MS, Parameters, config_hash
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.pipeline import Pipeline
from tests.laws.streams import Stream, small_stream

PARAMETERS = Parameters(
    epoch_ms=DAY_MS, alpha=0.9, discovery_alpha=0.9, min_clusters=4, forward_min_clusters=2, insignificant_epochs=3
)
STREAM = small_stream(7, trades=190, days=16, edge_rr=4.0)


def piped(stream: Stream, partitions: int, seed: int, *, crashes: bool = False) -> Pipeline:
    pipeline = Pipeline(partitions, PARAMETERS, Random(seed), crashes=crashes)
    pipeline.feed(stream)
    pipeline.run()
    return pipeline


def replayed(stream: Stream) -> dict[tuple[str, int], str]:
    """Content hash of each module and version, by the replay that reads both files in event-time order."""
    replay = Replay(PARAMETERS, DEFAULT_SCHEMA)
    hashes: dict[tuple[str, int], str] = {}

    def look() -> None:
        book = replay.book
        if book is None or not book.version:
            return
        for module in {part.group.split(".", 1)[0] for part in book.baselines}:
            mine = [book.lessons[name] for name in sorted(book.lessons) if book.lessons[name].module == module]
            found = snapshot(
                module,  # type: ignore[arg-type]
                mine,
                version=book.version,
                epoch_at_ms=book.epoch_at_ms,
                config_hash=config_hash(PARAMETERS, DEFAULT_SCHEMA),
                engine_version="test",
                parameters=PARAMETERS,
            )
            hashes[module, book.version] = found.content_hash

    events = sorted(
        [(a["event_at_ms"], 0, a) for a in stream[0]] + [(t["event_at_ms"], 1, t) for t in stream[1]],
        key=lambda entry: entry[:2],
    )
    for _, kind, document in events:
        (replay.trade if kind else replay.action)(msgspec.json.encode(document))
        look()
    replay.finish()
    look()
    return hashes


@pytest.fixture(scope="module")
def expected() -> dict[tuple[str, int], str]:
    return piped(STREAM, 1, seed=0).hashes


def test_the_stream_teaches_something(expected: dict[tuple[str, int], str]) -> None:
    pipeline = piped(STREAM, 1, seed=0)
    lessons = pipeline.book.state.book.lessons.values()
    assert any(lesson.levers for lesson in lessons)
    assert len(set(expected.values())) > 5


@pytest.mark.parametrize(("partitions", "seed"), [(1, 1), (4, 2), (4, 3), (3, 4)])
def test_neither_partitions_nor_interleaving_change_a_snapshot(
    partitions: int, seed: int, expected: dict[tuple[str, int], str]
) -> None:
    assert piped(STREAM, partitions, seed).hashes == expected


@pytest.mark.parametrize("seed", range(3))
def test_crashes_change_no_snapshot(seed: int, expected: dict[tuple[str, int], str]) -> None:
    assert piped(STREAM, 2, seed, crashes=True).hashes == expected


def test_a_replay_from_files_is_the_same(expected: dict[tuple[str, int], str]) -> None:
    assert replayed(STREAM).items() <= expected.items()
    assert max(replayed(STREAM)) == max(expected)


def test_the_hash_seed_of_a_process_changes_no_epoch(expected: dict[tuple[str, int], str]) -> None:
    program = "from tests.laws.test_determinism import STREAM, replayed; print(sorted(replayed(STREAM).items()))"
    told = [
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, cwd=Path(__file__).parents[2],
            check=True, capture_output=True, text=True, timeout=60,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert told == [f"{sorted(replayed(STREAM).items())}\n"] * 2
    assert expected.items() >= replayed(STREAM).items()
