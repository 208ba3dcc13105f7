"""An outcome as a row: what the columns hold of it, in sections of bytes (spec sections 3, 5 and 6).

The same sections stand in the changelog of the outcome table (`tables.outcomes`) and are read into
columns (`learning.cells`). A section that repeats, such as a scope, is read once and looked up after.

- fixed: the numbers that every statistic is counted from, as `FIXED` lays them out.
- place: group and scope (`learning.places`).
- names, values: controls and what other choices would have earned, by name, as 32-bit floats. Seven
  digits are more than such evidence has; rr itself is a whole number of 1e-5 R.
"""

from __future__ import annotations

import functools
import hashlib
import math
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from learning.outcome import Outcome
from learning.places import Place, place_of
from leverloop.events import Controls, Counterfactual
from leverloop.scope import ScopeSchema

__all__ = [
    "FIXED",
    "LENGTHS",
    "RR_SCALE",
    "Row",
    "hashed",
    "names_of",
    "numbers_of",
    "packed",
    "packed_names",
    "quantised",
    "row_of",
    "unpacked",
]

RR_SCALE: Final = 100_000
"""Units of rr in one R (spec section 6: 1e-5 R)."""

FIXED: Final = np.dtype(
    [
        ("trade", "<i8"),  # hash of the trade id: equal for equal trades, the same in every process
        ("action", "<i8"),  # hash of the action id
        ("action_at_ms", "<i8"),
        ("closed_at_ms", "<i8"),
        ("hold_ms", "<i8"),
        ("payback_ms", "<i8"),  # -1: never paid back
        ("counts_from_ms", "<i8"),  # the epoch from which the outcome counts
        ("rr_q", "<i4"),  # winsorised, in 1e-5 R
        ("first_of_trade", "?"),
        ("first_of_category", "?"),
        ("rr_capped", "?"),
    ]
)
"""Layout of the fixed section, little-endian and packed."""

LENGTHS: Final = struct.Struct("<HII")
"""Lengths of place, companions and names, in front of a packed row; the values take what is left."""

_FIXED: Final = struct.Struct("<7qi3?")
_NAME: Final = struct.Struct("<BH")
_LARGEST: Final = float(np.finfo(np.float32).max)


class Row(NamedTuple):
    """Sections of one outcome."""

    outcome_id: bytes
    fixed: bytes
    place: Place
    companions: bytes
    """Places of the trade's other actions, one after another."""
    names: bytes
    """See `packed_names`."""
    values: bytes
    """One little-endian 32-bit float for each name."""


def row_of(outcome: Outcome, counts_from_ms: int, schema: ScopeSchema) -> Row:
    """Row of an outcome that counts from an epoch on.

    Examples
    --------
    >>> from leverloop.scope import DEFAULT_SCHEMA
    >>> outcome = Outcome(outcome_id="a", trade_id="t", group="pm.up.S1.a|add", module="pm", scope={}, symbol="X",
    ...     action_at_ms=2, opened_at_ms=1, closed_at_ms=3, rr=1.5, rr_raw=1.5, rr_capped=False, return_frac=0.25,
    ...     max_drawdown_frac=0.0, payback_ms=None, revision=0, first_of_trade=True, first_of_category=True,
    ...     controls=Controls())
    >>> row = row_of(outcome, 6, DEFAULT_SCHEMA)
    >>> row.outcome_id, names_of(row.names), len(row.fixed)
    (b'a', ('max_drawdown_frac', 'return_frac', 'rr_raw'), 63)
    """
    outcome_id = outcome.outcome_id.encode()
    fixed = _FIXED.pack(
        hashed(outcome.trade_id.encode()),
        hashed(outcome_id),
        outcome.action_at_ms,
        outcome.closed_at_ms,
        outcome.closed_at_ms - outcome.opened_at_ms,
        -1 if outcome.payback_ms is None else outcome.payback_ms,
        counts_from_ms,
        quantised(outcome.rr),
        outcome.first_of_trade,
        outcome.first_of_category,
        outcome.rr_capped,
    )
    measures = dict(sorted(_measures(outcome)))
    return Row(
        outcome_id=outcome_id,
        fixed=fixed,
        place=place_of(outcome.group, outcome.scope, schema),
        companions=b"".join([place_of(other.group, other.scope, schema) for other in outcome.companions]),
        names=packed_names(tuple(measures)),
        values=struct.pack(f"<{len(measures)}f", *(_single(value) for value in measures.values())),
    )


