"""The wall clock, for the parts of the client that do I/O; everything else takes the time as an argument."""

from __future__ import annotations

import time

__all__ = ["now_ms"]


def now_ms() -> int:
    """Milliseconds since the epoch, UTC.

    Examples
    --------
    >>> now_ms() > 1_700_000_000_000
    True
    """
    return time.time_ns() // 1_000_000
