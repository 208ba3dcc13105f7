"""What the book answers: levers, why, and the decision record that goes into the next action (spec section 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from leverloop.errors import BadInput
from leverloop.events import Decision, DecisionOverride
from leverloop.levers import LEVERS
from leverloop.matching import Match

__all__ = ["Arm", "Reason", "Resolution", "Trace"]

Reason = Literal[
    "MATCHED", "NO_MATCH", "HOLDOUT", "DISABLED", "REGIME_DISABLED", "BUCKET_DISABLED", "KILLED", "STALE",
    "NOT_READY", "ERROR",
]  # fmt: skip
Arm = Literal["treated", "holdout", "none"]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """How levers came about: kept as it was, told only when somebody asks, after the order is out."""

    capital: Sequence[Match] = ()
    weights: Sequence[float] = ()
    execution: Sequence[Match] = ()
    chosen: Mapping[str, Match] = {}
    """Execution lever -> the match it comes from."""

    def overrides(self) -> tuple[DecisionOverride, ...]:
        """Every match, with its weight and the levers it contributed."""
        told = [
            DecisionOverride(id=match.id, weight=w, levers=dict(match.levers) if w > 0.0 else {})
            for match, w in zip(self.capital, self.weights, strict=True)
        ]
        for match in self.execution:
            own = {name: match.levers[name] for name, source in self.chosen.items() if source.id == match.id}
            told.append(DecisionOverride(id=match.id, weight=1.0 if own else 0.0, levers=own))
        return tuple(told)


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """Levers of one action, with everything that is needed to measure later what they were worth.

    Examples
    --------
    >>> resolution = Resolution(reason="NO_MATCH")
    >>> resolution.levers, resolution.lever("size_mult"), resolution.lever("entry_delay_bars")
    ({}, 1.0, 0.0)
    """

    reason: Reason
    levers: dict[str, float] = {}
    """Levers that a match moves; there are none for any reason but MATCHED."""
    arm: Arm = "none"
    """Where the trade was drawn to; ``none`` where nothing was drawn because nothing could be applied."""
    propensity: float = 1.0
    """Probability of that arm."""
    snapshot_version: int | None = None
    trace: Trace = Trace()
    problem: str | None = None
    """What went wrong, for reason ERROR."""

    @property
    def overrides(self) -> tuple[DecisionOverride, ...]:
        """Every match with its weight; in the holdout arm, what would have been applied.

        The weight is w' of the blend for capital levers (0: cut off), and 1 or 0 for execution levers,
        applied or not.
        """
        return self.trace.overrides()

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each match by override id."""
        return {override.id: override.weight for override in self.overrides}

    @property
    def signals(self) -> dict[str, str]:
        """Lever -> the signal that it bounds, of those levers whose name does not say it (``wait_for_signal``)."""
        chosen = self.trace.chosen
        return {
            name: chosen[name].signals[name] for name in self.levers if name in chosen and name in chosen[name].signals
        }

    def lever(self, name: str, *, knob: float | None = None) -> float:
        """Value of a lever: what a match says, otherwise its neutral.

        Parameters
        ----------
        name
            Lever of spec section 8.
        knob
            The trader's own value, which is the neutral of a signal threshold; needed for those alone.

        Raises
        ------
        BadInput
            For a lever that does not exist, and for a threshold without a knob.

        Examples
        --------
        >>> Resolution(reason="NO_MATCH").lever("signal_thresholds.min_ts_for_add", knob=0.6)
        0.6
        """
        lever = LEVERS.get(name)
        if lever is None:
            raise BadInput("lever", "a lever of spec section 8", name)
        neutral = knob if lever.neutral is None else lever.neutral
        if name not in self.levers and neutral is None:
            raise BadInput("knob", f"the trader's own value of {name}, its neutral")
        return self.levers[name] if neutral is None else self.levers.get(name, neutral)

    def decision(
        self, *, before: Mapping[str, float] | None = None, after: Mapping[str, float] | None = None
    ) -> Decision:
        """Decision record for the next ActionLogged.

        Parameters
        ----------
        before, after
            The trader's own values (size, aggression, knobs) before and after the levers were applied.
            The levers are always in it as well: their neutrals before, their values after.

        Examples
        --------
        >>> resolution = Resolution(reason="MATCHED", levers={"size_mult": 1.2}, arm="treated", propensity=0.95)
        >>> resolution.decision(before={"position_size_frac": 0.1}, after={"position_size_frac": 0.12}).after
        {'size_mult': 1.2, 'position_size_frac': 0.12}
        """
        neutrals = {name: LEVERS[name].neutral for name in self.levers}
        return Decision(
            reason=self.reason,
            arm=self.arm,
            propensity=self.propensity,
            snapshot_version=self.snapshot_version,
            overrides=self.overrides,
            before={name: value for name, value in neutrals.items() if value is not None} | dict(before or {}),
            after=self.levers | dict(after or {}),
        )
