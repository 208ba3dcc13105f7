"""Many packed rows at once: where their sections stand in one buffer, found by compiled code.

A recovery reads millions of rows; to cut each into its sections in Python would take most of its time,
and would hold up the thread that reads the next ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Self

import numba
import numpy as np
import numpy.typing as npt

from learning.octets import are_equal, hash_of
from learning.rows import FIXED, LENGTHS, Row, packed

__all__ = ["Joined", "PackedRows"]

_FIXED_BYTES: Final = FIXED.itemsize
_LENGTHS_BYTES: Final = LENGTHS.size


class Joined(NamedTuple):
    """Byte strings one behind the other.

    Examples
    --------
    >>> Joined.of([b"ab", b"c"])
    Joined(text=b'abc', begins=array([0, 2]), ends=array([2, 3]))
    """

    text: bytes
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[bytes]) -> Self:
        """Join them."""
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        ends = np.cumsum(lengths)
        return cls(b"".join(parts), ends - lengths, ends)

    @property
    def buffer(self) -> npt.NDArray[np.uint8]:
        """The text as an array; a view."""
        return np.frombuffer(self.text, dtype=np.uint8)

    def taken(self, parts: npt.NDArray[np.int64]) -> Self:
        """Some of them, of the same text."""
        return self._replace(begins=self.begins[parts], ends=self.ends[parts])

    def part(self, at: int) -> bytes:
        """One of them."""
        return self.text[self.begins[at] : self.ends[at]]

    def gathered(self) -> npt.NDArray[np.uint8]:
        """Their bytes, and nothing between them."""
        return _gathered(self.buffer, self.begins, self.ends)

    def numbered(self) -> tuple[npt.NDArray[np.int64], list[bytes]]:
        """Number of each, equal for equal ones, in the order of first sight; and what each number stands for.

        Examples
        --------
        >>> numbers, distinct = Joined.of([b"x", b"", b"x"]).numbered()
        >>> numbers.tolist(), distinct
        ([0, 1, 0], [b'x', b''])
        """
        numbers, firsts = _numbered(self.buffer, self.begins, self.ends)
        return numbers, [self.part(at) for at in firsts.tolist()]


class PackedRows:
    """Packed rows (`learning.rows.packed`) in one buffer, with their ids in another.

    Parameters
    ----------
    ids
        Outcome ids.
    rows
        Their packed rows.
    skip
        Bytes in front of each that are not the row's.

    Examples
    --------
    >>> from learning.places import place_of
    >>> from leverloop.scope import DEFAULT_SCHEMA
    >>> row = Row(b"a", bytes(FIXED.itemsize), place_of("pm.up.S1.a|add", {}, DEFAULT_SCHEMA), b"", b"", bytes(8))
    >>> rows = PackedRows.of([row])
    >>> rows.row(0) == row, rows.values.gathered().view("<f4").tolist()
    (True, [0.0, 0.0])
    """

    def __init__(self, ids: Joined, rows: Joined, skip: int = 0) -> None:
        self.ids = ids
        self._text = rows.text
        self._at: npt.NDArray[np.int64] = _sections(rows.buffer, rows.begins, rows.ends, skip)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Pack rows."""
        return cls(Joined.of([row.outcome_id for row in rows]), Joined.of([packed(row) for row in rows]))

    def __len__(self) -> int:
        return self._at.shape[1]

    @property
    def fixed(self) -> npt.NDArray[Any]:
        """Numbers of every row: (n_rows,) of `FIXED`."""
        return self._section(0).gathered().view(FIXED)

    @property
    def places(self) -> Joined:
        """Place of every row."""
        return self._section(1)

    @property
    def companions(self) -> Joined:
        """Companions of every row."""
        return self._section(2)

    @property
    def names(self) -> Joined:
        """Names of every row's measures, packed."""
        return self._section(3)

    @property
    def values(self) -> Joined:
        """Values of every row's measures, packed."""
        return self._section(4)

    def taken(self, rows: npt.NDArray[np.int64]) -> PackedRows:
        """Some of the rows, in the same buffer."""
        some = object.__new__(PackedRows)
        some.ids, some._text, some._at = self.ids.taken(rows), self._text, self._at[:, rows]
        return some

    def by_group(self) -> Iterator[tuple[str, PackedRows]]:
        """Rows of each group, in their order."""
        begins = self._at[1]
        numbers, names = Joined(self._text, begins, _behind_name(self.places.buffer, begins)).numbered()
        order = np.argsort(numbers, kind="stable")
        bounds = np.searchsorted(numbers[order], np.arange(len(names) + 1)).tolist()
        for name, (begin, end) in zip(names, pairwise(bounds), strict=True):
            yield name[2:].decode(), self.taken(order[begin:end])

    def row(self, at: int) -> Row:
        """One of them."""
        begins = self._at[:, at].tolist()
        text = self._text
        return Row(self.ids.part(at), *(text[a:b] for a, b in pairwise(begins)))

    def _section(self, section: int) -> Joined:
        return Joined(self._text, self._at[section], self._at[section + 1])


@numba.njit(cache=True, nogil=True)
def _sections(buffer: Any, begins: Any, ends: Any, skip: int) -> Any:
    """Where fixed numbers, place, companions, names and values of each row begin, and its end."""
    at = np.empty((6, len(ends)), dtype=np.int64)
    for row in range(len(ends)):
        head = begins[row] + skip
        at[0, row] = head + _LENGTHS_BYTES
        at[1, row] = at[0, row] + _FIXED_BYTES
        at[2, row] = at[1, row] + (np.int64(buffer[head]) | np.int64(buffer[head + 1]) << 8)
        for section in range(2):
            place = head + 2 + 4 * section
            length = np.int64(0)
            for byte in range(4):
                length |= np.int64(buffer[place + byte]) << (8 * byte)
            at[3 + section, row] = at[2 + section, row] + length
        at[5, row] = ends[row]
    return at


@numba.njit(cache=True, nogil=True)
def _behind_name(buffer: Any, begins: Any) -> Any:
    """Where the group's name at the beginning of each place ends."""
    ends = np.empty(len(begins), dtype=np.int64)
    for row in range(len(begins)):
        at = begins[row]
        ends[row] = at + 2 + (np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8)
    return ends


@numba.njit(cache=True, nogil=True)
def _gathered(buffer: Any, begins: Any, ends: Any) -> Any:
    out = np.empty((ends - begins).sum(), dtype=np.uint8)
    used = 0
    for row in range(len(begins)):
        for i in range(begins[row], ends[row]):
            out[used] = buffer[i]
            used += 1
    return out


@numba.njit(cache=True, nogil=True)
def _numbered(buffer: Any, begins: Any, ends: Any) -> Any:
    """Number parts by their content: a hash table, and a look at every byte where hashes are equal."""
    n, size = len(begins), 16
    while size < 2 * n:
        size *= 2
    slots = np.full(size, -1, dtype=np.int64)
    numbers, firsts, hashes = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    count = 0
    for part in range(n):
        begin, length = begins[part], ends[part] - begins[part]
        wanted = hash_of(buffer, begin, length)
        slot = wanted & (size - 1)
        while slots[slot] >= 0:
            first = firsts[slots[slot]]
            alike = hashes[slots[slot]] == wanted and ends[first] - begins[first] == length
            if alike and are_equal(buffer, begin, buffer, begins[first], length):
                break
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot], firsts[count], hashes[count] = count, part, wanted
            count += 1
        numbers[part] = slots[slot]
    return numbers, firsts[:count].copy()
