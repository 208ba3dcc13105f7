"""Scope: the context an action was taken in, as typed values of known dimensions (spec section 3)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from leverloop.errors import BadConfig, BadInput
from leverloop.patterns import MODULES, Module

__all__ = ["DEFAULT_SCHEMA", "Dimension", "ModuleScope", "Scope", "ScopeSchema", "ScopeValue", "scope_hash"]

ScopeValue = str | int
Scope = dict[str, ScopeValue]

_FREE_TEXT_CHARS: Final = 64
_MISSING: Final = frozenset({"", "Unknown", "unknown"})
_SCALARS: Final = (str, int)  # 1 and True are equal, and differ here
_LISTED_INTS: Final = 1_000
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")  # Postgres takes no NUL, logs and URLs none of them
_FIRST_USER_BIT: Final = 18
_LAST_BIT: Final = 30


class Dimension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dimension of the scope. Its bit is for ever: masks are stored."""

    bit: int
    name: str
    modules: tuple[Module, ...]
    values: tuple[str, ...] | None = None
    """Closed vocabulary; None for free text, or for an integer with bounds."""
    low: int | None = None
    high: int | None = None

    def check(self, value: Any) -> ScopeValue:
        """Return the value if it belongs to the dimension; BadInput names the dimension otherwise."""
        field = f"scope.{self.name}"
        if self.low is not None and self.high is not None:
            if type(value) is int and self.low <= value <= self.high:
                return value
            raise BadInput(field, f"an integer {self.low}..{self.high}", value)
        if not isinstance(value, str):
            raise BadInput(field, "a string", value)
        if self.values is None:
            if len(value) <= _FREE_TEXT_CHARS and not _CONTROL.search(value):
                return value
            raise BadInput(field, f"at most {_FREE_TEXT_CHARS} characters, none of them a control character", value)
        if value in self.values:
            return value
        raise BadInput(field, f"one of {', '.join(self.values)}", value)

    def listed(self) -> frozenset[ScopeValue]:
        """Values that `check` takes, and those that count as missing; of free text and of wide ranges only these."""
        if self.low is not None and self.high is not None and self.high - self.low < _LISTED_INTS:
            return _MISSING | frozenset(range(self.low, self.high + 1))
        return _MISSING | frozenset(self.values or ())


class ModuleScope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts for one module: which dimensions, how large a subset, which segment."""

    dimensions: tuple[str, ...]
    max_dims: int
    segment: tuple[str, str]


class ScopeSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The scope schema: dimensions with fixed bits, and what each module learns from.

    Examples
    --------
    >>> scope, ignored = DEFAULT_SCHEMA.normalise({"bucket": "micro", "chain": "sol", "x": 1, "A_mode": ""}, "pm")
    >>> scope, ignored
    ({'bucket': 'micro'}, ('chain', 'x'))
    >>> DEFAULT_SCHEMA.mask(scope)
    64
    """

    dimensions: tuple[Dimension, ...]
    modules: dict[Module, ModuleScope]

    def __post_init__(self) -> None:
        self.__dict__["_by_name"] = by_name = {dimension.name: dimension for dimension in self.dimensions}
        bits = [dimension.bit for dimension in self.dimensions]
        if len(by_name) != len(bits) or len(set(bits)) != len(bits):
            raise BadConfig("scope schema: a name or a bit is given twice")
        if bits and not 0 <= min(bits) <= max(bits) <= _LAST_BIT:
            raise BadConfig(f"scope schema: bits run from 0 to {_LAST_BIT}, found {sorted(bits)}")
        for module in self.modules.values():
            unknown = {*module.dimensions, *module.segment} - set(by_name)
            if unknown:
                raise BadConfig(f"scope schema: unknown dimensions {sorted(unknown)}")
            if module.max_dims < 1:
                raise BadConfig(f"scope schema: a subset has at least one dimension, max_dims is {module.max_dims}")
        self.__dict__["_counted"] = {
            name: {each: by_name[each] for each in module.dimensions} for name, module in self.modules.items()
        }
        self.__dict__["_listed"] = {
            name: {each: by_name[each].listed() for each in module.dimensions} for name, module in self.modules.items()
        }

    @classmethod
    def load(cls, path: Path) -> ScopeSchema:
        """Schema from a JSON file: the shipped dimensions must be there unchanged, yours take bits 18..30."""
        try:
            schema = msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadConfig(f"scope schema {path}: {error}") from error
        for shipped in DEFAULT_SCHEMA.dimensions:
            given = schema.dimension(shipped.name)
            if given is None or given.bit != shipped.bit:
                raise BadConfig(f"scope schema {path}: {shipped.name} must stay at bit {shipped.bit}")
        added = [d for d in schema.dimensions if DEFAULT_SCHEMA.dimension(d.name) is None]
        if any(d.bit < _FIRST_USER_BIT for d in added):
            raise BadConfig(f"scope schema {path}: new dimensions take bits {_FIRST_USER_BIT}..{_LAST_BIT}")
        return schema

    def dimension(self, name: str) -> Dimension | None:
        """Return the dimension of that name, or None."""
        return self.__dict__["_by_name"].get(name)  # type: ignore[no-any-return]

    def normalise(self, scope: Mapping[str, Any], module: Module) -> tuple[Scope, tuple[str, ...]]:
        """Typed scope of a module in bit order, and the names that were ignored.

        Raises
        ------
        BadInput
            For a value outside the dimension's vocabulary.
        """
        counted: dict[str, Dimension] = self.__dict__["_counted"][module]
        kept: list[tuple[int, str, ScopeValue]] = []
        ignored: list[str] = []
        for name, value in scope.items():
            dimension = counted.get(name)
            if dimension is None:
                ignored.append(name)
            elif value is not None and not (isinstance(value, str) and value in _MISSING):
                kept.append((dimension.bit, name, dimension.check(value)))
        return {name: value for _, name, value in sorted(kept)}, tuple(sorted(ignored))

    def ignored(self, scope: Mapping[str, Any], module: Module) -> tuple[str, ...]:
        """Names that `normalise` ignores, BadInput as there; fast where every value is one that can be listed."""
        listed: dict[str, frozenset[ScopeValue]] = self.__dict__["_listed"][module]
        for name, value in scope.items():
            if type(value) not in _SCALARS or value not in listed.get(name, ()):
                return self.normalise(scope, module)[1]
        return ()

    def mask(self, scope: Mapping[str, Any]) -> int:
        """Bit mask of the dimensions that a scope pins."""
        return sum(1 << d.bit for d in self.dimensions if d.name in scope)

    def ordered(self, scope: Mapping[str, ScopeValue]) -> Scope:
        """Return the scope with its dimensions in bit order."""
        return {d.name: scope[d.name] for d in self.dimensions if d.name in scope}


