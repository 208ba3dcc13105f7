"""The buffer on disk: events wait here until a broker has them, through outages, restarts and SIGKILL.

1. `append` writes the event into the newest segment before it returns. The kernel has it then: it survives the
   process. It survives the machine once `sync` has returned.
2. `read` gives what was appended, in order, each event once; `acknowledge` says up to where it is done with. A
   segment that is done with is deleted. What was not acknowledged is read again by the next process.
3. A new process begins a new segment and leaves the old ones as they are, so that a frame which was cut off stays
   at the end of its file, where its checksum tells it (`leverloop.emit.frame`).
4. A failed `append` takes nothing: what it wrote is cut off again, and the next frame would be written over it.
5. The place up to where all is acknowledged is kept with a checksum, and neither fsynced nor needed: without it,
   events are read again that were sent before. They carry their ids, and the engine knows them by these.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import weakref
import zlib
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from leverloop.emit.directory import locked, sync_directory
from leverloop.emit.frame import Frame, parse_frames, written
from leverloop.errors import BadConfig, InvariantBroken, Unavailable

__all__ = ["DiskBuffer"]

_LARGEST_SEGMENT_BYTES: Final = 8 * 1024 * 1024  # a file made and deleted per 13,000 actions
_SEGMENTS: Final = 16  # of a full buffer, at least: one of them may be done with and not deleted yet
_READ_BYTES: Final = 256 * 1024  # larger than any frame, and 0.5 ms of the reader's thread
_SUFFIX: Final = ".events"
_DONE: Final = struct.Struct(">QI")
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Segment:
    """A file of frames. `size` ends at a whole frame, except in a file of an earlier process."""

    def __init__(self, path: Path, first: int, *, size: int = 0, last: int = -1) -> None:
        self.path: Final = path
        self.first: Final = first
        self.size = size
        self.last = last
        self.file: int | None = None
        self.dirty = False

    def close(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def remove(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)


class DiskBuffer:
    """Events in a directory of one process; any thread may append, one thread reads and acknowledges.

    Parameters
    ----------
    directory
        Made if it is not there; on a local disk, of nobody else. Other names in it are left alone.
    limit_bytes
        How large the files may grow together.

    Raises
    ------
    BadConfig
        When another process has the directory, or it cannot be made or written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> buffer = DiskBuffer(Path(folder.name), 1_000_000)
    >>> buffer.append(1, b"t1", b"{}")
    0
    >>> buffer.close()
    >>> after_restart = DiskBuffer(Path(folder.name), 1_000_000)
    >>> after_restart.read()
    [Frame(number=0, kind=1, key=b't1', value=b'{}')]
    >>> after_restart.acknowledge(1)
    >>> after_restart.close()
    >>> folder.cleanup()
    """

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self.directory: Final = directory
        self.limit_bytes: Final = limit_bytes
        self.recovered_count = 0
        """Events that were waiting at the start."""
        self.damaged_bytes = 0
        """Bytes that were no whole frame: what an earlier process was writing when it or its disk died."""
        self._segment_bytes: Final = min(_LARGEST_SEGMENT_BYTES, limit_bytes // _SEGMENTS)
        self._lock = threading.Lock()
        self._segments: Final[deque[_Segment]] = deque()
        self._bytes = 0
        self._closed = ""
        self._end = self._done = self._read_to = 0
        self._reading: _Segment | None = None
        self._read_at = 0
        self._new_names = False
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._files: Final = [locked(directory)]
            try:
                self._files.append(os.open(directory / "acknowledged", os.O_RDWR | os.O_CREAT, 0o600))
                self._recover(self._files[1])
            except BaseException:
                self._let_go()
                raise
        except OSError as error:
            if error.errno in _DISK_FULL:
                raise Unavailable(self._why(error)) from error
            raise BadConfig(f"buffer_dir {directory}: {error}; name a directory that can be written") from error
        _OPEN.add(self)

    @property
    def size_bytes(self) -> int:
        """Size of the files."""
        return self._bytes

    @property
    def end(self) -> int:
        """Number that the next event gets."""
        return self._end

    @property
    def done(self) -> int:
        """All below this number is acknowledged."""
        return self._done

    @property
    def read_to(self) -> int:
        """All below this number has been read, or was damaged."""
        return self._read_to

    def append(self, kind: int, key: bytes, value: bytes) -> int:
        """Take an event; return its number.

        Costs one write into the page cache. It does not wait for the disk, unless the kernel has no memory left
        for what waits to be written.

        Raises
        ------
        Unavailable
            When the buffer is full, or the disk is; nothing of the event was taken.
        """
        with self._lock:
            self._check_open()
            frame = written(Frame(self._end, kind, key, value))
            if self._bytes + len(frame) > self.limit_bytes:
                raise Unavailable(
                    f"buffer full: {self.directory} has {self._bytes} bytes, the limit is {self.limit_bytes} "
                    "(buffer_bytes); raise it, or wait until events have been sent"
                )
            try:
                segment = self._writable()
                _write(segment, frame)
            except OSError as error:
                raise Unavailable(self._why(error)) from error
            segment.size += len(frame)
            segment.last = self._end
            segment.dirty = True
            self._bytes += len(frame)
            self._end += 1
            return self._end - 1

    def read(self) -> list[Frame]:
        """Return the next events, oldest first; none if all have been read.

        Raises
        ------
        Unavailable
            When the disk does not answer; the same events can be read again.
        """
        while True:
            with self._lock:
                self._check_open()
                found = self._next_piece()
                if found is None:
                    self._read_to = self._end
                    return []
                segment, size = found
                file = None if segment.file is None else os.dup(segment.file)
            frames = self._read_piece(segment.path, file, size)
            if frames:
                return frames

    def acknowledge(self, until: int) -> None:
        """All below a number is done with: it is not read again, and its segments go."""
        gone = []
        with self._lock:
            self._check_open()
            if until <= self._done:
                return
            self._done = until
            while self._segments and self._segments[0].last < until and self._segments[0] is not self._written():
                gone.append(self._segments.popleft())
                self._bytes -= gone[-1].size
        for segment in gone:  # nobody who appends waits for that
            segment.remove()
        self._write_done()

    def sync(self) -> None:
        """Return when all that was appended before is on the disk itself; may take as long as the disk does.

        Raises
        ------
        Unavailable
            When the disk refuses.
        """
        with self._lock:
            self._check_open()
            dirty = [segment for segment in self._segments if segment.dirty and segment.file is not None]
            files = [os.dup(segment.file) for segment in dirty if segment.file is not None]
            for segment in dirty:
                segment.dirty = False
            names, self._new_names = self._new_names, False
        try:
            for file in files:
                os.fsync(file)
            if names:
                sync_directory(self.directory)
        except OSError as error:
            with self._lock:
                self._new_names |= names
                for segment in dirty:
                    segment.dirty = True
            raise Unavailable(self._why(error)) from error
        finally:
            for file in files:
                os.close(file)
        with self._lock:
            for segment in list(self._segments)[:-1]:
                if not segment.dirty:
                    segment.close()

    def close(self) -> None:
        """Sync, and leave the directory to the next; without an event that waits, the files go."""
        if self._closed:
            return
        try:
            if self._done < self._end:
                self.sync()
        finally:
            with self._lock:
                self._closed = "closed"
                for segment in self._segments:
                    if segment.last < self._done:
                        segment.remove()
                self._write_done()
                self._let_go()

    def leave_to_parent(self) -> None:
        """In a process that was forked: hold nothing, so that the directory is free when the parent has ended."""
        self._lock = threading.Lock()  # whoever held it is not here
        self._closed = "its parent's, from before a fork: open an emitter in each process"
        self._let_go()

    def _let_go(self) -> None:
        for segment in self._segments:
            segment.close()
        for file in self._files:
            os.close(file)
        self._files.clear()

    def _recover(self, done_file: int) -> None:
        self._done = _read_done(done_file)
        last = self._done - 1
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")):
            data = path.read_bytes()
            frames, _, damaged = parse_frames(data, final=True)
            waiting = sum(frame.number >= self._done for frame in frames)
            self.damaged_bytes += damaged
            self.recovered_count += waiting
            if not waiting:
                path.unlink()
                continue
            self._segments.append(_Segment(path, frames[0].number, size=len(data), last=frames[-1].number))
            self._bytes += len(data)
            last = max(last, frames[-1].number)
        self._end = last + 1  # never below what is acknowledged: that would be taken for done with
        self._read_to = self._done

    def _written(self) -> _Segment | None:
        """Segment that this process writes into; none if the newest is of an earlier one."""
        return self._segments[-1] if self._segments and self._segments[-1].file is not None else None

    def _write_done(self) -> None:
        with suppress(OSError):  # the disk is full, and nothing has gone: after a crash events are sent twice
            os.pwrite(self._files[1], _DONE.pack(self._done, zlib.crc32(self._done.to_bytes(8))), 0)

    def _writable(self) -> _Segment:
        """Segment to write into: the newest, or one more if that is full or of an earlier process."""
        newest = self._written()
        if newest is not None and newest.size < self._segment_bytes:
            return newest
        segment = _Segment(self.directory / f"{self._end:020d}{_SUFFIX}", self._end)
        segment.file = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._segments.append(segment)
        self._new_names = True
        return segment

    def _next_piece(self) -> tuple[_Segment, int] | None:
        """Segment to read on in, and its size by now."""
        while self._segments:
            segment = self._reading
            if segment is None or segment not in self._segments:
                segment = self._reading = self._segments[0]
                self._read_at = 0
            if self._read_at < segment.size:
                return segment, segment.size
            later = [other for other in self._segments if other.first > segment.first]
            if not later:
                return None
            self._reading, self._read_at = later[0], 0
        return None

    def _read_piece(self, path: Path, file: int | None, size: int) -> list[Frame]:
        want = min(_READ_BYTES, size - self._read_at)
        try:
            data = _read(os.open(path, os.O_RDONLY) if file is None else file, want, self._read_at)
        except FileNotFoundError:
            data = b""  # somebody has removed it: go on with the next
        except OSError as error:
            raise Unavailable(self._why(error)) from error
        final = self._read_at + want == size or len(data) < want
        frames, consumed, _ = parse_frames(data, final=final, above=self._read_to - 1)
        self._read_at = size if final else self._read_at + consumed
        if frames:
            self._read_to = frames[-1].number + 1
        return frames

    def _check_open(self) -> None:
        if self._closed:
            raise InvariantBroken(f"buffer {self.directory} is {self._closed}")

    def _why(self, error: OSError) -> str:
        what = f"buffer {self.directory}, {self._bytes} bytes of at most {self.limit_bytes}"
        if error.errno in _DISK_FULL:
            return f"{what}: the disk is full ({error.strerror}); free space on it, or name a directory elsewhere"
        return f"{what}: the disk refuses ({error}); what was taken before is kept"


def _write(segment: _Segment, frame: bytes) -> None:
    """Write a frame behind the last one; what fails is cut off again."""
    assert segment.file is not None
    at = 0
    try:
        while at < len(frame):  # a disk that is nearly full takes a part, and says why at the rest
            at += os.pwrite(segment.file, frame[at:], segment.size + at)
    except OSError:
        if at:
            os.ftruncate(segment.file, segment.size)
        raise


def _read(file: int, size: int, at: int) -> bytes:
    try:
        return os.pread(file, size, at)
    finally:
        os.close(file)


def _read_done(file: int) -> int:
    content = os.pread(file, _DONE.size, 0)
    if len(content) < _DONE.size:
        return 0
    until, crc = _DONE.unpack(content)
    return until if zlib.crc32(until.to_bytes(8)) == crc else 0


def _after_fork() -> None:
    for buffer in list(_OPEN):
        buffer.leave_to_parent()


_OPEN: Final[weakref.WeakSet[DiskBuffer]] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
