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

_EMBEDDED = """
import asyncio, sys
from pathlib import Path
from leverloop.embedded_log import EmbeddedLog
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC
from leverloop.emit.embedded import EmbeddedEmitter
from leverloop.errors import Unavailable
from leverloop.events import TradeClosed, parse_trade
from leverloop.testing import AT_MS

where = Path(sys.argv[1])

def trade(number):
    return TradeClosed(
        trade_id=f"t{number:06d}", module="pm", symbol="X", opened_at_ms=AT_MS, event_at_ms=AT_MS, rr=1.0,
        return_frac=0.1, max_drawdown_frac=0.1, max_gain_frac=0.1, exit_reason="x" * 500,
    )

async def run():
    with EmbeddedLog(where / "log.db") as log:
        for topic in (ACTIONS_TOPIC, TRADES_TOPIC):
            log.create_topic(topic, 1)
    (where / "of somebody else").write_bytes(b"x" * 1_500_000)
    logged = 0
    async with EmbeddedEmitter(where / "log.db", buffer_records=2_000) as emitter:
        said = ""
        while not said:
            for _ in range(100):
                emitter.log_trade(trade(logged))
                logged += 1
            try:
                await emitter.flush(2.0)
            except Unavailable as error:
                said = str(error)
        assert "the disk is full" in said, said
        assert "the disk is full" in emitter.status().trouble
        assert emitter.status().waiting_count > 0
        (where / "of somebody else").unlink()
        await emitter.flush()
        assert emitter.status().trouble == ""
    with EmbeddedLog(where / "log.db") as log:
        records = []
        while page := log.read(TRADES_TOPIC, 0, len(records)):
            records += page
    assert [parse_trade(record.value, received_at_ms=AT_MS) for record in records] == [*map(trade, range(logged))]
    print("told", logged)

asyncio.run(run())
"""

_BOTH = '"$1" -c "$2" "$0" "$4"; "$1" -c "$3" "$0" "$4"'


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _on_small_disk(size: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script with a file system of that size on the directory that is its first argument."""
    mount = f'mount -t tmpfs -o size={size} none "$0"'
    if shutil.which("unshare") is None or _run("unshare", "-rm", "sh", "-c", mount, arguments[0]).returncode:
        pytest.skip("no file system can be mounted here (unshare -rm)")
    return _run("unshare", "-rm", "sh", "-c", f"{mount} && {{ {script}; }}", *arguments)


@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_what_was_taken_is_kept_what_was_not_is_told_and_room_is_used_again(tmp_path: Path, kind: str) -> None:
    arguments = (str(tmp_path), sys.executable, _FULL, _AFTER, kind)
    ran = _run("sh", "-c", _BOTH, *arguments) if kind == "limit" else _on_small_disk("256k", _BOTH, *arguments)
    assert ran.returncode == 0, ran.stderr
    told, taken = ran.stdout.split()
    assert told == "told"
    assert int(taken) > 20


def test_an_embedded_log_on_a_full_disk_is_told_and_gets_everything_when_there_is_room(tmp_path: Path) -> None:
    ran = _on_small_disk("4m", '"$1" -c "$2" "$0"', str(tmp_path), sys.executable, _EMBEDDED)
    assert ran.returncode == 0, ran.stderr
    told, logged = ran.stdout.split()
    assert told == "told"
    assert int(logged) > 200
