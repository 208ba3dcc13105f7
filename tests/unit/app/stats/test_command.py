"""`leverloop stats` as it is typed, on a replay and on the tables of a worker."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.settings import Settings
from app.stats.command import Question
from learning.statistics import SubsetStats
from leverloop.errors import BadConfig, BadInput
from tests.unit.app.stats.sources import GROUP, deployed, replayed
from tests.unit.app.test_replay import STREAM


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed(tmp_path_factory.mktemp("replay"))


def ran(*arguments: str) -> str:
    """What the command prints; its error, if it ends with one."""
    done = CliRunner().invoke(app, ["stats", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def rows(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran(*arguments, "--json").splitlines()]


def in_file(replay: Path) -> list[dict[str, Any]]:
    """Rows of the group in stats.jsonl, which has every tracked subset."""
    found = [json.loads(line) for line in (replay / "stats.jsonl").read_text().splitlines()]
    return [row for row in found if f"{row['pattern_key']}|{row['action_category']}" == GROUP]


def test_the_groups_are_listed(replay: Path) -> None:
    found = rows("--replay", str(replay))
    assert [row["group"] for row in found] == sorted({row["group"] for row in found})
    assert sum(row["outcomes"] for row in found) == len(STREAM[0])
    assert all(0 < row["trades"] <= row["outcomes"] for row in found)
    last_ms = max(trade["event_at_ms"] for trade in STREAM[1])
    assert max(row["last_closed_at_ms"] for row in found) == last_ms
    text = ran("--replay", str(replay))
    assert all(row["group"] in text for row in found)
    assert "6 groups" in text
    assert f"read from the replay in {replay}" in text


def test_a_point_is_the_row_of_stats_jsonl(replay: Path) -> None:
    for row in in_file(replay)[::7]:
        scope = [part for name, value in row["scope"].items() for part in ("--scope", f"{name}={value}")]
        (found,) = rows(GROUP, *scope, "--replay", str(replay))
        assert found.items() >= row.items()
        assert found["tracked"] is True


def test_one_subset_in_words(replay: Path) -> None:
    text = ran(GROUP, "--scope", "bucket=xl", "--replay", str(replay))
    assert f"{GROUP}, bucket=xl (not tracked)" in text
    assert all(name in text for name in SubsetStats.__struct_fields__)
    assert "not known" in text
    assert "as of the last decided epoch, 20" in text
    assert "tracked subsets" in text


def test_the_first_by_a_number(replay: Path) -> None:
    everything = in_file(replay)
    found = rows(GROUP, "--top", "5", "--by", "n", "--replay", str(replay))
    assert [row["n"] for row in found] == sorted((row["n"] for row in everything), reverse=True)[:5]
    least = rows(
        GROUP, "--top", "5", "--by", "avg_rr", "--ascending", "--min-n", "15", "--dims", "2", "--replay", str(replay)
    )
    wanted = sorted(row["avg_rr"] for row in everything if row["n"] >= 15 and len(row["scope"]) == 2)
    assert [row["avg_rr"] for row in least] == wanted[:5]
    within = rows(GROUP, "--top", "99", "--scope", "bucket=micro", "--replay", str(replay))
    assert len(within) == sum(row["scope"].get("bucket") == "micro" for row in everything)
    assert "largest edge_raw first" in ran(GROUP, "--top", "3", "--replay", str(replay))


def test_children_and_parents(replay: Path) -> None:
    everything = in_file(replay)
    children = rows(GROUP, "--children", "--scope", "bucket=micro", "--replay", str(replay))
    assert len(children) == sum(r["scope"].get("bucket") == "micro" and len(r["scope"]) == 2 for r in everything)
    assert len(rows(GROUP, "--children", "--replay", str(replay))) == sum(len(r["scope"]) == 1 for r in everything)
    parents = rows(GROUP, "--parents", "--scope", "bucket=micro", "--scope", "timeframe=1h", "--replay", str(replay))
    assert [row["scope"] for row in parents] == [{"timeframe": "1h"}, {"bucket": "micro"}]
    assert "one dimension less: none" in ran(GROUP, "--parents", "--replay", str(replay))


async def test_the_tables_of_a_worker(replay: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Settings = await deployed(tmp_path)
    monkeypatch.setenv("LEVERLOOP_PARAMETERS_FILE", str(settings.parameters_file))
    for question in ([], [GROUP], [GROUP, "--top", "10"], [GROUP, "--children"], [GROUP, "--now"]):
        wanted = ran(*question, "--json", "--replay", str(replay))
        assert ran_beside(*question, "--json", "--broker", settings.broker_url) == wanted
    assert "leverloop-outcomes-changelog" in ran_beside(GROUP, "--top", "3", "--broker", settings.broker_url)


def ran_beside(*arguments: str) -> str:
    """Run the command in a thread of its own: it has a loop of its own."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(ran, *arguments).result()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"group": GROUP, "top": 5, "children": True}, "--top and --children: one of them at a time"),
        ({"group": GROUP, "parents": True, "children": True}, "--children and --parents: one of them at a time"),
        ({"group": GROUP, "by": "n", "dims": 2}, "--by, --dims: belongs to --top N"),
        ({"group": GROUP, "ascending": True}, "--ascending: belongs to --top N"),
        ({"top": 5}, "--top: of which GROUP"),
        ({"scope": ("bucket=mid",)}, "--scope: of which GROUP"),
    ],
)
def test_questions_that_make_no_sense_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        Question(**asked)


def test_what_is_not_known_is_refused_with_what_is(replay: Path) -> None:
    for arguments, message in (
        (
            ["pm.uptrend.S1.buy_flag"],
            r"GROUP: expected one of the 6 groups .*such as pm\.uptrend\.S1\.buy_flag\|entry, ",
        ),
        ([GROUP, "--scope", "bucket=huge"], r"scope\.bucket: expected one of nano, "),
        ([GROUP, "--top", "3", "--by", "edge"], r"by: expected one of n, .*edge_raw"),
    ):
        with pytest.raises(BadInput, match=message):
            ran(*arguments, "--replay", str(replay))
    with pytest.raises(BadConfig, match="leverloop replay jsonl"):
        ran(GROUP, "--replay", str(replay / "nowhere"))
