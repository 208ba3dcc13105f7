"""Which overrides match a live scope: an index of the groups of a snapshot (spec section 12)."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Literal

import msgspec

from leverloop.errors import InvariantBroken
from leverloop.levers import LEVERS, levers_of
from leverloop.patterns import ACTION_CATEGORIES, ActionCategory
from leverloop.scope import Scope
from leverloop.snapshot import Override, override_id

__all__ = ["CAPITAL_OF", "Group", "GroupKey", "Match", "Profile", "Terms", "Weighing", "index", "prepared"]

Profile = Literal["blended", "strict"]
GroupKey = tuple[str, ActionCategory]

_SHARED_PLACES: Final = 300_000  # of all tables together: 2.4 MB, made in some 20 ms
_N_SCALE: Final = 25.0  # S3's n_target: 25 trades bring a weight to 1 - 1/e of what it can be
_DAY_MS: Final = 86_400_000
_AT_HALF_LIFE: Final[dict[Profile, float]] = {"blended": -math.log(2.0), "strict": -1.0}  # logarithm of the decay

CAPITAL_OF: Final[dict[ActionCategory, tuple[str, ...]]] = {
    category: tuple(sorted(lever.name for lever in levers_of(category, "capital"))) for category in ACTION_CATEGORIES
}
"""Capital levers of a category, by name: at most two, for which the blend is written out."""
_BOUNDS: Final = {
    (name, category): (lever.low, lever.high) for name, lever in LEVERS.items() for category in lever.categories
}

Weighing = tuple[int, float, int, float, str | None]
"""Dimensions of the scope; weight without decay and specificity, in [0, 1]; time of the last evidence, in ms since the
epoch; logarithm of the decay per ms; latent factor, None where no other override of the group is of it."""
Terms = tuple[float, float, float, float, float, float]
"""For each of two capital levers 1, the logarithm of its value and the value; 0, 0 and NaN where it is not moved."""
_NO_TERM: Final = (0.0, 0.0, math.nan)


class Match(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An override, prepared so that a resolve does no more arithmetic, and follows no more pointers, than it must."""

    id: str
    levers: dict[str, float]
    strength: float
    category: ActionCategory
    weighing: Weighing
    terms: Terms | None
    """Of the capital levers, in the order of `CAPITAL_OF`; None for an override of execution levers."""
    signals: dict[str, str] = {}
    """Execution lever -> the signal that it bounds, where its name does not say it."""


def prepared(
    override: Override, profile: Profile = "blended", *, shares_factor: bool = True, key: str | None = None
) -> Match:
    """Match of an override; `key` is its id, where that is known already.

    Raises
    ------
    InvariantBroken
        For a lever out of its bounds or its category, an empty scope or a weight that is no number: such an
        override must not be applied, and no publisher may announce it.
    """
    stats, category = override.stats, override.action_category
    if key is None:
        key = override_id(override)
    for name, value in override.levers.items():
        low, high = _BOUNDS.get((name, category), (1.0, 0.0))
        if not low <= value <= high:
            raise InvariantBroken(f"{key}: {name} = {value} is no lever within its bounds")
    base = math.tanh(abs(stats.edge_raw)) * -math.expm1(-stats.n / _N_SCALE) / (1.0 + stats.variance)
    if not (override.scope or override.type == "pm_tuning") or not 0.0 <= base <= 1.0 or not stats.half_life_days > 0.0:
        raise InvariantBroken(f"{key}: an empty scope, or statistics that weigh nothing: {stats}")
    decay_per_ms = _AT_HALF_LIFE[profile] / (stats.half_life_days * _DAY_MS)
    factor_id = override.lesson.factor_id if shares_factor else None
    return Match(
        id=key,
        levers=dict(override.levers),
        strength=override.lesson.strength,
        category=category,
        weighing=(len(override.scope), base, stats.updated_at_ms, decay_per_ms, factor_id),
        terms=_terms(override.levers, category),
        signals=dict(override.signals),
    )


def _terms(levers: Mapping[str, float], category: ActionCategory) -> Terms | None:
    found: list[float] = []
    moved = False
    for name in CAPITAL_OF[category]:
        value = levers.get(name)
        if value is None:
            found += _NO_TERM
        else:
            found += (1.0, math.log(value), value)
            moved = True
    if not moved:
        return None
    one, log_one, value_one, *other = found
    two, log_two, value_two = other or _NO_TERM
    return one, log_one, value_one, two, log_two, value_two


Vocabulary = tuple[tuple[str, dict[Any, int], int], ...]
"""For each dimension that is asked for: its name; live value -> place in the table of a group; the place of any value
that nobody asks for."""