def quantised(rr: float) -> int:
    """Return rr in units of 1e-5 R.

    Examples
    --------
    >>> quantised(-1.234567)
    -123457
    """
    return round(rr * RR_SCALE)


def hashed(name: bytes) -> int:
    """64-bit hash of an id: two of a million ids are equal with a probability of 3e-8."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little", signed=True)


def packed(row: Row) -> bytes:
    """Sections of a row one behind the other: lengths of place, companions and names, then the sections.

    Examples
    --------
    >>> from leverloop.scope import DEFAULT_SCHEMA
    >>> row = Row(b"a", bytes(FIXED.itemsize), place_of("pm.up.S1.a|add", {}, DEFAULT_SCHEMA), b"", b"", b"")
    >>> unpacked(b"a", packed(row)) == row
    True
    """
    lengths = LENGTHS.pack(len(row.place), len(row.companions), len(row.names))
    return b"".join((lengths, row.fixed, row.place, row.companions, row.names, row.values))


def unpacked(outcome_id: bytes, sections: bytes) -> Row:
    """Row of its packed sections."""
    place, companions, names = LENGTHS.unpack_from(sections)
    place_at = LENGTHS.size + FIXED.itemsize
    companions_at = place_at + place
    names_at = companions_at + companions
    values_at = names_at + names
    return Row(
        outcome_id,
        sections[LENGTHS.size : place_at],
        sections[place_at:companions_at],
        sections[companions_at:names_at],
        sections[names_at:values_at],
        sections[values_at:],
    )


def numbers_of(row: Row) -> tuple[Any, ...]:
    """Numbers of a row's fixed section, in the order of `FIXED`."""
    return _FIXED.unpack(row.fixed)


@functools.lru_cache(maxsize=1024)
def packed_names(names: tuple[str, ...]) -> bytes:
    """Sorted names as bytes: of each, u8 how much it shares with the one before, u16 length of the rest, the rest.

    Examples
    --------
    >>> packed = packed_names(("signals.DX", "signals.EDX"))
    >>> len(packed), names_of(packed)
    (19, ('signals.DX', 'signals.EDX'))
    """
    packed, before = b"", b""
    for name in map(str.encode, names):
        shared = next((i for i, (a, b) in enumerate(zip(before, name[:255], strict=False)) if a != b), -1)
        shared = min(len(before), len(name), 255) if shared < 0 else shared
        packed += _NAME.pack(shared, len(name) - shared) + name[shared:]
        before = name
    return packed


def names_of(packed: bytes) -> tuple[str, ...]:
    """Names that were packed."""
    names, name, at = [], b"", 0
    while at < len(packed):
        shared, length = _NAME.unpack_from(packed, at)
        at += _NAME.size
        name = name[:shared] + packed[at : at + length]
        names.append(name.decode())
        at += length
    return tuple(names)


def _measures(outcome: Outcome) -> Iterator[tuple[str, float]]:
    yield "return_frac", outcome.return_frac
    yield "max_drawdown_frac", outcome.max_drawdown_frac
    if outcome.rr_raw is not None:
        yield "rr_raw", outcome.rr_raw
    yield from _of_controls(outcome.controls)
    if outcome.counterfactual is not None:
        yield from _of_counterfactual(outcome.counterfactual)


def _of_controls(controls: Controls) -> Iterator[tuple[str, float]]:
    for name, value in controls.signals.items():
        yield f"signals.{name}", value
    for name, knob in controls.applied_knobs.items():
        if isinstance(knob, dict):
            for part, value in knob.items():
                yield f"knobs.{name}.{part}", value
        else:
            yield f"knobs.{name}", knob


def _of_counterfactual(found: Counterfactual) -> Iterator[tuple[str, float]]:
    for name in ("missed_entry_rr", "best_entry_bars", "missed_exit_rr", "best_exit_bars"):
        value: Any = getattr(found, name)
        if value is not None:
            yield name, value
    for lever, deltas in found.deltas.items():
        for setting, delta in deltas.items():
            yield f"deltas.{lever}={setting}", delta


def _single(value: float) -> float:
    return math.copysign(min(abs(value), _LARGEST), value)
