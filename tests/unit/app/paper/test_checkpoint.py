"""A checkpoint comes back as it was saved, and what is none is refused with the way out."""

from pathlib import Path

import pytest

from app.paper.checkpoint import Checkpoint
from app.paper.tally import PaperSummary
from leverloop.errors import BadConfig
from leverloop.events import encode
from tests.unit.app.paper.scenes import neutral


def checkpoint(count: int) -> Checkpoint:
    events = list(neutral()[:count])
    return Checkpoint.of(market=b"m", pm=b"p", summary=PaperSummary(trades=3, levered={"t"}), outbox=events)


def test_a_checkpoint_comes_back_with_its_events_in_order(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "paper.state"
    checkpoint(40).save(path)
    checkpoint(60).save(path)
    loaded = Checkpoint.load(path)
    assert loaded == checkpoint(60)
    assert loaded is not None
    assert [encode(e) for e in loaded.outbox] == [encode(e) for e in neutral()[:60]]
    assert [p.name for p in path.parent.iterdir()] == ["paper.state"]


def test_without_a_file_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert Checkpoint.load(tmp_path / "none") is None


@pytest.mark.parametrize("damage", [b"", b"\x80", b"text"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "paper.state"
    path.write_bytes(damage)
    with pytest.raises(BadConfig, match=r"expected one of version 1 .*; remove it"):
        Checkpoint.load(path)


def test_half_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paper.state"
    checkpoint(5).save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadConfig, match="expected one of version 1"):
        Checkpoint.load(path)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="checkpoint"):
        Checkpoint.load(tmp_path)
