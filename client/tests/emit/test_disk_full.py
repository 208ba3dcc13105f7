"""A disk that is full, for real: a small file system, and the kernel's limit on the size of a file."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_BEGIN = """
import os, resource, signal, sys
from pathlib import Path
from leverloop.emit.buffer import DiskBuffer
from leverloop.errors import Unavailable

where, value = Path(sys.argv[1]), b"v" * 700

def everything(buffer):
    found = []
    while frames := buffer.read():
        found += frames
    return [frame.number for frame in found]

def filled(buffer):
    while True:
        try:
            buffer.append(1, b"t1", value)
        except Unavailable as error:
            return str(error)

def end_of_files(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
"""

_FULL = (
    _BEGIN
    + """
if sys.argv[2] == "limit":
    end_of_files(20_000)
else:
    (where / "of somebody else").write_bytes(b"x" * 65_536)
buffer = DiskBuffer(where / "buffer", 10_000_000)
said = filled(buffer)
assert f"buffer {where}/buffer, {buffer.size_bytes} bytes of at most 10000000: the disk is full" in said, said
assert "free space on it, or name a directory elsewhere" in said, said
taken = buffer.end
assert taken > 10
assert filled(buffer) == said  # nothing of it was taken: the same again
assert sum(path.stat().st_size for path in (where / "buffer").glob("*.events")) == buffer.size_bytes
assert everything(buffer) == list(range(taken))
if sys.argv[2] == "limit":
    end_of_files(resource.RLIM_INFINITY)
else:
    (where / "of somebody else").unlink()
while buffer.end < taken + 10:  # there is room again
    buffer.append(1, b"t1", value)
assert everything(buffer) == list(range(taken, taken + 10))
if sys.argv[2] != "limit":
    filled(buffer)
(where / "taken").symlink_to(str(buffer.end))  # a link needs no block of a disk that is full
os.kill(os.getpid(), signal.SIGKILL)
"""
)

_AFTER = (
    _BEGIN
    + """
taken = int(os.readlink(where / "taken"))
buffer = DiskBuffer(where / "buffer", 10_000_000)  # starts on a full disk
assert (buffer.recovered_count, buffer.damaged_bytes) == (taken, 0), (buffer.recovered_count, buffer.damaged_bytes)
assert everything(buffer) == list(range(taken))
buffer.acknowledge(taken)
buffer.close()
assert list((where / "buffer").glob("*.events")) == []  # and gives the room back
buffer = DiskBuffer(where / "buffer", 10_000_000)
assert buffer.append(1, b"t1", value) == taken
assert everything(buffer) == [taken]
buffer.close()
print("told", taken)
"""
)

_BOTH = '"$1" -c "$2" "$0" "$4"; "$1" -c "$3" "$0" "$4"'


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_what_was_taken_is_kept_what_was_not_is_told_and_room_is_used_again(tmp_path: Path, kind: str) -> None:
    arguments = (str(tmp_path), sys.executable, _FULL, _AFTER, kind)
    if kind == "limit":
        ran = _run("sh", "-c", _BOTH, *arguments)
    else:
        mount = 'mount -t tmpfs -o size=256k none "$0"'
        if shutil.which("unshare") is None or _run("unshare", "-rm", "sh", "-c", mount, str(tmp_path)).returncode:
            pytest.skip("no file system can be mounted here (unshare -rm)")
        ran = _run("unshare", "-rm", "sh", "-c", f"{mount} && {{ {_BOTH}; }}", *arguments)
    assert ran.returncode == 0, ran.stderr
    told, taken = ran.stdout.split()
    assert told == "told"
    assert int(taken) > 20
