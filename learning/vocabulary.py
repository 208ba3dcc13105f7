"""Codes for what scopes are made of: a dictionary per dimension, and one for groups (spec section 3).

A recovery reads millions of places; coding one value at a time in Python would take most of its time.
So the dictionaries stand in arrays as well, and a kernel codes whole batches. It stops at what it does
not know; Python adds that and lets it go on.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from learning.packing import Joined
from learning.places import Place, group_of_place, token_of, tokens_of_place, value_of_token
from learning.ragged import grown
from leverloop.scope import ScopeSchema, ScopeValue

__all__ = ["OTHER", "Vocabulary"]

OTHER: Final = 65_535
"""Code of every value of a dimension past the 65,534th (and of every group past that many)."""

_GROUP: Final = 255  # stands for a bit, in tokens that name a group
_BITS: Final = 32
_FIRST_TOKENS: Final = 64


class Vocabulary:
    """Codes of groups, from 0, and of the values of each dimension, from 1; 0 is a missing value.

    Parameters
    ----------
    schema
        Scope schema.

    Examples
    --------
    >>> from learning.places import place_of
    >>> from leverloop.scope import DEFAULT_SCHEMA
    >>> words = Vocabulary(DEFAULT_SCHEMA)
    >>> codes = words.coded_one(place_of("pm.up.S1.a|add", {"bucket": "micro"}, DEFAULT_SCHEMA))
    >>> codes.tolist(), words.values("bucket")
    ([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], ['micro'])
    """

    def __init__(self, schema: ScopeSchema) -> None:
        self.groups: list[str] = []
        self._schema = schema
        self._bit_of = {dimension.name: dimension.bit for dimension in schema.dimensions}
        self._code_of: dict[tuple[int, bytes], int] = {}
        self._values: list[list[ScopeValue]] = [[] for _ in range(_BITS)]
        self._full = np.zeros(_GROUP + 1, dtype=np.bool_)
        self._position = np.zeros((0, _BITS), dtype=np.int8)
        """Where a group keeps the code of each bit; -1 nowhere."""
        self._width = np.zeros(0, dtype=np.int64)
        self._arena = np.zeros(1024, dtype=np.uint8)
        self._tokens = np.zeros((_FIRST_TOKENS, 4), dtype=np.int64)
        """Of each token: its hash, where it begins in the arena, its length, its code."""
        self._slots = np.full(4 * _FIRST_TOKENS, -1, dtype=np.int32)
        self._count, self._used, self._size = 0, 0, 0

    @property
    def size(self) -> int:
        """Words of the largest dictionary: no code is larger."""
        return self._size

    @property
    def overflowed(self) -> bool:
        """Whether any dimension has more values than can be coded."""
        return bool(self._full.any())

    def values(self, name: str) -> list[ScopeValue]:
        """Values of a dimension in the order of their codes, from 1."""
        return self._values[self._bit_of[name]]

    def code(self, name: str, value: ScopeValue) -> int | None:
        """Code of a value, None if it has none."""
        return self._code_of.get((self._bit_of[name], token_of(value)))

    def group(self, group: str) -> int | None:
        """Code of a group, None if it has none."""
        return self._code_of.get((_GROUP, group.encode()))

    def dimensions(self, group: int) -> tuple[str, ...]:
        """Dimensions of a coded group, in the order of their codes."""
        module: Any = self.groups[group].partition(".")[0]
        return self._schema.modules[module].dimensions

    def coded_one(self, section: bytes) -> npt.NDArray[np.uint16]:
        """Codes of the places in a section of bytes: [group, a code per dimension of its module] for each."""
        return self.coded(Joined(section, np.zeros(1, dtype=np.int64), np.array([len(section)])))[0]

    def coded(self, sections: Joined) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Codes of the places in many sections, and how many codes each section came to.

        A section is any number of places. What was never seen gets the next code.
        """
        text, begins, ends = sections
        buffer = sections.buffer
        codes = np.zeros(32 + 16 * len(ends), dtype=np.uint16)
        widths = np.zeros(len(ends), dtype=np.int64)
        section, at, used = 0, -1, 0
        while True:
            codes, section, at, used = _coded(
                buffer,
                begins,
                ends,
                codes,
                widths,
                section,
                at,
                used,
                self._slots,
                self._tokens,
                self._arena,
                self._position,
                self._width,
                self._full,
            )
            if section == len(ends):
                return codes[:used], widths
            self._learn(text[at : ends[section]])

    def _learn(self, place: Place) -> None:
        group = group_of_place(place)
        if self._add(_GROUP, group.encode(), len(self.groups)):
            self.groups.append(group)
            self._settle(len(self.groups) - 1)
            self._full[_GROUP] = len(self.groups) >= OTHER
        for bit, token in tokens_of_place(place):
            values = self._values[bit]
            if self._add(bit, token, len(values) + 1):
                values.append(value_of_token(token))
                self._full[bit] = len(values) + 1 >= OTHER

    def _settle(self, group: int) -> None:
        """Lay out the codes of a new group."""
        names = self.dimensions(group)
        position = np.full((1, _BITS), -1, dtype=np.int8)
        for place, name in enumerate(names):
            position[0, self._bit_of[name]] = place
        self._position = np.concatenate([self._position, position])
        self._width = np.append(self._width, len(names) + 1)

    def _add(self, bit: int, token: bytes, code: int) -> bool:
        """Give a token a code, unless it has one or there are none left."""
        if code >= OTHER or (bit, token) in self._code_of:
            return False
        self._code_of[bit, token] = code
        self._size = max(self._size, code)
        if self._count == len(self._tokens):
            self._tokens = grown(self._tokens, 2 * self._count)
            self._slots = np.full(4 * len(self._tokens), -1, dtype=np.int32)
            _place_all(self._slots, self._tokens, 0, self._count)
        if self._used + len(token) > len(self._arena):
            self._arena = grown(self._arena, 2 * len(self._arena) + len(token))
        text = np.frombuffer(token, dtype=np.uint8)
        self._arena[self._used : self._used + len(token)] = text
        self._tokens[self._count] = (_hash(bit, text, 0, len(token)), self._used, len(token), code)
        _place_all(self._slots, self._tokens, self._count, self._count + 1)
        self._count += 1
        self._used += len(token)
        return True


