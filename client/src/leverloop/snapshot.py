"""Override snapshots: everything learned that is to be applied, as one complete record (spec section 11)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Annotated, Final, Literal

import msgspec

from leverloop.diagnosis import check_finite
from leverloop.errors import BadInput
from leverloop.levers import ANY_SIGNAL, CAPITAL_LEVERS, EXECUTION_LEVERS, LEVERS
from leverloop.patterns import ActionCategory, Module, canonical_pattern_key
from leverloop.piecewise import cut
from leverloop.scope import ScopeValue, scope_hash

__all__ = [
    "Flags",
    "LessonRef",
    "OperatorCommand",
    "Override",
    "OverrideStats",
    "OverrideType",
    "Snapshot",
    "content_hash",
    "decode_snapshot",
    "encode_snapshot",
    "in_order",
    "override_id",
    "read_snapshot",
    "sealed",
    "validate",
]

OverrideType = Literal["pm_strength", "pm_tuning", "dm_alloc"]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # what JSON readers of every language keep exactly
NonNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Unit = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

_LEVERS_OF_TYPE: Final[dict[OverrideType, frozenset[str]]] = {
    "pm_strength": CAPITAL_LEVERS - {"alloc_mult"},
    "pm_tuning": EXECUTION_LEVERS,
    "dm_alloc": frozenset({"alloc_mult"}),
}


class OverrideStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the blend weighs an override by; `updated_at_ms` is the event time of its last evidence."""

    edge_raw: float
    n: Count
    variance: NonNegative
    half_life_days: Positive
    updated_at_ms: Count


class LessonRef(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The lesson behind an override."""

    id: str
    strength: Unit
    decay_halflife_hours: Positive
    factor_id: str | None = None
    enabled: bool = True
    created_at_ms: Count


class Override(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Levers for every action of a group whose live scope contains the override's scope."""

    type: OverrideType
    pattern_key: str
    action_category: ActionCategory
    scope: dict[str, ScopeValue]
    levers: dict[str, float]
    """Lever name of spec section 8 (``size_mult``, ``phase_scaling.S1``, ...) -> value."""
    stats: OverrideStats
    lesson: LessonRef
    signals: dict[str, str] = {}
    """Lever name -> the signal that it bounds, where the name does not say it (``wait_for_signal``)."""


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """Switches of a module's overrides, for all levers and for each kind; a lever needs both.

    Regimes are macro phases. An empty list means all; a list that is not leaves out a scope without that
    dimension.
    """

    learning_overrides_enabled: bool = True
    learning_overrides_enabled_regimes: tuple[str, ...] = ()
    learning_overrides_enabled_buckets: tuple[str, ...] = ()
    capital_levers_enabled: bool = True
    capital_levers_enabled_regimes: tuple[str, ...] = ()
    capital_levers_enabled_buckets: tuple[str, ...] = ()
    execution_levers_enabled: bool = True
    execution_levers_enabled_regimes: tuple[str, ...] = ()
    execution_levers_enabled_buckets: tuple[str, ...] = ()


class OperatorCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's command that made a snapshot: what, who, why, when, and whose content it has."""

    command: str
    id: str
    who: str
    why: str
    at_ms: Count
    of_version: Count | None = None
    """The version that was pinned, or rolled back to."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One complete set of overrides of a module, with where it comes from and how long it holds."""

    schema_version: Literal[1] = 1
    module: Module
    version: Count
    parent_version: Count | None = None
    epoch_at_ms: Count
    published_at_ms: Count
    valid_until_ms: Count
    engine_version: str
    config_hash: str
    input_offsets: dict[str, Count] = {}
    """``topic/partition`` -> next offset that the snapshot has not seen."""
    content_hash: str = ""
    flags: Flags = Flags()
    pattern_strength_overrides: tuple[Override, ...] = ()
    pattern_overrides: tuple[Override, ...] = ()
    alloc_overrides: tuple[Override, ...] = ()
    coefficients: dict[str, dict[str, float]] = {}
    command: OperatorCommand | None = None
    """None: made by an epoch. No part of the content hash."""

    def overrides(self) -> Iterator[Override]:
        """Every override of the snapshot."""
        yield from self.pattern_strength_overrides
        yield from self.pattern_overrides
        yield from self.alloc_overrides


_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Snapshot)
_OVERRIDES_DECODER: Final = msgspec.json.Decoder(list[Override])
_LISTS: Final[dict[str, OverrideType]] = {
    "alloc_overrides": "dm_alloc", "pattern_overrides": "pm_tuning", "pattern_strength_overrides": "pm_strength",
}  # fmt: skip
"""Field -> type of the overrides in it; in the order of JSON with sorted keys."""
_HASH_CHARS: Final = 32
_SORTED_AT_ONCE: Final = 1_000  # a sixth of a millisecond
_HASHED_AT_ONCE: Final = 64  # 40 KB: hashing them releases the interpreter, hashing one would not


