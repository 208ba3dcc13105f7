"""A snapshot's bytes, cut between overrides: decoded in one go, 20,000 of them would stop all threads for 50 ms.

Nothing here understands JSON. It looks for the marks that a publisher's compact encoding has between two
overrides, and whoever decodes the pieces finds out: a cut inside a string or an object leaves a piece that is
no JSON, and then the bytes are decoded in one go after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

__all__ = ["Pieces", "cut"]

_PIECE_BYTES: Final = 32 * 1024
"""50 overrides, a tenth of a millisecond; twice that would do, half would cost more in calls."""
_BETWEEN: Final = b"},{"
_END: Final = b"}]"


class Pieces(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cut bytes: what stands around the lists, which are empty in it, and where the pieces of each list are."""

    envelope: bytes
    spans: tuple[tuple[tuple[int, int], ...], ...]
    """For each list its pieces, from a first byte to behind a last: overrides parted by commas."""


def cut(raw: bytes, names: Sequence[str]) -> Pieces | None:
    """Cut the lists of these names, which stand in this order; None where the bytes are not laid out so.

    Examples
    --------
    >>> raw = b'{"a":[],"b":[{"x":1},{"x":2}],"c":3}'
    >>> pieces = cut(raw, ["a", "b"])
    >>> pieces.envelope, [raw[start:end] for spans in pieces.spans for start, end in spans]
    (b'{"a":[],"b":[],"c":3}', [b'{"x":1},{"x":2}'])
    >>> cut(raw, ["b", "a"])
    """
    starts: list[int] = []
    place = 0
    for name in names:
        mark = f'"{name}":['.encode()
        at = _find(raw, mark, place)
        if at < 0:
            return None
        place = at + len(mark)
        starts.append(place)
    outside: list[bytes] = []
    found: list[tuple[tuple[int, int], ...]] = []
    place = 0
    for start, limit in zip(starts, [*starts[1:], len(raw)], strict=True):
        spans = _spans(raw, start, limit)
        if spans is None:
            return None
        outside.append(raw[place:start])
        place = spans[-1][1] if spans else start
        found.append(spans)
    envelope = b"".join([*outside, raw[place:]])
    if any(envelope.count(f'"{name}":'.encode()) != 1 for name in names):  # JSON's last of two would count
        return None
    return Pieces(envelope=envelope, spans=tuple(found))


def _find(raw: bytes, mark: bytes, start: int) -> int:
    """`bytes.find` that lets other threads run every few kilobytes."""
    for low in range(start, len(raw), _PIECE_BYTES):
        at = raw.find(mark, low, low + _PIECE_BYTES + len(mark) - 1)
        if at >= 0:
            return at
    return -1


def _spans(raw: bytes, start: int, limit: int) -> tuple[tuple[int, int], ...] | None:
    """Pieces of the list whose first byte this is, and which ends before the limit."""
    if raw.startswith(b"]", start):
        return ()
    end = raw.rfind(_END, max(start, limit - _PIECE_BYTES), limit) + 1
    if not end:
        return None
    spans: list[tuple[int, int]] = []
    while end - start > _PIECE_BYTES:
        between = raw.find(_BETWEEN, start + _PIECE_BYTES, min(end, start + 2 * _PIECE_BYTES))
        if between < 0:
            break
        spans.append((start, between + 1))
        start = between + 2
    return (*spans, (start, end))
