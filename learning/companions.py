"""The other actions of each row's trade: which groups and scopes they lie in (spec sections 5 and 7).

A companion is coded as [group, code of each dimension of its module], a byte each as long as no
vocabulary has more than 255 words; a trade of four actions costs each of its rows about forty bytes.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from learning.places import place_of
from learning.ragged import Ragged
from learning.vocabulary import OTHER, Vocabulary
from leverloop.scope import Scope, ScopeSchema

__all__ = ["Companions"]

_SMALL: Final = 255


class Companions:
    """Companions of the rows of one group.

    Parameters
    ----------
    capacity
        Rows.
    schema
        Scope schema.
    words
        Codes of groups and values, the group's own among them.
    """

    def __init__(self, capacity: int, schema: ScopeSchema, words: Vocabulary) -> None:
        self.codes = Ragged(np.uint8, capacity)
        self._schema = schema
        self._words = words
        self._known_widths = np.zeros(0, dtype=np.int64)

    def put(self, row: int, codes: npt.NDArray[np.uint16]) -> None:
        """Set the companions of a row: the codes of their places, one after another."""
        self._widen_for_codes()
        self.codes.put(row, codes)

    def append(self, first: int, codes: npt.NDArray[np.uint16], lengths: npt.NDArray[np.int64]) -> None:
        """Set the companions of rows first, first + 1, ... that had none, and how many codes each has."""
        self._widen_for_codes()
        self.codes.append(first, codes, lengths)

    def met(self, group: str, scope: Scope, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which rows have a companion in a subset of a group: (n,) bool."""
        wanted = self._wanted(group, scope)
        if wanted is None:
            return np.zeros(len(rows), dtype=np.bool_)
        return _met(self.codes.data, self.codes.start[rows], self.codes.length[rows], self._widths(), wanted)

    def _widths(self) -> npt.NDArray[np.int64]:
        """Codes that a place of each group takes."""
        if len(self._known_widths) != len(self._words.groups):
            widths = [len(self._words.dimensions(group)) + 1 for group in range(len(self._words.groups))]
            self._known_widths = np.array(widths, dtype=np.int64)
        return self._known_widths

    def row(self, row: int) -> bytes:
        """Companions of a row as places again."""
        codes = self.codes.get(row).tolist()
        places = []
        at = 0
        while at < len(codes):
            group = codes[at]
            names = self._words.dimensions(group)
            scope = {
                name: self._words.values(name)[code - 1]
                for name, code in zip(names, codes[at + 1 : at + 1 + len(names)], strict=True)
                if 0 < code < OTHER
            }
            places.append(place_of(self._words.groups[group], scope, self._schema))
            at += len(names) + 1
        return b"".join(places)

    def _widen_for_codes(self) -> None:
        """Make room for codes past 255; most groups never see one."""
        if self._words.size > _SMALL and self.codes.data.dtype == np.uint8:
            self.codes.widen(np.uint16)

    def _wanted(self, group: str, scope: Scope) -> npt.NDArray[np.int64] | None:
        """Codes that a companion has to show, 0 where free; None if none can."""
        number = self._words.group(group)
        if number is None or not set(scope) <= set(self._words.dimensions(number)):
            return None
        codes = [self._words.code(name, scope[name]) if name in scope else 0 for name in self._words.dimensions(number)]
        return None if None in codes else np.array([number, *codes], dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def _met(data: Any, start: Any, length: Any, widths: Any, wanted: Any) -> Any:
    """Whether any companion of a row shows all codes wanted; wanted[0] is the group."""
    found = np.zeros(len(start), dtype=np.bool_)
    for row in range(len(start)):
        at = np.int64(start[row])
        end = at + length[row]
        while at < end and not found[row]:
            width = widths[data[at]]
            if data[at] == wanted[0]:
                hit = True
                for i in range(1, width):
                    hit = hit and (wanted[i] == 0 or data[at + i] == wanted[i])
                found[row] = hit
            at += width
    return found
