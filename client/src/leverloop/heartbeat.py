"""Heartbeat: a small record that says that a snapshot still stands; silence means trouble (spec section 11)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from leverloop.errors import BadInput
from leverloop.patterns import Module

__all__ = ["Heartbeat", "decode_heartbeat", "encode_heartbeat", "heartbeat_key"]

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, rename={"content_hash": "hash"}):
    """What stands, and until when; on the topic of the snapshots, under the key of `heartbeat_key`.

    Examples
    --------
    >>> encode_heartbeat(Heartbeat(version=7, content_hash="ab", valid_until_ms=1_760_000_060_000))
    b'{"version":7,"hash":"ab","valid_until_ms":1760000060000}'
    """

    version: Count
    content_hash: str
    """``hash`` in its record: the content hash of the snapshot of that version."""
    valid_until_ms: Count


_DECODER: Final = msgspec.json.Decoder(Heartbeat)


def heartbeat_key(module: Module) -> str:
    """Key of a module's heartbeats.

    Examples
    --------
    >>> heartbeat_key("pm")
    'pm/heartbeat'
    """
    return f"{module}/heartbeat"


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """JSON of a heartbeat: the value of its record."""
    return msgspec.json.encode(heartbeat)


def decode_heartbeat(raw: bytes) -> Heartbeat:
    """Return the heartbeat of a record.

    Raises
    ------
    BadInput
        For anything else.

    Examples
    --------
    >>> decode_heartbeat(b'{"version": 7, "hash": "ab", "valid_until_ms": 1760000060000}').content_hash
    'ab'
    """
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput("heartbeat", f"a version, a hash and valid_until_ms ({error})", raw[:64]) from error
