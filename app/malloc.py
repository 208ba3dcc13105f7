"""Large arrays go back to the system when they are replaced by larger ones.

glibc raises the size from which it maps memory of its own with every large block that is freed, up to
32 MB; after that, columns that grow leave holes in the heap that nothing else fits into: a tenth to a third
of a worker's memory. Fixed thresholds keep every large array a mapping of its own.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["map_large_blocks"]

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_BYTES: Final = 256 * 1024


def map_large_blocks() -> bool:
    """Set the thresholds; False where the C library has none.

    Notes
    -----
    Source: mallopt(3), M_MMAP_THRESHOLD: setting it switches the dynamic adjustment off.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _BYTES) and mallopt(_M_TRIM_THRESHOLD, _BYTES))
