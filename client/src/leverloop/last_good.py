"""The last good snapshot on disk, so that a trader starts with the broker down (spec section 12).

Two files: the record of the snapshot as it came, and beside it that of the last heartbeat, which says until
when it holds. Each is replaced as a whole: what is there is what was once written to its end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from leverloop.errors import Unavailable

__all__ = ["LastGood"]


class LastGood:
    """Files of the last good snapshot and its heartbeat.

    Parameters
    ----------
    path
        File of the snapshot, of one trader alone; ``.heartbeat`` is put behind it for the heartbeat's. Its
        folder is made if need be.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._heartbeat_path: Final = path.with_name(f"{path.name}.heartbeat")

    def snapshot(self) -> bytes | None:
        """Return the snapshot's record, or None where nothing was kept.

        Raises
        ------
        Unavailable
            When the file cannot be read.
        """
        return _read(self.path)

    def heartbeat(self) -> bytes | None:
        """Return the heartbeat's record, or None where none was kept; Unavailable as for the snapshot."""
        return _read(self._heartbeat_path)

    def keep_snapshot(self, value: bytes) -> None:
        """Put a snapshot's record in the place of the one before.

        Raises
        ------
        Unavailable
            When the disk does not take it; the one before stays.
        """
        _replace(self.path, value)

    def keep_heartbeat(self, value: bytes) -> None:
        """Put a heartbeat's record in the place of the one before; Unavailable as for the snapshot."""
        _replace(self._heartbeat_path, value)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{path}: the last good snapshot cannot be read: {error.strerror}") from error


def _replace(path: Path, value: bytes) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise Unavailable(f"{path}: the last good snapshot cannot be kept: {error.strerror}") from error