def override_id(override: Override) -> str:
    """Key of an override: type, pattern, category and scope; no two overrides of a snapshot share it.

    Examples
    --------
    >>> stats = OverrideStats(edge_raw=0.5, n=40, variance=1.0, half_life_days=30.0, updated_at_ms=0)
    >>> lesson = LessonRef(id="ls_1", strength=0.5, decay_halflife_hours=720.0, created_at_ms=0)
    >>> override_id(Override(type="pm_strength", pattern_key="pm.uptrend.S1.buy_flag", action_category="entry",
    ...     scope={"bucket": "micro"}, levers={"size_mult": 1.1}, stats=stats, lesson=lesson))[:41]
    'pm_strength|pm.uptrend.S1.buy_flag|entry|'
    """
    return f"{override.type}|{override.pattern_key}|{override.action_category}|{scope_hash(override.scope)}"


def content_hash(snapshot: Snapshot, encoded: dict[str, bytes] | None = None) -> str:
    """Hash over what is applied: epoch, flags, overrides, coefficients, configuration (spec section 11).

    Parameters
    ----------
    snapshot
        What is applied.
    encoded
        JSON of each override with its id, by id, where that is known already; it is empty afterwards.

    Notes
    -----
    It is the hash of one JSON array, which is never made as a whole: other threads get their turn.
    """
    if encoded is None:
        encoded = {key: _ENCODER.encode((key, o)) for key, o in ((override_id(o), o) for o in snapshot.overrides())}
    head = _ENCODER.encode((snapshot.module, snapshot.epoch_at_ms, snapshot.flags))
    digest = hashlib.blake2b(head[:-1] + b",[", digest_size=16)
    comma, ordered = b"", in_order(encoded)
    while batch := [encoded.pop(key) for key in islice(ordered, _HASHED_AT_ONCE)]:
        digest.update(comma + b",".join(batch))
        comma = b","
    digest.update(b"]," + _ENCODER.encode((snapshot.coefficients, snapshot.config_hash))[1:])
    return digest.hexdigest()


def in_order(ids: Collection[str], tail_chars: int = _HASH_CHARS) -> Iterator[str]:
    """Ids of overrides, sorted a thousand at a time: parted by group first, then by digits of the hash.

    Examples
    --------
    >>> list(in_order(["b", "a"]))
    ['a', 'b']
    """
    if len(ids) <= _SORTED_AT_ONCE or not tail_chars:
        yield from sorted(ids)
        return
    parts: dict[str, dict[str, None]] = {}  # dicts: the garbage collector does not walk through ids in them
    for key in ids:
        parts.setdefault(key[:-tail_chars], {})[key] = None
    for part in sorted(parts):
        yield from in_order(parts[part], tail_chars - 2)


