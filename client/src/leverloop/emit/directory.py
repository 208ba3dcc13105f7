"""A directory that one process has for itself, and whose names survive the machine. POSIX only."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from leverloop.errors import BadConfig

__all__ = ["locked", "sync_directory"]


def locked(directory: Path) -> int:
    """Open file that keeps everybody else out for as long as it is open, whatever way this process ends.

    Raises
    ------
    BadConfig
        When somebody has the directory already.
    OSError
        When the file cannot be made.
    """
    file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(file, 20).decode("ascii", "replace").strip() or "another one"
        os.close(file)
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise
        raise BadConfig(
            f"buffer_dir {directory} is used by process {owner}: give each emitter a buffer_dir of its own"
        ) from error
    with suppress(OSError):  # said for the next who tries; a full disk may have no room for it
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
    return file


def sync_directory(directory: Path) -> None:
    """Return when the names in a directory are on the disk itself."""
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
