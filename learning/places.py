"""A place: a group and a scope as bytes, made to be read ten million times (spec sections 2 and 3).

Layout, little-endian: u16 length of the group's name, the name, u8 number of dimensions, then for each
dimension, by ascending bit: u8 bit, u16 length of the value, the value. A value is ``s`` and its text, or
``i`` and its decimal digits, so that 1 and "1" differ. A dimension is known by its bit, which never
changes its meaning; equal groups and scopes are equal bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache

from leverloop.scope import ScopeSchema, ScopeValue

__all__ = [
    "Place",
    "group_of_place",
    "place_of",
    "scope_of_place",
    "token_of",
    "tokens_of_place",
    "value_of_token",
]

Place = bytes

_U16 = struct.Struct("<H")
_HEAD = struct.Struct("<BH")


def place_of(group: str, scope: Mapping[str, ScopeValue], schema: ScopeSchema) -> Place:
    """Return the bytes of a group and a scope; dimensions that the schema does not know are left out.

    Examples
    --------
    >>> from leverloop.scope import DEFAULT_SCHEMA
    >>> place = place_of("pm.up.S1.a|add", {"bucket": "micro", "bucket_rank_position": 2}, DEFAULT_SCHEMA)
    >>> group_of_place(place), scope_of_place(place)
    ('pm.up.S1.a|add', [(4, 2), (6, 'micro')])
    """
    pinned = []
    for name, value in scope.items():
        dimension = schema.dimension(name)
        if dimension is not None:
            pinned.append(_pinned(dimension.bit, value))
    pinned.sort()
    return _named(group) + bytes((len(pinned),)) + b"".join(pinned)


def token_of(value: ScopeValue) -> bytes:
    """Bytes of a value.

    Examples
    --------
    >>> token_of(1), token_of("1")
    (b'i1', b's1')
    """
    return b"i%d" % value if isinstance(value, int) else b"s" + value.encode()


@lru_cache(maxsize=4096, typed=True)  # closed vocabularies, and the free text of the day
def _pinned(bit: int, value: ScopeValue) -> bytes:
    token = token_of(value)
    return _HEAD.pack(bit, len(token)) + token


@lru_cache(maxsize=4096)
def _named(group: str) -> bytes:
    name = group.encode()
    return _U16.pack(len(name)) + name


def group_of_place(place: Place) -> str:
    """Group of a place."""
    return place[2 : 2 + _U16.unpack_from(place)[0]].decode()


def scope_of_place(place: Place) -> list[tuple[int, ScopeValue]]:
    """(bit, value) of every dimension that a place pins."""
    return [(bit, value_of_token(token)) for bit, token in tokens_of_place(place)]


def tokens_of_place(place: Place) -> Iterator[tuple[int, bytes]]:
    """(bit, coded value) of every dimension that a place pins."""
    at = 2 + _U16.unpack_from(place)[0]
    count = place[at]
    at += 1
    for _ in range(count):
        bit, length = _HEAD.unpack_from(place, at)
        at += _HEAD.size
        yield bit, place[at : at + length]
        at += length


def value_of_token(token: bytes) -> ScopeValue:
    """Value of its bytes.

    Examples
    --------
    >>> value_of_token(b"i1"), value_of_token(b"s1")
    (1, '1')
    """
    return int(token[1:]) if token[:1] == b"i" else token[1:].decode()
