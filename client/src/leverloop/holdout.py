"""Which trades are held out: a few get no levers, so that the others can be compared with them (spec section 12)."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

__all__ = ["DRAWS", "draw"]

DRAWS: Final = 2**64
"""A trade is held out if its draw is below ``share * DRAWS``."""
_SALT: Final = b"leverloop.holdout|"  # apart from every other hash of a trade_id, such as its partition


def draw(trade_id: str) -> int:
    """Draw of a trade: an integer in [0, 2**64), uniform over trades and the same for ever.

    The first 8 bytes, big-endian, of ``BLAKE2b-64("leverloop.holdout|" + trade_id in UTF-8)``. It depends
    on the trade alone, so that all its actions share an arm; and a larger share only adds trades.

    Examples
    --------
    >>> draw("t000001") == int.from_bytes(blake2b(b"leverloop.holdout|t000001", digest_size=8).digest(), "big")
    True
    """
    return int.from_bytes(blake2b(_SALT + trade_id.encode(), digest_size=8).digest(), "big")
