"""Books of overrides as large as asked for, and actions that match a known number of them."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from leverloop.patterns import ActionCategory
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.snapshot import Override, Snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot

GROUPS = 100
MASKS = 20
MATCHES = 8
TUNING = 3
"""Masks of a group whose overrides move execution levers; the other ones move capital levers."""
_DAY_MS = 86_400_000
_DIMENSIONS = [d for d in DEFAULT_SCHEMA.dimensions if "pm" in d.modules]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An action of a group, and the scope that it happens in."""

    pattern_key: str
    action_category: ActionCategory
    scope: dict[str, Any]


def large_snapshot(
    overrides_count: int, *, matches: int = MATCHES, seed: int = 1, version: int = 1, valid_until_ms: int | None = None
) -> tuple[Snapshot, list[Asked]]:
    """Snapshot of so many overrides in `GROUPS` groups of at most `MASKS` masks, and an action for each group."""
    chance = random.Random(seed)
    found: list[Override] = []
    asked: list[Asked] = []
    for group in range(GROUPS):
        pattern_key = f"pm.family{group % 10}.S{group % 3}.motif{group}"
        live = {d.name: _values(d)[chance.randrange(len(_values(d)))] for d in _DIMENSIONS}
        category: ActionCategory = "entry" if group % 2 else "add"
        found += _overrides(pattern_key, category, live, overrides_count // GROUPS, matches, chance)
        asked.append(Asked(pattern_key=pattern_key, action_category=category, scope=live))
    validity = {} if valid_until_ms is None else {"valid_until_ms": valid_until_ms}
    return make_snapshot(*found, version=version, **validity), asked


def _overrides(
    pattern_key: str,
    category: ActionCategory,
    live: dict[str, Any],
    overrides_count: int,
    matches: int,
    chance: random.Random,
) -> list[Override]:
    """Overrides of one group: of the first `matches` masks one each that the live scope matches, and others."""
    masks: set[tuple[str, ...]] = set()
    while len(masks) < MASKS:
        size = chance.choice((2, 3, 3, 4, 4, 5))
        masks.add(tuple(sorted(chance.sample([d.name for d in _DIMENSIONS], size))))
    order = sorted(masks)
    chance.shuffle(order)
    scopes: dict[tuple[Any, ...], int] = {tuple((name, live[name]) for name in order[i]): i for i in range(matches)}
    while len(scopes) < overrides_count:
        i = chance.randrange(MASKS)
        values = {d.name: chance.choice(_values(d)) for d in _DIMENSIONS if d.name in order[i]}
        if any(values[name] != live[name] for name in values):
            scopes.setdefault(tuple(values.items()), i)
    return [_override(pattern_key, category, dict(scope), i, chance) for scope, i in scopes.items()]


def _override(
    pattern_key: str, category: ActionCategory, scope: dict[str, Any], i: int, chance: random.Random
) -> Override:
    levers = (
        {"entry_delay_bars": chance.uniform(0.0, 5.0)}
        if i < TUNING
        else {"size_mult": chance.uniform(0.7, 1.3), "entry_aggression_mult": chance.uniform(0.8, 1.2)}
    )
    return make_override(
        levers,
        scope,
        pattern_key=pattern_key,
        action_category=category,
        edge_raw=chance.uniform(-1.5, 1.5),
        n=chance.randrange(20, 500),
        variance=chance.uniform(0.3, 2.0),
        half_life_days=chance.uniform(5.0, 60.0),
        updated_at_ms=AT_MS - chance.randrange(20 * _DAY_MS),
        strength=chance.uniform(0.1, 1.0),
        factor_id=chance.choice((None, None, "f1", "f2")),
    )


def _values(dimension: Any) -> tuple[Any, ...]:
    return dimension.values or tuple(range(dimension.low, dimension.high + 1))