class Group(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Overrides of one pattern and category as bit sets: the highest bit stands for the first match.

    Capital matches come first, both kinds in the order of ids: whatever sums over matches does so in an
    order that does not depend on the snapshot's.
    """

    matches: tuple[Match, ...]
    everything: int
    execution: int
    """The matches that are not capital ones: the low bits."""
    vocabulary: Vocabulary
    passing: tuple[int, ...]
    """Place of a value -> the matches that it lets pass: those that ask for it, those that do not ask."""

    def matching(self, scope: Mapping[str, Any]) -> tuple[list[Match], list[Match]]:
        """Capital and execution matches whose scope is a subset of the live scope.

        Notes
        -----
        One look-up and one bitwise and per dimension of the vocabulary, however many different subsets are
        pinned. The vocabulary is that of all groups, so that it stays in the processor's cache; that of the group
        alone where tables of all values for all groups would be too large (thousands of free texts).
        """
        bits, passing, live = self.everything, self.passing, scope.get
        for name, places, otherwise in self.vocabulary:
            bits &= passing[places.get(live(name), otherwise)]
        execution = bits & self.execution
        return self._at(bits ^ execution), self._at(execution) if execution else []

    def _at(self, bits: int) -> list[Match]:
        matches, found = self.matches, []
        while bits:
            length = bits.bit_length()
            found.append(matches[-length])
            bits ^= 1 << length - 1
        return found


def index(overrides: Mapping[str, Override], profile: Profile) -> dict[GroupKey, Group]:
    """Groups of the overrides, given by id, whose lessons are enabled.

    Examples
    --------
    >>> index({}, "blended")
    {}
    """
    members: dict[GroupKey, dict[str, None]] = {}  # dicts: the garbage collector does not walk through ids in them
    for key, override in overrides.items():
        if override.lesson.enabled:
            members.setdefault((override.pattern_key, override.action_category), {})[key] = None
    # Popped, so that what a group was made of is freed with it and not all at once: other threads wait for that.
    found = {group: _Sorted(sorted(members.pop(group)), overrides, profile) for group in list(members)}
    shared = _vocabulary(found.values())
    if len(found) * _places(shared) <= _SHARED_PLACES:
        return {group: found.pop(group).group(shared) for group in list(found)}
    return {group: made.group(_vocabulary([made])) for group in list(found) for made in [found.pop(group)]}


class _Sorted:
    """Matches of one group in order, and who of them asks for which value, as bit sets."""

    def __init__(self, keys: Sequence[str], overrides: Mapping[str, Override], profile: Profile) -> None:
        factors = Counter([overrides[key].lesson.factor_id for key in keys])
        capital: list[Match] = []
        execution: list[Match] = []
        scopes: tuple[list[Scope], list[Scope]] = [], []
        for key in keys:
            override = overrides[key]
            shares_factor = factors[override.lesson.factor_id] > 1
            match = prepared(override, profile, shares_factor=shares_factor, key=key)
            (execution if match.terms is None else capital).append(match)
            scopes[match.terms is None].append(override.scope)
        self.matches: Final = (*capital, *execution)
        self.execution: Final = (1 << len(execution)) - 1
        self.asking: Final[dict[str, dict[Any, int]]] = {}
        bit = 1 << len(self.matches)
        for scope in chain(*scopes):
            bit >>= 1
            for name, value in scope.items():
                asked = self.asking.get(name)
                if asked is None:
                    asked = self.asking[name] = {}
                asked[value] = asked.get(value, 0) | bit

    def group(self, vocabulary: Vocabulary) -> Group:
        """Group with its table for a vocabulary."""
        everything = (1 << len(self.matches)) - 1
        table = [everything] * _places(vocabulary)
        for name, places, otherwise in vocabulary:
            asked = self.asking.get(name)
            if asked:
                indifferent = everything
                for bits in asked.values():
                    indifferent &= ~bits
                for value, place in places.items():
                    table[place] = asked.get(value, 0) | indifferent
                table[otherwise] = indifferent
        return Group(
            matches=self.matches,
            everything=everything,
            execution=self.execution,
            vocabulary=vocabulary,
            passing=tuple(table),
        )


def _places(vocabulary: Vocabulary) -> int:
    return sum(len(places) + 1 for _, places, _ in vocabulary)


def _vocabulary(groups: Iterable[_Sorted]) -> Vocabulary:
    """Every value that a group asks for, with a place; interned, so that the trader's own literals are found fast."""
    values: dict[str, dict[Any, int]] = {}
    places = 0
    for group in groups:
        for name, asked in group.asking.items():
            known = values.setdefault(sys.intern(name), {})
            for value in asked:
                if value not in known:
                    known[sys.intern(value) if isinstance(value, str) else value] = places
                    places += 1
    return tuple((name, values[name], places + i) for i, name in enumerate(sorted(values)))
