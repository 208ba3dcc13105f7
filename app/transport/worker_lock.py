"""One worker to an embedded log: a lock that the kernel gives back when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from leverloop.errors import BadConfig

__all__ = ["WorkerLock"]


class WorkerLock:
    """Lock beside a log, held from `acquire` to `release`.

    Parameters
    ----------
    log_path
        File of the log; the lock is the file next to it that ends in ``.worker``.
    """

    def __init__(self, log_path: Path) -> None:
        self._path: Final = log_path.with_name(log_path.name + ".worker")
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Is the lock ours."""
        return self._fd is not None

    def acquire(self) -> None:
        """Take the lock; BadConfig if another worker has it, or there is no such folder."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise BadConfig(
                f"no lock at {self._path} ({error.strerror}): make the log first, leverloop topics create"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise BadConfig(
                f"another worker (process {holder}) works on this embedded log ({self._path}): stop it, or use "
                "Kafka, which takes more than one"
            ) from error
        os.truncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; the file stays, since another worker may be waiting at it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
