"""The command as it is typed: what is wrong with it is one line and an exit code."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from app.paper.checkpoint import Checkpoint
from app.paper.market import SimulatedMarket
from app.paper.tally import PaperSummary
from tests.unit.app.test_replay import laid_out

LEVERLOOP = str(Path(sys.executable).with_name("leverloop"))


def typed(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEVERLOOP_")}
    return subprocess.run(
        [LEVERLOOP, *words], env=clean | settings, capture_output=True, text=True, timeout=60, check=False
    )


def refused(*words: str, **settings: str) -> str:
    """The one line that a refusal is."""
    done = typed(*words, **settings)
    assert (done.returncode, done.stdout) == (78, ""), done
    (line,) = done.stderr.splitlines()
    return line


def test_a_replay_refuses_its_output_before_it_reads(tmp_path: Path) -> None:
    taken = laid_out(tmp_path) / "taken"
    taken.write_text("")
    assert f"--out {taken}" in refused("replay", "jsonl", str(tmp_path), "--out", str(taken))


@pytest.mark.parametrize("words", [("demo", "--data-dir"), ("demo", "--fresh", "--data-dir")])
def test_the_demo_refuses_a_file_for_its_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    assert f"--data-dir {taken}: cannot be made (File exists)" in refused(*words, str(taken))
    assert taken.is_file()


def test_a_path_of_the_operators_that_is_wrong_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    url = f"embedded://{taken}/log.db"
    assert str(taken) in refused("topics", "create", LEVERLOOP_BROKER_URL=url)


def test_the_demo_refuses_the_folder_of_another_seed_before_it_starts_anything(tmp_path: Path) -> None:
    market = SimulatedMarket(2).state()
    Checkpoint.of(market=market, pm=b"", summary=PaperSummary(), outbox=[]).save(tmp_path / "paper.state")
    line = refused("demo", "--seed", "7", "--data-dir", str(tmp_path))
    assert "belongs to --seed 2, not to --seed 7: take another --data-dir, or remove it" in line
    line = refused("paper", "--seed", "7", LEVERLOOP_DATA_DIR=str(tmp_path))
    assert "belongs to --seed 2, not to --seed 7: set another LEVERLOOP_DATA_DIR" in line
    assert [path.name for path in tmp_path.iterdir()] == ["paper.state"]


def test_the_version_is_the_installed_one() -> None:
    done = typed("--version")
    assert (done.returncode, done.stdout) == (0, f"leverloop {version('leverloop-engine')}\n")


def test_a_command_that_is_none_is_a_usage_error() -> None:
    done = typed("demo", "--sped", "3")
    assert done.returncode == 2
    assert "--sped" in done.stderr


def test_fresh_removes_no_folder_that_no_demo_has_made(tmp_path: Path) -> None:
    mine = tmp_path / "thesis.tex"
    mine.write_text("three years of work")
    assert "which no demo has made: name another --data-dir" in refused("demo", "--fresh", "--data-dir", str(tmp_path))
    assert mine.read_text() == "three years of work"