@numba.njit(cache=True, nogil=True, inline="always")
def _hash(bit: int, text: Any, start: int, length: int) -> Any:
    """FNV-1a, 64 bits, of few bytes; where two tokens have the same, their bytes are compared."""
    found = np.uint64(14695981039346656037)
    found = (found ^ np.uint64(bit)) * np.uint64(1099511628211)
    for i in range(start, start + length):
        found = (found ^ np.uint64(text[i])) * np.uint64(1099511628211)
    return np.int64(found & np.uint64(0x7FFFFFFFFFFFFFFF))


@numba.njit(cache=True, nogil=True)
def _place_all(slots: Any, tokens: Any, first: int, last: int) -> None:
    """Enter tokens into the open-addressed table."""
    mask = len(slots) - 1
    for token in range(first, last):
        slot = tokens[token, 0] & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = token


@numba.njit(cache=True, nogil=True, inline="always")
def _look_up(bit: int, text: Any, start: int, length: int, slots: Any, tokens: Any, arena: Any) -> Any:
    """Code of a token, -1 if it has none."""
    mask = len(slots) - 1
    wanted = _hash(bit, text, start, length)
    slot = wanted & mask
    while slots[slot] >= 0:
        token = slots[slot]
        if tokens[token, 0] == wanted and tokens[token, 2] == length:
            same = True
            begin = tokens[token, 1]
            for i in range(length):
                same = same and arena[begin + i] == text[start + i]
            if same:
                return tokens[token, 3]
        slot = (slot + 1) & mask
    return -1


@numba.njit(cache=True, nogil=True)
def _coded(
    buffer: Any,
    begins: Any,
    ends: Any,
    codes: Any,
    widths: Any,
    section: Any,
    at: Any,
    used: Any,
    slots: Any,
    tokens: Any,
    arena: Any,
    position: Any,
    width: Any,
    full: Any,
) -> Any:
    """Code sections from one on; stop before a place that holds something unknown.

    Return the codes, which may be another array; the section that is next, or their number; where in the
    buffer it goes on, -1 at a section's beginning; and how many codes there are.
    """
    while section < len(ends):
        at = begins[section] if at < 0 else at
        while at < ends[section]:
            place = at
            length = np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8
            group = _look_up(_GROUP, buffer, at + 2, length, slots, tokens, arena)
            if group < 0 and not full[_GROUP]:
                return codes, section, place, used
            at += 2 + length
            count = buffer[at]
            at += 1
            more = width[group] if group >= 0 else 0
            if used + more > len(codes):
                codes = np.concatenate((codes, np.zeros(len(codes) + more, dtype=np.uint16)))
            codes[used : used + more] = 0
            if group >= 0:
                codes[used] = group
            for _ in range(count):
                bit = np.int64(buffer[at])
                length = np.int64(buffer[at + 1]) | np.int64(buffer[at + 2]) << 8
                if group >= 0 and position[group, bit] >= 0:
                    code = _look_up(bit, buffer, at + 3, length, slots, tokens, arena)
                    if code < 0 and not full[bit]:
                        return codes, section, place, used
                    codes[used + 1 + position[group, bit]] = OTHER if code < 0 else code
                at += 3 + length
            used += more
            widths[section] += more
        section += 1
        at = -1
    return codes, section, at, used
