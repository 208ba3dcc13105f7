"""The wall clock, for the parts of the client that do I/O; everything else takes the time as an argument."""

from __future__ import annotations

import time

__all__ = ["elapsed_ms", "now_ms"]


def now_ms() -> int:
    """Milliseconds since the epoch, UTC.

    Examples
    --------
    >>> now_ms() > 1_700_000_000_000
    True
    """
    return time.time_ns() // 1_000_000


def elapsed_ms() -> int:
    """Milliseconds since some moment: a clock that nobody sets, and that never goes backwards.

    Examples
    --------
    >>> elapsed_ms() <= elapsed_ms()
    True
    """
    return time.monotonic_ns() // 1_000_000
