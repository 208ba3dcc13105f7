"""Override snapshots: everything learned that is to be applied, as one complete record (spec section 11)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from leverloop.diagnosis import check_finite
from leverloop.errors import BadInput
from leverloop.levers import ANY_SIGNAL, CAPITAL_LEVERS, EXECUTION_LEVERS, LEVERS
from leverloop.patterns import ActionCategory, Module, canonical_pattern_key
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
    "override_id",
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


class OverrideStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the blend weighs an override by; `updated_at_ms` is the event time of its last evidence."""

    edge_raw: float
    n: Count
    variance: NonNegative
    half_life_days: Positive
    updated_at_ms: Count


class LessonRef(msgspec.Struct, frozen=True, kw_only=True):
    """The lesson behind an override."""

    id: str
    strength: Unit
    decay_halflife_hours: Positive
    factor_id: str | None = None
    enabled: bool = True
    created_at_ms: Count


class Override(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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


def content_hash(snapshot: Snapshot) -> str:
    """Hash over what is applied: epoch, flags, overrides, coefficients, configuration (spec section 11)."""
    applied = (
        snapshot.module,
        snapshot.epoch_at_ms,
        snapshot.flags,
        sorted(((override_id(o), o) for o in snapshot.overrides()), key=lambda pair: pair[0]),
        snapshot.coefficients,
        snapshot.config_hash,
    )
    return hashlib.blake2b(_ENCODER.encode(applied), digest_size=16).hexdigest()


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
    snapshot = _decoded(raw)
    validate(snapshot)
    return snapshot


def _decoded(raw: bytes) -> Snapshot:
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput("snapshot", f"a snapshot of schema version 1 ({error})") from error


def validate(snapshot: Snapshot) -> None:
    """Refuse a snapshot that must never be applied: BadInput names the override and the lever.

    Checks bounds and finiteness of every lever, levers against type and category, types against the list
    they stand in, duplicate keys, the module of every override, its numbers, and the content hash.

    Notes
    -----
    Source: spec sections 8 and 11.
    """
    seen: set[str] = set()
    for listed, override in _listed(snapshot):
        key = override_id(override)
        if override.type != listed:
            raise BadInput(key, f"the list of {override.type}", f"that of {listed}")
        if key in seen:
            raise BadInput(key, "each override once", "a duplicate key")
        seen.add(key)
        if canonical_pattern_key(override.pattern_key, snapshot.module) != override.pattern_key:
            raise BadInput(key, f"a canonical pattern key of module {snapshot.module}", override.pattern_key)
        if not override.scope and listed != "pm_tuning":  # a lever's value is not relative to the group's others
            raise BadInput(key, "a scope with at least one dimension", override.scope)
        _validate_levers(key, override)
        check_finite({key: msgspec.to_builtins((override.stats, override.lesson))})
    if snapshot.content_hash != content_hash(snapshot):
        raise BadInput("content_hash", content_hash(snapshot), snapshot.content_hash)


def _listed(snapshot: Snapshot) -> Iterator[tuple[OverrideType, Override]]:
    for override in snapshot.pattern_strength_overrides:
        yield "pm_strength", override
    for override in snapshot.pattern_overrides:
        yield "pm_tuning", override
    for override in snapshot.alloc_overrides:
        yield "dm_alloc", override


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