def scope_hash(scope: Mapping[str, ScopeValue]) -> str:
    """Stable hash of a scope subset: 32 hex digits over its canonical JSON, in bit order, values typed.

    Dimensions that a user has added stand behind the shipped ones, by name, so that whoever hashes
    need not know the user's schema.

    Notes
    -----
    Source: spec section 3 (1 and "1" differ).

    Examples
    --------
    >>> scope_hash({"bucket": "micro", "macro_phase": "Dip"}) == scope_hash({"macro_phase": "Dip", "bucket": "micro"})
    True
    """
    try:
        names = sorted(scope, key=_PLACES.__getitem__)
    except KeyError:
        names = sorted(scope, key=_place)
    canonical = {name: scope[name] for name in names}
    return hashlib.blake2b(msgspec.json.encode(canonical), digest_size=16).hexdigest()


def _place(name: str) -> str:
    return _PLACES.get(name) or f"~{name}"  # behind every digit


def _default() -> ScopeSchema:
    phases = ("Good", "Recover", "Dip", "Double-Dip", "Oh-Shit", "Euphoria", "Chop")
    buckets = ("nano", "micro", "mid", "big", "large", "xl")
    modes = ("patient", "normal", "aggressive")
    both: tuple[Module, ...] = MODULES
    vocabulary: list[tuple[str, tuple[Module, ...], tuple[str, ...] | None]] = [
        ("macro_phase", both, phases), ("meso_phase", both, phases), ("micro_phase", both, phases),
        ("bucket_leader", both, buckets), ("bucket_rank_position", both, None),
        ("market_family", ("pm",), ("lowcaps", "perps", "majors")),
        ("bucket", both, buckets),
        ("timeframe", ("pm",), ("1m", "5m", "15m", "1h", "4h", "1d")),
        ("A_mode", ("pm",), modes), ("E_mode", ("pm",), modes),
        ("curator", ("dm",), None), ("chain", ("dm",), None),
        ("mcap_bucket", ("dm",), ("<500k", "500k-1m", "1m-2m", "2m-5m", "5m-10m", "10m-50m", "50m+")),
        ("vol_bucket", ("dm",), ("<10k", "10k-50k", "50k-100k", "100k-250k", "250k-500k", "500k-1m", "1m+")),
        ("age_bucket", ("dm",), ("<1d", "1-3d", "3-7d", "7-14d", "14-30d", "30-90d", "90d+")),
        ("intent", ("dm",), None),
        ("mapping_confidence", ("dm",), ("high", "med", "low")),
        ("mcap_vol_ratio_bucket", ("dm",), ("<0.1", "0.1-0.5", "0.5-1", "1-2", "2-5", "5+")),
    ]  # fmt: skip
    dimensions = tuple(
        Dimension(
            bit=bit, name=name, modules=modules, values=values,
            low=1 if name == "bucket_rank_position" else None,
            high=6 if name == "bucket_rank_position" else None,
        )
        for bit, (name, modules, values) in enumerate(vocabulary)
    )  # fmt: skip

    def of(module: Module, max_dims: int, segment: tuple[str, str]) -> ModuleScope:
        names = tuple(d.name for d in dimensions if module in d.modules)
        return ModuleScope(dimensions=names, max_dims=max_dims, segment=segment)

    modules = {"pm": of("pm", 10, ("bucket", "timeframe")), "dm": of("dm", 4, ("bucket", "chain"))}
    return ScopeSchema(dimensions=dimensions, modules=modules)  # type: ignore[arg-type]


DEFAULT_SCHEMA: Final = _default()
"""Spec section 3's table; a PM learns from the full lattice of ten dimensions, a DM from four of fourteen."""
_PLACES: Final = {dimension.name: f"{dimension.bit:02d}" for dimension in DEFAULT_SCHEMA.dimensions}
