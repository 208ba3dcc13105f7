"""Events that their topic will never take, set aside in a file beside the buffer: no others wait for them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from leverloop.emit.directory import sync_directory
from leverloop.errors import Unavailable

__all__ = ["REFUSED_BYTES", "set_aside"]

REFUSED_BYTES: Final = 64 * 1024 * 1024
"""How large the file may grow: a thousand of the largest events."""


def set_aside(path: Path, line: bytes) -> None:
    """Append a line to a file that its owner alone may read; on return it is on the disk itself.

    Raises
    ------
    Unavailable
        When the file has reached `REFUSED_BYTES`, or the disk does not take it. The file is as it was then.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.fchmod(file, 0o600)  # one that an earlier release made, too
            _append(path, file, line)
        finally:
            os.close(file)
        sync_directory(path.parent)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error


def _append(path: Path, file: int, line: bytes) -> None:
    size = os.fstat(file).st_size
    if size + len(line) > REFUSED_BYTES:
        raise Unavailable(
            f"{path} has {size} bytes, the limit is {REFUSED_BYTES}: mend the topic, log again what is in it, delete it"
        )
    kept = False
    try:
        if os.write(file, line) == len(line):
            os.fsync(file)
            kept = True
    finally:
        if not kept:
            with suppress(OSError):
                os.ftruncate(file, size)  # no half of a line before the next one
    if not kept:
        raise Unavailable(f"{path}: the disk is full")
