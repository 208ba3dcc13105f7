"""The buffer on disk: what `append` returned for is there in order, whatever ends the process; nothing else ever is."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.emit.buffer import DiskBuffer
from leverloop.emit.frame import ACTION, Frame, written
from leverloop.errors import BadConfig, InvariantBroken, Unavailable

LIMIT_BYTES = 16 * 200  # segments of 200 bytes: some frames each

values = st.binary(max_size=60)
steps = st.lists(st.one_of(values, st.sampled_from(["read", "acknowledge", "sync", "restart"])), max_size=40)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


class Kept:
    """A buffer, and beside it what was taken and what was acknowledged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.buffer = DiskBuffer(directory, 1_000_000)
        self.buffer._segment_bytes = 200  # type: ignore[misc]
        self.taken: list[Frame] = []
        self.given = 0
        """How many of the taken were read by this process."""
        self.done = 0

    def take(self, step: bytes | str) -> None:
        if isinstance(step, bytes):
            number = self.buffer.append(ACTION, b"t1", step)
            self.taken.append(Frame(number, ACTION, b"t1", step))
        elif step == "read":
            found = self.buffer.read()
            assert found == self.taken[self.given : self.given + len(found)]
            assert bool(found) == (self.given < len(self.taken))
            self.given += len(found)
        elif step == "acknowledge" and self.given > self.done:
            self.done = (self.done + self.given + 1) // 2
            self.buffer.acknowledge(self.taken[self.done - 1].number + 1)
        elif step == "sync":
            self.buffer.sync()
        elif step == "restart":
            self.buffer.close()
            self.buffer = DiskBuffer(self.directory, 1_000_000)
            self.given = self.done
            assert self.buffer.recovered_count == len(self.taken) - self.done
            assert self.buffer.damaged_bytes == 0

    def newest(self) -> Path | None:
        return max(self.directory.glob("*.events"), default=None)


def after_crash(directory: Path, where: Path) -> DiskBuffer:
    """A new process on what stands on the disk now; the old one knows nothing of it."""
    shutil.copytree(directory, where)
    return DiskBuffer(where, 1_000_000)


def everything(buffer: DiskBuffer) -> list[Frame]:
    found: list[Frame] = []
    while frames := buffer.read():
        found += frames
    return found


def played(directory: Path, story: list[bytes | str]) -> Kept:
    kept = Kept(directory / "before")
    for step in story:
        kept.take(step)
    return kept


@given(steps, values, st.data())
def test_a_killed_process_leaves_exactly_what_it_had_taken(
    story: list[bytes | str], value: bytes, data: st.DataObject
) -> None:
    with folder() as directory:
        kept = played(directory, story)
        half = written(Frame(len(kept.taken), ACTION, b"t1", value))[:-1]  # it died in the middle of an append
        torn = half[: data.draw(st.integers(0, len(half)))]
        newest = kept.newest() or kept.directory / f"{0:020d}.events"
        with newest.open("ab") as file:
            file.write(torn)
        buffer = after_crash(kept.directory, directory / "after")
        assert buffer.recovered_count == len(kept.taken) - kept.done
        assert buffer.damaged_bytes == len(torn)
        assert everything(buffer) == kept.taken[kept.done :]
        # and it goes on: what is taken now comes behind
        number = buffer.append(ACTION, b"t2", b"new")
        assert everything(buffer) == [Frame(number, ACTION, b"t2", b"new")]
        buffer.close()
        again = DiskBuffer(directory / "after", 1_000_000)
        assert everything(again) == [*kept.taken[kept.done :], Frame(number, ACTION, b"t2", b"new")]
        again.close()
        kept.buffer.close()


@given(steps, st.data())
def test_a_dead_machine_leaves_a_beginning_of_what_waited(story: list[bytes | str], data: st.DataObject) -> None:
    with folder() as directory:
        kept = played(directory, story)
        newest = kept.newest()
        if newest is not None:
            os.truncate(newest, data.draw(st.integers(0, newest.stat().st_size)))
        buffer = after_crash(kept.directory, directory / "after")
        found = everything(buffer)
        waited = kept.taken[kept.done :]
        assert found == waited[: len(found)]
        # A number that was acknowledged is never given out again: its event would pass for done with.
        number = buffer.append(ACTION, b"t2", b"new")
        assert number >= kept.buffer.done
        assert everything(buffer) == [Frame(number, ACTION, b"t2", b"new")]
        buffer.close()
        kept.buffer.close()


@given(steps, st.data())
def test_a_damaged_byte_costs_one_event_and_gives_no_other(story: list[bytes | str], data: st.DataObject) -> None:
    with folder() as directory:
        kept = played(directory, story)
        files = sorted(path for path in kept.directory.glob("*.events") if path.stat().st_size)
        waited = kept.taken[kept.done :]
        if files:
            hit = data.draw(st.sampled_from(files))
            content = bytearray(hit.read_bytes())
            content[data.draw(st.integers(0, len(content) - 1))] ^= 0x55
            hit.write_bytes(bytes(content))
        buffer = after_crash(kept.directory, directory / "after")
        found = everything(buffer)
        assert len(waited) - len(found) <= 1
        assert found == [frame for frame in waited if frame in found]
        buffer.close()
        kept.buffer.close()


@given(steps, st.binary(max_size=12))
def test_without_its_place_events_come_twice_and_none_is_missing(story: list[bytes | str], place: bytes) -> None:
    with folder() as directory:
        kept = played(directory, story)
        (kept.directory / "acknowledged").write_bytes(place)
        buffer = after_crash(kept.directory, directory / "after")
        found = everything(buffer)
        waited = kept.taken[kept.done :]
        assert found == kept.taken[len(kept.taken) - len(found) :]
        assert len(found) >= len(waited)
        buffer.close()
        kept.buffer.close()


