"""Which overrides match a live scope: an index of the groups of a snapshot (spec section 12)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from leverloop.errors import InvariantBroken
from leverloop.levers import LEVERS
from leverloop.patterns import ActionCategory
from leverloop.snapshot import Override, override_id

__all__ = ["Group", "GroupKey", "Match", "Profile", "index", "prepared"]

Profile = Literal["blended", "strict"]
GroupKey = tuple[str, ActionCategory]

_N_SCALE: Final = 25.0  # S3's n_target: 25 trades bring a weight to 1 - 1/e of what it can be
_DAY_MS: Final = 86_400_000
_AT_HALF_LIFE: Final[dict[Profile, float]] = {"blended": -math.log(2.0), "strict": -1.0}  # logarithm of the decay


class Match(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An override, prepared so that a resolve does no more arithmetic than it must."""

    id: str
    dims: int
    levers: dict[str, float]
    logs: tuple[tuple[str, float, float], ...]
    """Name, logarithm and value of each capital lever."""
    base: float
    """Weight without decay and specificity, in [0, 1]."""
    updated_at_ms: int
    decay_per_ms: float
    strength: float
    factor_id: str | None
    """Latent factor; None as well where the group has no other override of it to share with."""


def prepared(override: Override, profile: Profile = "blended", *, shares_factor: bool = True) -> Match:
    """Match of an override.

    Raises
    ------
    InvariantBroken
        For a lever out of its bounds, an empty scope or a weight that is no number: such an override
        must not be applied, and no publisher may announce it.
    """
    stats, key = override.stats, override_id(override)
    for name, value in override.levers.items():
        if name not in LEVERS or not LEVERS[name].holds(value):
            raise InvariantBroken(f"{key}: {name} = {value} is no lever within its bounds")
    capital = [(name, value) for name, value in override.levers.items() if LEVERS[name].kind == "capital"]
    base = math.tanh(abs(stats.edge_raw)) * -math.expm1(-stats.n / _N_SCALE) / (1.0 + stats.variance)
    if not (override.scope or override.type == "pm_tuning") or not 0.0 <= base <= 1.0 or not stats.half_life_days > 0.0:
        raise InvariantBroken(f"{key}: an empty scope, or statistics that weigh nothing: {stats}")
    return Match(
        id=key,
        dims=len(override.scope),
        levers=dict(override.levers),
        logs=tuple((name, math.log(value), value) for name, value in sorted(capital)),
        base=base,
        updated_at_ms=stats.updated_at_ms,
        decay_per_ms=_AT_HALF_LIFE[profile] / (stats.half_life_days * _DAY_MS),
        strength=override.lesson.strength,
        factor_id=override.lesson.factor_id if shares_factor else None,
    )


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Overrides of one pattern and category as bit sets: bit i stands for the i-th match.

    Capital matches come first, both kinds in the order of ids: whatever sums over matches does so in an
    order that does not depend on the snapshot's.
    """

    matches: tuple[Match, ...]
    everything: int
    capital: int
    dimensions: tuple[tuple[str, dict[Any, int], int], ...]
    """Name; live value -> the matches that it lets pass; the matches that do not ask for the dimension."""

    def matching(self, scope: Mapping[str, Any]) -> tuple[list[Match], list[Match]]:
        """Capital and execution matches whose scope is a subset of the live scope.

        Notes
        -----
        One look-up and one bitwise and per dimension, however many different subsets are pinned.
        """
        bits = self.everything
        for name, passing, indifferent in self.dimensions:
            bits &= passing.get(scope.get(name), indifferent)
        capital_count = (bits & self.capital).bit_count()
        found: list[Match] = []
        while bits:
            lowest = bits & -bits
            found.append(self.matches[lowest.bit_length() - 1])
            bits ^= lowest
        return found[:capital_count], found[capital_count:]


def index(overrides: Iterable[Override], profile: Profile) -> dict[GroupKey, Group]:
    """Groups of the overrides whose lessons are enabled.

    Examples
    --------
    >>> index((), "blended")
    {}
    """
    groups: dict[GroupKey, list[Override]] = {}
    for override in sorted(overrides, key=override_id):
        if override.lesson.enabled:
            groups.setdefault((override.pattern_key, override.action_category), []).append(override)
    return {key: _group(members, profile) for key, members in groups.items()}


def _group(overrides: Sequence[Override], profile: Profile) -> Group:
    members = Counter(override.lesson.factor_id for override in overrides)
    pairs = [(prepared(o, profile, shares_factor=members[o.lesson.factor_id] > 1), o.scope) for o in overrides]
    pairs.sort(key=lambda pair: not pair[0].logs)  # stable: ids stay in order within a kind
    return Group(
        matches=tuple(match for match, _ in pairs),
        everything=(1 << len(pairs)) - 1,
        capital=(1 << sum(bool(match.logs) for match, _ in pairs)) - 1,
        dimensions=tuple(_dimension(name, pairs) for name in sorted({name for _, scope in pairs for name in scope})),
    )


def _dimension(name: str, pairs: Sequence[tuple[Match, Mapping[str, Any]]]) -> tuple[str, dict[Any, int], int]:
    indifferent = sum(1 << i for i, (_, scope) in enumerate(pairs) if name not in scope)
    passing: dict[Any, int] = {}
    for i, (_, scope) in enumerate(pairs):
        if name in scope:
            passing[scope[name]] = passing.get(scope[name], indifferent) | 1 << i
    return name, passing, indifferent
