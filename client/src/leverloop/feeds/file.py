"""A snapshot in a JSON file, for a PM that gets it by other ways than a broker: read again when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from leverloop.clock import now_ms
from leverloop.errors import Unavailable
from leverloop.feeds import FeedRecord

__all__ = ["FileFeed"]


class FileFeed:
    """Feed from one file; a file that is not there yet is waited for.

    Parameters
    ----------
    path
        The file. Replace it by a rename: a file that is read half written is refused as a snapshot, and
        read again at its next change.
    poll_s
        How often to look at it, in seconds; a look costs about two microseconds.
    clock_ms
        Wall clock.
    """

    def __init__(self, path: Path, *, poll_s: float = 0.02, clock_ms: Callable[[], int] = now_ms) -> None:
        self._path: Final = path
        self._poll_s: Final = poll_s
        self._clock_ms: Final = clock_ms
        self._closed = False

    async def follow(self, *keys: str) -> AsyncIterator[FeedRecord]:
        """Yield the file's content now and at each change of its time, size or identity, under the first key."""
        seen: tuple[int, int, int] | None = None
        readings = 0
        while not self._closed:
            found = self._stamp()
            if found is not None and found != seen:
                seen = found
                yield FeedRecord(key=keys[0], value=self._content(), offset=readings, received_at_ms=self._clock_ms())
                readings += 1
            else:
                await asyncio.sleep(self._poll_s)

    async def close(self) -> None:
        """End every `follow` at its next look."""
        self._closed = True

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self._path}: {error}") from error
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise Unavailable(f"{self._path}: {error}") from error