@given(st.lists(values, min_size=1, max_size=80), st.integers(0, 3))
def test_its_size_is_that_of_its_files_and_never_above_the_limit(items: list[bytes], pace: int) -> None:
    with folder() as directory:
        buffer = DiskBuffer(directory, LIMIT_BYTES)
        taken = 0
        for number, value in enumerate(items):
            try:
                taken = buffer.append(ACTION, b"t1", value) + 1
            except Unavailable:
                assert buffer.size_bytes + len(written(Frame(taken, ACTION, b"t1", value))) > LIMIT_BYTES
            assert buffer.end == taken
            if pace and number % pace == 0:
                everything(buffer)
                buffer.acknowledge(buffer.read_to)
            sizes = sum(path.stat().st_size for path in directory.glob("*.events"))
            assert buffer.size_bytes == sizes <= LIMIT_BYTES
        everything(buffer)
        buffer.acknowledge(buffer.read_to)
        buffer.close()
        assert list(directory.glob("*.events")) == []


def test_what_an_earlier_process_left_goes_when_it_is_acknowledged(tmp_path: Path) -> None:
    before = DiskBuffer(tmp_path, 10_000)
    before.append(ACTION, b"t1", b"{}")
    before.close()
    after = DiskBuffer(tmp_path, 10_000)
    assert after.size_bytes > 0
    everything(after)
    after.acknowledge(after.end)
    assert (after.size_bytes, list(tmp_path.glob("*.events"))) == (0, [])
    assert after.append(ACTION, b"t2", b"{}") == 1
    assert [frame.key for frame in everything(after)] == [b"t2"]
    after.close()


def test_a_full_buffer_says_where_how_large_and_what_to_do(tmp_path: Path) -> None:
    buffer = DiskBuffer(tmp_path, 1_000)
    for _ in range(8):
        buffer.append(ACTION, b"t1", b"x" * 100)
    with pytest.raises(Unavailable) as full:
        buffer.append(ACTION, b"t1", b"x" * 100)
    assert str(full.value) == (
        f"buffer full: {tmp_path} has 1000 bytes, the limit is 1000 (buffer_bytes); "
        "raise it, or wait until events have been sent"
    )
    assert [frame.number for frame in everything(buffer)] == list(range(8))
    buffer.acknowledge(8)
    buffer.append(ACTION, b"t1", b"there is room again")
    buffer.close()


def test_many_threads_append_and_each_event_is_there_once_in_its_threads_order(tmp_path: Path) -> None:
    buffer = DiskBuffer(tmp_path, 10_000_000)

    def log(name: str) -> None:
        for number in range(300):
            buffer.append(ACTION, name.encode(), b"%d" % number)

    threads = [threading.Thread(target=log, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    found: list[Frame] = []
    while any(thread.is_alive() for thread in threads) or buffer.read_to < buffer.end:
        found += buffer.read()
        buffer.acknowledge(buffer.read_to)
        buffer.sync()
    assert [frame.number for frame in found] == list(range(1_200))
    for name in "abcd":
        assert [frame.value for frame in found if frame.key == name.encode()] == [b"%d" % n for n in range(300)]
    buffer.close()


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    buffer = DiskBuffer(tmp_path, 10_000)
    with pytest.raises(BadConfig, match=rf"used by process {os.getpid()}: give each emitter a buffer_dir of its own"):
        DiskBuffer(tmp_path, 10_000)
    buffer.close()
    DiskBuffer(tmp_path, 10_000).close()


def test_a_forked_child_has_no_part_in_it(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from leverloop.emit.buffer import DiskBuffer
from leverloop.errors import InvariantBroken
buffer = DiskBuffer(Path(sys.argv[1]), 10_000)
buffer.append(1, b"t1", b"{}")
ready, tell = os.pipe()
if os.fork() == 0:
    try:
        buffer.append(1, b"t1", b"{}")
    except InvariantBroken as error:
        os.write(tell, str(error).encode())
    buffer.close()
    os.write(tell, b"\\n")
    sys.stdin.read()  # lives on when its parent is dead
    os._exit(0)
os.close(tell)
told = b""
while not told.endswith(b"\\n"):
    told += os.read(ready, 1000)
print(told.decode(), flush=True)
os._exit(1)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert "from before a fork: open an emitter in each process" in parent.stdout.readline()
        assert parent.wait() == 1
        buffer = DiskBuffer(tmp_path, 10_000)  # free, although the child lives
        assert [frame.value for frame in everything(buffer)] == [b"{}"]
        buffer.close()


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadConfig, match=r"buffer_dir .*file/buffer: .*name a directory that can be written"):
        DiskBuffer(tmp_path / "file" / "buffer", 10_000)


def test_a_segment_that_somebody_removed_does_not_hold_up_the_others(tmp_path: Path) -> None:
    buffer = DiskBuffer(tmp_path, 16 * 100)
    for number in range(12):
        buffer.append(ACTION, b"t1", b"%02d" % number * 20)
    buffer.sync()  # closes the files that are full
    removed = sorted(tmp_path.glob("*.events"))[1]
    lost = removed.read_bytes()
    removed.unlink()
    found = everything(buffer)
    left = [value for number in range(12) if (value := b"%02d" % number * 20) not in lost]
    assert [frame.value for frame in found] == left
    assert len(left) < 12
    assert buffer.read_to == buffer.end
    buffer.acknowledge(buffer.end)
    buffer.close()


def test_a_closed_buffer_takes_nothing(tmp_path: Path) -> None:
    buffer = DiskBuffer(tmp_path, 10_000)
    buffer.close()
    buffer.close()
    with pytest.raises(InvariantBroken, match="is closed"):
        buffer.append(ACTION, b"t1", b"{}")
