"""Bytes in a buffer, eight at a time, for compiled code: hashing and comparing what is read by the million.

Indices are unsigned, and words put together from bytes: the compiler makes one load of that, and no test for a
negative index. The hash is for tables in memory only, where every byte is compared after it.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

__all__ = ["are_equal", "hash_of", "word_at"]

_EIGHT: Final = np.uint64(8)
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_POSITIVE: Final = np.uint64(0x7FFFFFFFFFFFFFFF)


@numba.njit(cache=True, nogil=True, inline="always")
def word_at(buffer: Any, at: Any) -> Any:
    """Eight bytes from an unsigned index on, as a little-endian number."""
    return (
        np.uint64(buffer[at])
        | np.uint64(buffer[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(buffer[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(buffer[at + np.uint64(3)]) << np.uint64(24)
        | np.uint64(buffer[at + np.uint64(4)]) << np.uint64(32)
        | np.uint64(buffer[at + np.uint64(5)]) << np.uint64(40)
        | np.uint64(buffer[at + np.uint64(6)]) << np.uint64(48)
        | np.uint64(buffer[at + np.uint64(7)]) << np.uint64(56)
    )


@numba.njit(cache=True, nogil=True, inline="always")
def _last_word(buffer: Any, at: Any, left: Any) -> Any:
    """Fewer than eight bytes as a number: those behind them are read too where there are any, and cut off."""
    word = np.uint64(0)
    if at + _EIGHT <= np.uint64(len(buffer)):
        word = word_at(buffer, at) & ((_ONE << (left * _EIGHT)) - _ONE)
    else:
        for i in range(left):
            word |= np.uint64(buffer[at + np.uint64(i)]) << (np.uint64(i) * _EIGHT)
    return word


@numba.njit(cache=True, nogil=True, inline="always")
def hash_of(buffer: Any, begin: int, length: int) -> Any:
    """Hash of some bytes, from 0 to 2**63 - 1: multiply and shift, a word at a time.

    Examples
    --------
    >>> text = np.frombuffer(b"abcdefghi abcdefghi", dtype=np.uint8)
    >>> hash_of(text, 0, 9) == hash_of(text, 10, 9), hash_of(text, 0, 9) == hash_of(text, 1, 9)
    (True, False)
    """
    at, left = np.uint64(begin), np.uint64(length)
    found = left * _PRIME
    while left >= _EIGHT:
        found = (found ^ word_at(buffer, at)) * _PRIME
        found ^= found >> _HALF
        at, left = at + _EIGHT, left - _EIGHT
    found = (found ^ _last_word(buffer, at, left)) * _PRIME
    return np.int64((found ^ found >> _HALF) & _POSITIVE)


@numba.njit(cache=True, nogil=True, inline="always")
def are_equal(one: Any, first: int, other: Any, second: int, length: int) -> Any:
    """Whether two stretches of bytes are the same.

    Examples
    --------
    >>> text = np.frombuffer(b"abcdefghi abcdefghi", dtype=np.uint8)
    >>> are_equal(text, 0, text, 10, 9), are_equal(text, 0, text, 1, 9)
    (True, False)
    """
    a, b, left = np.uint64(first), np.uint64(second), np.uint64(length)
    while left >= _EIGHT and word_at(one, a) == word_at(other, b):
        a, b, left = a + _EIGHT, b + _EIGHT, left - _EIGHT
    return left < _EIGHT and _last_word(one, a, left) == _last_word(other, b, left)
