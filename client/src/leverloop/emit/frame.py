"""How an event stands in a file of the buffer: one frame, which says itself whether it is whole.

1. ``magic (4) · CRC-32 (4) · length (4) · number (8) · kind (1) · length of the key (2) · key · value``, big-endian;
   the length is that of the whole frame, the checksum covers everything behind itself.
2. A frame that was cut off or damaged fails its checksum and is skipped: reading goes on at the next magic whose
   frame is whole. 0xFF, the first byte of the magic, occurs in no UTF-8 text, so in no key and no value.
3. Numbers rise; a frame whose number does not is none of ours.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from leverloop.events import MAX_EVENT_BYTES

__all__ = ["ACTION", "MAX_FRAME_BYTES", "TRADE", "Frame", "Frames", "parse_frames", "written"]

ACTION: Final = 1
TRADE: Final = 2

_MAGIC: Final = b"\xffLV1"
_BODY: Final = struct.Struct(">IQBH")
_HEAD: Final = struct.Struct(">4sIIQBH")
_CRC: Final = struct.Struct(">I")
_CHECKED_FROM: Final = 8  # the checksum covers what follows magic and itself
MAX_FRAME_BYTES: Final = _HEAD.size + 0xFFFF + MAX_EVENT_BYTES


class Frame(NamedTuple):
    """An event in the buffer."""

    number: int
    """Place in the order of logging."""
    kind: int
    """`ACTION` or `TRADE`; the topic is looked up when it is sent."""
    key: bytes
    value: bytes


class Frames(NamedTuple):
    """What was found in a piece of a file."""

    frames: list[Frame]
    consumed_bytes: int
    """Where the next piece begins; less than the piece if its last frame goes on behind it."""
    damaged_bytes: int
    """How many of the consumed bytes are no frames."""


def written(frame: Frame) -> bytes:
    """Bytes of a frame.

    Examples
    --------
    >>> frame = Frame(7, ACTION, b"t1", b"{}")
    >>> parse_frames(written(frame) + written(frame._replace(number=8))[:-1], final=True)
    Frames(frames=[Frame(number=7, kind=1, key=b't1', value=b'{}')], consumed_bytes=53, damaged_bytes=26)
    """
    length = _HEAD.size + len(frame.key) + len(frame.value)
    body = _BODY.pack(length, frame.number, frame.kind, len(frame.key)) + frame.key + frame.value
    return _MAGIC + _CRC.pack(zlib.crc32(body)) + body


def parse_frames(data: bytes, *, final: bool, above: int = -1) -> Frames:
    """Return every whole frame of a piece of a file.

    Parameters
    ----------
    data
        The piece.
    final
        Nothing follows it: a frame that is cut off at its end is damaged. Otherwise it is left for the next piece.
    above
        Only numbers above this one are ours.
    """
    frames: list[Frame] = []
    at = damaged = 0
    while at < len(data):
        frame = _frame_at(data, at, above)
        if frame is not None:
            frames.append(frame)
            above = frame.number
            at += _HEAD.size + len(frame.key) + len(frame.value)
            continue
        if not final and len(data) - at < MAX_FRAME_BYTES:
            break
        found = data.find(_MAGIC, at + 1)
        until = found if found >= 0 else len(data) if final else len(data) - len(_MAGIC) + 1
        damaged += until - at
        at = until
    return Frames(frames, at, damaged)


def _frame_at(data: bytes, at: int, above: int) -> Frame | None:
    if len(data) - at < _HEAD.size:
        return None
    magic, crc, length, number, kind, key_bytes = _HEAD.unpack_from(data, at)
    end, key_at = at + length, at + _HEAD.size
    if magic != _MAGIC or number <= above or end > len(data) or end < key_at + key_bytes:
        return None
    if zlib.crc32(data[at + _CHECKED_FROM : end]) != crc:
        return None
    return Frame(number, kind, data[key_at : key_at + key_bytes], data[key_at + key_bytes : end])
