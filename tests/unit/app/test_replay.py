"""Replay: files in, the same book every time (laws against the stages: tests/laws/test_determinism.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.replay import Replay, ReplayReport, replay_files
from learning.parameters import DAY_MS, Parameters
from leverloop.errors import BadConfig
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.streams import Document, small_stream

PARAMETERS = Parameters(epoch_ms=DAY_MS, alpha=0.9, discovery_alpha=0.9, min_clusters=4, forward_min_clusters=2)
STREAM = small_stream(7, trades=240, days=22, edge_rr=4.0)


def laid_out(folder: Path, actions: list[Any] = STREAM[0], trades: list[Any] = STREAM[1]) -> Path:
    """Both files; what is no document already is a line as it stands."""
    for name, documents in (("actions", actions), ("trades", trades)):
        lines = (d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents)
        (folder / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return folder


def replayed(folder: Path) -> tuple[Replay, ReplayReport]:
    return replay_files(folder, parameters=PARAMETERS, schema=DEFAULT_SCHEMA)


def decided(replay: Replay) -> bytes:
    return msgspec.json.encode(replay.book, order="deterministic")


def test_all_outcomes_count_by_the_end(tmp_path: Path) -> None:
    replay, report = replayed(laid_out(tmp_path))
    assert (report.actions, report.trades, report.outcomes) == (len(STREAM[0]), len(STREAM[1]), len(STREAM[0]))
    assert (report.expired, report.dead_letters) == (0, {})
    assert replay.book is not None
    assert (replay.book.version, replay.book.outcomes, replay.book.trades) == (
        report.epochs,
        len(STREAM[0]),
        len(STREAM[1]),
    )
    assert any(lesson.levers for lesson in replay.book.lessons.values())
    assert [event.to_state for event in report.lesson_events][:1] == ["candidate"]


def test_twice_is_the_same(tmp_path: Path) -> None:
    folder = laid_out(tmp_path)
    assert decided(replayed(folder)[0]) == decided(replayed(folder)[0])


def test_duplicates_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    plain = decided(replayed(laid_out(tmp_path))[0])
    twice = [
        [line for document in part for line in (document, b"", document | {"recorded_at_ms": document["event_at_ms"]})]
        for part in STREAM
    ]
    replay, report = replayed(laid_out(tmp_path, *twice))
    assert decided(replay) == plain
    assert report.dead_letters == {}


BAD: list[Any] = [
    b"{", b"[]", b"\xff", b'{"event_at_ms": "\xff"}', b"[" * 70_000, b'{"event_at_ms": 1e300}',
    b'{"event_at_ms": 99999999999999999999}', {"event_at_ms": 2**54}, {"action_id": "x"},
]  # fmt: skip


def test_poison_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    plain = decided(replayed(laid_out(tmp_path))[0])
    actions = [line for document in STREAM[0][:-1] for line in (document, BAD[len(document["action_id"]) % len(BAD)])]
    poisoned = [*BAD, *actions, STREAM[0][-1]], [*BAD, *STREAM[1], *BAD]
    replay, report = replayed(laid_out(tmp_path, *poisoned))
    assert decided(replay) == plain
    assert sum(report.dead_letters.values()) == len(STREAM[0]) - 1 + 3 * len(BAD)
    assert "trade_id: expected a value, the field is missing" in report.dead_letters


def test_what_never_came_together_is_counted(tmp_path: Path) -> None:
    late = 100 * DAY_MS
    lonely = [{**STREAM[0][0], "trade_id": f"lonely{i}", "action_id": f"lonely{i}"} for i in range(3)]
    unheard: list[Document] = [{**STREAM[1][0], "trade_id": "unheard"}]
    last = [
        {**STREAM[0][-1], "trade_id": "last", "event_at_ms": STREAM[0][-1]["event_at_ms"] + late},
        {**STREAM[1][-1], "trade_id": "last", "event_at_ms": STREAM[1][-1]["event_at_ms"] + late},
    ]
    _, report = replayed(laid_out(tmp_path, [*lonely, *STREAM[0], last[0]], [*unheard, *STREAM[1], last[1]]))
    assert report.expired == 4


def test_a_void_takes_its_trade_out_of_the_books(tmp_path: Path) -> None:
    without = ([a for a in STREAM[0] if a["trade_id"] != "t00003"], [t for t in STREAM[1] if t["trade_id"] != "t00003"])
    void = next(t for t in STREAM[1] if t["trade_id"] == "t00003") | {"revision": 1, "void": True}
    replay, _ = replayed(laid_out(tmp_path, STREAM[0], [*STREAM[1], void]))
    plain, _ = replayed(laid_out(tmp_path, *without))
    assert replay.book is not None
    assert plain.book is not None
    assert (replay.book.outcomes, replay.book.trades) == (plain.book.outcomes, plain.book.trades)
    assert replay.book.baselines == plain.book.baselines
    assert replay.book.days == plain.book.days


@pytest.mark.parametrize("missing", ["actions", "trades"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    laid_out(tmp_path)
    (tmp_path / f"{missing}.jsonl").unlink()
    with pytest.raises(BadConfig, match=f"{missing}.jsonl: no such file"):
        replayed(tmp_path)


def test_empty_files_teach_nothing(tmp_path: Path) -> None:
    replay, report = replayed(laid_out(tmp_path, [], []))
    assert (report.outcomes, report.trades, report.actions) == (0, 0, 0)
    assert not (replay.book and replay.book.lessons)


def test_progress_goes_to_the_last_byte(tmp_path: Path) -> None:
    folder, seen = laid_out(tmp_path), []
    replay_files(folder, parameters=PARAMETERS, schema=DEFAULT_SCHEMA, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == sum((folder / f"{name}.jsonl").stat().st_size for name in ("actions", "trades"))


def test_the_command_writes_the_same_files_under_every_hash_seed(tmp_path: Path) -> None:
    laid_out(tmp_path)
    (tmp_path / "parameters.json").write_bytes(msgspec.json.encode(PARAMETERS))
    written = []
    for seed in ("1", "2"):
        out = tmp_path / f"out{seed}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LEVERLOOP_")}
        arguments = [
            "replay",
            "jsonl",
            str(tmp_path),
            "--out",
            str(out),
            "--parameters",
            str(tmp_path / "parameters.json"),
        ]
        subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", *arguments],
            env=clean | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            check=True,
            capture_output=True,
            timeout=60,
        )
        found = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.*"))}
        report = json.loads(found.pop("report.json"))
        written.append((found, {k: v for k, v in report.items() if k not in ("seconds", "outcomes_per_second")}))
    assert sorted(written[0][0]) == [
        "decided.json", "lessons.json", "levers.json", "outcomes.records", "snapshots/dm.json", "snapshots/pm.json", "stats.jsonl",
    ]  # fmt: skip
    assert json.loads(written[0][0]["lessons.json"])
    assert written[0] == written[1]
