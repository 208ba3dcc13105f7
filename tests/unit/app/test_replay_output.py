"""Files of a replay: what `leverloop replay jsonl` leaves behind."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.outcome_file import read_decision, read_records
from app.replay import Replay, replay_files
from app.replay_output import write_output
from learning.book import decision
from learning.statistics import SubsetStats
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.snapshot import decode_snapshot, override_id
from tests.laws import brute_force
from tests.unit.app.test_replay import PARAMETERS, STREAM, laid_out

# Counted by hand are edges with neutral weights (those with learned ones: tests/laws/test_switches.py).
RULES = msgspec.structs.replace(PARAMETERS, v5_regime_weights_enabled=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Replay]:
    folder = laid_out(tmp_path_factory.mktemp("in"))
    replay, report = replay_files(folder, parameters=RULES, schema=DEFAULT_SCHEMA)
    into = tmp_path_factory.mktemp("out") / "made" / "on the way"
    write_output(replay, report, into)
    return into, replay


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lessons_are_those_that_live(out: tuple[Path, Replay]) -> None:
    folder, replay = out
    found = json.loads((folder / "lessons.json").read_text())
    assert replay.book is not None
    live = [lesson for lesson in replay.book.lessons.values() if lesson.state in ("active", "dormant")]
    assert live
    assert [(f["pattern_key"], f["action_category"], f["scope"], f["direction"]) for f in found] == [
        (lesson.pattern_key, lesson.action_category, lesson.scope, lesson.direction) for lesson in live
    ]
    assert all(f["n"] >= 20 for f in found)


def test_snapshots_are_ones_that_traders_take(out: tuple[Path, Replay]) -> None:
    folder, replay = out
    assert replay.book is not None
    for module in ("pm", "dm"):
        found = decode_snapshot((folder / "snapshots" / f"{module}.json").read_bytes())
        assert (found.module, found.version, found.epoch_at_ms) == (
            module,
            replay.book.version,
            replay.book.epoch_at_ms,
        )
        with_levers = {
            lesson.id for lesson in replay.book.lessons.values()
            if lesson.module == module and lesson.levers and lesson.state in ("active", "dormant")
        }  # fmt: skip
        assert {override.lesson.id for override in found.overrides()} == with_levers
        assert len({override_id(override) for override in found.overrides()}) == len(with_levers)


def test_statistics_have_a_row_for_each_tracked_subset(out: tuple[Path, Replay]) -> None:
    folder, _ = out
    found = lines(folder / "stats.jsonl")
    assert found
    brute = brute_force.BruteForce(brute_force.rows_of(*STREAM))
    for row in found[:: max(1, len(found) // 50)]:
        group = f"{row['pattern_key']}|{row['action_category']}"
        expected = brute.statistics(group, row["scope"])
        assert row["module"] == row["pattern_key"].split(".")[0]
        for name in (
            "n",
            "n_actions",
            "avg_rr",
            "variance",
            "win_rate",
            "delta_rr",
            "edge_raw",
            "n_clusters",
            "effect_rr",
        ):
            assert row[name] == pytest.approx(expected[name]), (group, row["scope"], name)
        assert set(SubsetStats.__struct_fields__) < set(row)
    keys = [(row["pattern_key"], row["action_category"], json.dumps(row["scope"])) for row in found]
    assert len(set(keys)) == len(keys)


def test_every_outcome_is_there_to_be_asked_again(out: tuple[Path, Replay]) -> None:
    folder, replay = out
    assert replay.book is not None
    assert sorted(key.decode() for key, _ in read_records(folder)) == sorted(
        action["action_id"] for action in STREAM[0]
    )
    last = read_decision(folder)
    assert (last.parameters, last.scope_schema) == (RULES, DEFAULT_SCHEMA)
    assert last.decided == decision(replay.book)


def test_the_report_tells_what_came_in(out: tuple[Path, Replay]) -> None:
    report = json.loads((out[0] / "report.json").read_text())
    assert (report["actions"], report["trades"]) == (len(STREAM[0]), len(STREAM[1]))
    assert report["dead_letters"] == {}
    assert {"from", "to", "reason", "lesson_id"} <= set(report["lesson_events"][0])


def test_a_replay_of_nothing_writes_empty_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    replay, report = replay_files(laid_out(tmp_path / "in", [], []), parameters=PARAMETERS, schema=DEFAULT_SCHEMA)
    assert write_output(replay, report, tmp_path / "out") == {}
    assert json.loads((tmp_path / "out" / "lessons.json").read_text()) == []
    assert (tmp_path / "out" / "stats.jsonl").read_bytes() == b""
    assert list(read_records(tmp_path / "out")) == []
    assert read_decision(tmp_path / "out").decided == (None if replay.book is None else decision(replay.book))
    assert msgspec.json.decode((tmp_path / "out" / "report.json").read_bytes())["outcomes"] == 0


def test_execution_levers_have_the_evidence_of_those_trades_that_tell_of_them(tmp_path: Path) -> None:
    actions, trades = STREAM
    told = [
        trade | {"counterfactual": {"deltas": {"entry_delay_bars": {"2": 3.0 + 0.3 * (i % 5)}}}} if i % 2 else trade
        for i, trade in enumerate(trades)
    ]
    (tmp_path / "in").mkdir()
    replay, report = replay_files(laid_out(tmp_path / "in", actions, told), parameters=RULES, schema=DEFAULT_SCHEMA)
    write_output(replay, report, tmp_path / "out")
    assert replay.book is not None
    found = json.loads((tmp_path / "out" / "levers.json").read_text())
    assert found
    for each in found:
        assert (each["lever"], each["target"], each["effect_rr"]) == (
            "entry_delay_bars", 2.0, pytest.approx(3.6, abs=0.2),
        )  # fmt: skip
        assert each["ci_low"] < each["effect_rr"] < each["ci_high"]
        (lesson,) = [
            lesson for lesson in replay.book.lessons.values()
            if (lesson.pattern_key, lesson.scope, lesson.lever) == (each["pattern_key"], each["scope"], each["lever"])
        ]  # fmt: skip
        assert 0 < each["n"] < lesson.evidence.stats.n
    births = [event for event in report.lesson_events if event.lever is not None]
    assert births
    assert all(event.lever.n < event.n for event in births if event.lever is not None)
