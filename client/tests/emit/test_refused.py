"""The file of refused events: whole lines, for its owner alone, up to a limit."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from leverloop.emit.refused import REFUSED_BYTES, set_aside
from leverloop.errors import Unavailable


def test_lines_are_appended_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    path.touch(mode=0o666)
    path.chmod(0o644)
    for line in (b"one\n", b"two\n"):
        set_aside(path, line)
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_at_its_limit_takes_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    path.touch()
    os.truncate(path, REFUSED_BYTES - 4)
    set_aside(path, b"one\n")
    with pytest.raises(Unavailable, match=r"has 67108864 bytes, the limit is 67108864: mend the topic"):
        set_aside(path, b"\n")
    assert path.stat().st_size == REFUSED_BYTES


def test_what_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"none/refused\.jsonl: No such file"):
        set_aside(tmp_path / "none" / "refused.jsonl", b"one\n")


_FULL = """
import resource, signal, sys
from pathlib import Path
from leverloop.emit.refused import set_aside
from leverloop.errors import Unavailable

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
path = Path(sys.argv[1])
set_aside(path, b"one\\n")
try:
    set_aside(path, b"longer than there is room\\n")
except Unavailable as error:
    print(error)
set_aside(path, b"two\\n")
"""


def test_a_disk_that_is_full_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    command = [sys.executable, "-c", _FULL, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == f"{path}: the disk is full\n"
    assert path.read_bytes() == b"one\ntwo\n"