def sealed(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as its readers will see it, with its content hash filled in.

    Goes through JSON and back: a lever of ``1`` is read as ``1.0``, which has another hash.

    Raises
    ------
    BadInput
        For a snapshot that does not survive the way, such as one with NaN in it.
    """
    read = _decoded(encode_snapshot(snapshot))
    return msgspec.structs.replace(read, content_hash=content_hash(read))


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """JSON of a snapshot, keys sorted: the value of its record."""
    return _ENCODER.encode(snapshot)


def decode_snapshot(raw: bytes) -> Snapshot:
    """Return a validated snapshot; BadInput says why there is none to be had from these bytes."""
    return read_snapshot(raw)[0]


def read_snapshot(raw: bytes) -> tuple[Snapshot, dict[str, Override]]:
    """Return a validated snapshot and its overrides by id, or raise as `decode_snapshot` does.

    Decoded in pieces where the bytes are laid out as `encode_snapshot` does: no step keeps other threads
    waiting for longer than a fraction of a millisecond, however many overrides there are.
    """
    return _read_in_pieces(raw) or _validated(_decoded(raw))


def _read_in_pieces(raw: bytes) -> tuple[Snapshot, dict[str, Override]] | None:
    pieces = cut(raw, tuple(_LISTS))
    if pieces is None:
        return None
    try:
        envelope = _DECODER.decode(pieces.envelope)
        checked = _Checked(envelope.module)
        lists: dict[str, tuple[Override, ...]] = {}
        for name, spans in zip(_LISTS, pieces.spans, strict=True):
            listed: list[Override] = []
            for start, end in spans:
                piece = _OVERRIDES_DECODER.decode(b"[%b]" % raw[start:end])
                checked.take(_LISTS[name], piece)  # at once, while they are in the processor's cache
                listed += piece
            lists[name] = tuple(listed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # decoded in one go, the error names its place
    snapshot = msgspec.structs.replace(envelope, **lists)
    checked.seal(snapshot)
    return snapshot, checked.found


def _decoded(raw: bytes) -> Snapshot:
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput("snapshot", f"a snapshot of schema version 1 ({error})") from error


def validate(snapshot: Snapshot) -> dict[str, Override]:
    """Refuse a snapshot that must never be applied: BadInput names the override and the lever.

    Checks bounds and finiteness of every lever, levers against type and category, types against the list
    they stand in, duplicate keys, the module of every override, its numbers, and the content hash.

    Returns
    -------
    dict
        The overrides by id.

    Notes
    -----
    Source: spec sections 8 and 11.
    """
    return _validated(snapshot)[1]


def _validated(snapshot: Snapshot) -> tuple[Snapshot, dict[str, Override]]:
    checked = _Checked(snapshot.module)
    for name, listed in _LISTS.items():
        checked.take(listed, getattr(snapshot, name))
    checked.seal(snapshot)
    return snapshot, checked.found


class _Checked:
    """Overrides of a snapshot that were found good, by id, with the bytes that its hash is made of."""

    def __init__(self, module: Module) -> None:
        self.found: Final[dict[str, Override]] = {}
        self._encoded: Final[dict[str, bytes]] = {}
        self._module: Final[Module] = module
        self._canonical: Final[set[str]] = set()

    def take(self, listed: OverrideType, overrides: Iterable[Override]) -> None:
        """Check overrides of the list of a type."""
        for override in overrides:
            key = override_id(override)
            if override.type != listed:
                raise BadInput(key, f"the list of {override.type}", f"that of {listed}")
            if key in self.found:
                raise BadInput(key, "each override once", "a duplicate key")
            if override.pattern_key not in self._canonical:
                if canonical_pattern_key(override.pattern_key, self._module) != override.pattern_key:
                    raise BadInput(key, f"a canonical pattern key of module {self._module}", override.pattern_key)
                self._canonical.add(override.pattern_key)
            if not override.scope and listed != "pm_tuning":  # a lever's value is not relative to the group's others
                raise BadInput(key, "a scope with at least one dimension", override.scope)
            _validate_levers(key, override)
            _validate_numbers(key, override)
            self.found[key] = override
            self._encoded[key] = _ENCODER.encode((key, override))

    def seal(self, snapshot: Snapshot) -> None:
        """Check that the hash is that of what was taken."""
        expected = content_hash(snapshot, self._encoded)
        if snapshot.content_hash != expected:
            raise BadInput("content_hash", expected, snapshot.content_hash)


def _validate_numbers(key: str, override: Override) -> None:
    stats, lesson = override.stats, override.lesson
    numbers = stats.edge_raw + stats.variance + stats.half_life_days + lesson.strength + lesson.decay_halflife_hours
    if not math.isfinite(numbers):  # finite numbers may add up to infinity as well: that check lets them pass
        check_finite({key: msgspec.to_builtins((stats, lesson))})


def _validate_levers(key: str, override: Override) -> None:
    for name, value in override.levers.items():
        lever = LEVERS.get(name)
        if lever is None or name not in _LEVERS_OF_TYPE[override.type]:
            raise BadInput(f"{key}: {name}", f"a lever of {override.type}", value)
        if override.action_category not in lever.categories:
            raise BadInput(f"{key}: {name}", f"a category of {', '.join(lever.categories)}", override.action_category)
        if not lever.holds(value):
            raise BadInput(f"{key}: {name}", f"a number in {lever.low:g}..{lever.high:g}", value)
    for name in override.signals:
        if name not in override.levers or name not in ANY_SIGNAL:
            raise BadInput(f"{key}: signals", "levers of the override that bound any signal", name)
