"""The override book: a snapshot made ready to be asked, action by action (spec section 12).

Immutable, pure and free of clocks and I/O: any number of threads may ask one book, and a new snapshot is a
new book. A resolve costs one look-up for each dimension that overrides of the snapshot pin (at the most: of its
group alone, where the snapshot has too many values), however many they are, and arithmetic for the matches alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final

import msgspec

from leverloop.blend import blended, blended_weights, choose, strict, strict_weights
from leverloop.errors import BadConfig, BadInput
from leverloop.gates import gates_of
from leverloop.holdout import DRAWS, draw
from leverloop.matching import Group, Match, Profile, index
from leverloop.patterns import ACTION_CATEGORIES, ActionCategory, canonical_pattern_key
from leverloop.resolution import Reason, Resolution, Trace
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.snapshot import Flags, Override, Snapshot, override_id

__all__ = ["DEFAULT_HOLDOUT_SHARE", "OverrideBook"]

DEFAULT_HOLDOUT_SHARE: Final = 0.05
"""Spec section 12."""


class OverrideBook:
    """Everything that is to be applied now: ask it with `resolve`.

    Parameters
    ----------
    snapshot
        A validated snapshot (`decode_snapshot`); None for a book that has none yet.
    profile
        ``blended`` is spec section 12; ``strict`` is S3 to the letter, kept for conformance.
    holdout_share
        Share of trades that get no levers, in [0, 1].
    killed
        Whether the local kill switch is pulled.
    overrides
        The snapshot's overrides by id, where they are known already (`read_snapshot`).

    Raises
    ------
    BadConfig
        For a profile or a share that does not exist.
    InvariantBroken
        For a snapshot that no publisher may announce: a lever out of its bounds, an empty scope.

    Examples
    --------
    >>> book = OverrideBook.empty()
    >>> book.resolve("pm.uptrend.S1.buy_flag", "entry", {"bucket": "micro"}, "t1", 1_700_000_000_000).reason
    'NOT_READY'
    """

    __slots__ = (
        "_all_dims",
        "_gates",
        "_groups",
        "_held_out_below",
        "_shut",
        "holdout_share",
        "killed",
        "profile",
        "snapshot",
        "valid_until_ms",
        "version",
    )

    def __init__(
        self,
        snapshot: Snapshot | None,
        *,
        profile: Profile = "blended",
        holdout_share: float = DEFAULT_HOLDOUT_SHARE,
        killed: bool = False,
        overrides: Mapping[str, Override] | None = None,
    ) -> None:
        if profile not in ("blended", "strict"):
            raise BadConfig(f"profile: expected blended or strict, was {profile!r}")
        if not 0.0 <= holdout_share <= 1.0:
            raise BadConfig(f"holdout_share: expected a number in [0, 1], was {holdout_share!r}")
        self.snapshot = snapshot
        self.version: Final = snapshot.version if snapshot else None
        self.profile: Final[Profile] = profile
        self.holdout_share: Final = holdout_share
        self.killed: Final = killed
        self.valid_until_ms = snapshot.valid_until_ms if snapshot else 0
        self._shut: Final[Reason | None] = "KILLED" if killed else None if snapshot else "NOT_READY"
        self._held_out_below: Final = int(holdout_share * DRAWS)
        if snapshot is None or killed:
            overrides = {}
        elif overrides is None:
            overrides = {override_id(override): override for override in snapshot.overrides()}
        self._groups: Final = index(overrides, profile)
        self._gates: Final = None if snapshot is None or snapshot.flags == Flags() else gates_of(snapshot.flags)
        self._all_dims: Final = len(DEFAULT_SCHEMA.modules[snapshot.module].dimensions) if snapshot else 0

    @classmethod
    def empty(cls) -> OverrideBook:
        """Book before the first snapshot: neutral, with reason NOT_READY."""
        return cls(None)

    def renewed(self, valid_until_ms: int) -> OverrideBook:
        """Book of the same snapshot that holds until another time; nothing is indexed again."""
        other = copy(self)
        if self.snapshot is not None:
            other.snapshot = msgspec.structs.replace(self.snapshot, valid_until_ms=valid_until_ms)
            other.valid_until_ms = valid_until_ms
        return other

    def lists(self) -> Iterator[Sequence[Any]]:
        """What the book has in thousands: overrides, and how they were prepared; groups last, which hold those."""
        if self.snapshot is not None:
            yield self.snapshot.pattern_strength_overrides
            yield self.snapshot.pattern_overrides
            yield self.snapshot.alloc_overrides
        groups = tuple(self._groups.values())
        for group in groups:
            yield group.matches
        yield groups

    def resolve(  # noqa: PLR0911 - a return for each reason
        self,
        pattern_key: str,
        action_category: ActionCategory,
        scope: Mapping[str, Any],
        trade_id: str,
        at_ms: int,
        *,
        now_ms: int | None = None,
    ) -> Resolution:
        """Levers for an action, and why they are what they are. Never raises: what fails is neutral.

        Parameters
        ----------
        pattern_key
            Canonical, or in any form that an event may have it in.
        action_category
            Category of the action.
        scope
            The live scope, as it is before overrides are applied.
        trade_id
            Trade of the action: it decides the arm.
        at_ms
            Event time of the action: evidence is aged by it.
        now_ms
            Wall clock, to tell a stale snapshot; None (a replay) takes every snapshot as standing.

        Notes
        -----
        Source: spec section 12. Costs a look-up per dimension that the snapshot pins, plus the matches.
        """
        try:
            if self._shut is not None:
                return self._neutral(self._shut)
            if now_ms is not None and now_ms > self.valid_until_ms:
                return self._neutral("STALE", f"valid until {self.valid_until_ms}, and now it is {now_ms}")
            no_capital = no_execution = None
            if self._gates is not None:
                no_capital, no_execution = self._gates[0].shut_by(scope), self._gates[1].shut_by(scope)
                if no_capital and no_execution:
                    return self._neutral(no_capital)
            group = self._groups.get((pattern_key, action_category))
            if group is None:
                group = self._spelt_otherwise(pattern_key, action_category)
                if group is None:
                    return self._neutral("NO_MATCH")
            capital, execution = group.matching(scope)
            reason: Reason = "NO_MATCH"
            if no_capital and capital:
                capital, reason = [], no_capital
            if no_execution and execution:
                execution, reason = [], no_execution
            if not capital and not execution:
                return self._neutral(reason)
            return self._matched(capital, execution, trade_id, at_ms)
        except Exception as error:  # noqa: BLE001 - what goes wrong here may cost an action its levers, nothing else
            return self._neutral("ERROR", f"{type(error).__name__}: {error}")

    def _matched(self, capital: list[Match], execution: list[Match], trade_id: str, at_ms: int) -> Resolution:
        held_out = draw(trade_id) < self._held_out_below
        weights: list[float] = []
        levers: dict[str, float] = {}
        chosen: dict[str, Match] = {}
        if capital:
            if self.profile == "blended":
                weights = blended_weights(capital, at_ms)
                levers = blended(capital, weights)
            else:
                weights = strict_weights(capital, at_ms, self._all_dims)
                levers = strict(capital, weights)
        if execution:
            chosen = choose(execution, at_ms)
            for name, match in chosen.items():
                levers[name] = match.levers[name]
        return Resolution(
            reason="HOLDOUT" if held_out else "MATCHED",
            levers={} if held_out else levers,
            arm="holdout" if held_out else "treated",
            propensity=self.holdout_share if held_out else 1.0 - self.holdout_share,
            snapshot_version=self.version,
            trace=Trace(capital=capital, weights=weights, execution=execution, chosen=chosen),
        )

    def _spelt_otherwise(self, pattern_key: str, action_category: ActionCategory) -> Group | None:
        """Group of a key that is not there as it stands: another spelling, nothing learned, or bad input."""
        if action_category not in ACTION_CATEGORIES:
            raise BadInput("action_category", f"one of {', '.join(ACTION_CATEGORIES)}", action_category)
        assert self.snapshot is not None
        return self._groups.get((canonical_pattern_key(pattern_key, self.snapshot.module), action_category))

    def _neutral(self, reason: Reason, problem: str | None = None) -> Resolution:
        return Resolution(reason=reason, snapshot_version=self.version, problem=problem)
