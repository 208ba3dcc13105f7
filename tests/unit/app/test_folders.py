"""Folders that are named: made, or refused with the name and the way out."""

from pathlib import Path

import pytest

from app.folders import made
from leverloop.errors import BadConfig


def test_a_folder_is_made_with_its_parents_and_may_be_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert made(folder, "--out") == made(folder, "--out") == folder
    assert folder.is_dir()


@pytest.mark.parametrize("below", ["", "folder"])
def test_a_file_in_its_place_is_refused(tmp_path: Path, below: str) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(BadConfig, match=rf"--out {taken / below}: cannot be made \(.*\): name another folder"):
        made(taken / below, "--out")
