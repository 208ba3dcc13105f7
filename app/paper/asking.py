"""Asking the overrides: from what shows at a close to the values that the PM acts with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import msgspec

from app.paper.indicators import Reading
from app.paper.regimes import RegimeTracker
from app.paper.resample import Bar
from app.paper.strategy import Knobs, Scores, a_value, e_value, tuned
from leverloop.applying import apply_pattern_execution_overrides, apply_pattern_strength_overrides
from leverloop.events import Decision, Regime
from leverloop.patterns import ActionCategory
from leverloop.regime import mode
from leverloop.resolution import Resolution
from leverloop.scope import Scope

__all__ = ["Answer", "Resolve", "View"]

Resolve = Callable[[str, ActionCategory, Scope, str, int], Resolution]
"""`OverrideBook.resolve`: pattern_key, category, scope, trade_id, event time -> levers and why."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for one action and what came back: everything that its log entry says."""

    pattern_key: str
    category: ActionCategory
    scope: Scope
    signals: dict[str, float]
    regime: Regime
    a: float
    """Appetite after the levers, as `e` and `size_frac` are."""
    e: float
    size_frac: float
    knobs: Knobs
    """Knobs after the levers."""
    decision: Decision


class View:
    """What the PM sees of one symbol on one timeframe at a close, and how it asks about it.

    Parameters
    ----------
    symbol, timeframe, reading, bar
        What closed, and what its indicators say.
    regimes
        Regimes as of the same moment.
    conviction
        A and E of the trade, as they were at its signal; None where there is no trade: those of now. Taken
        at each action anew, the mode of an exit would tell how the trade went, not how to trade it.
    """

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        reading: Reading,
        bar: Bar,
        regimes: RegimeTracker,
        conviction: tuple[float, float] | None = None,
    ) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.reading = reading
        self.bar = bar
        self._conviction = conviction
        self._regimes = regimes

    @cached_property
    def regime(self) -> Regime:
        """Scores of the regime."""
        return self._regimes.scores

    @cached_property
    def scope(self) -> Scope:
        """Scope before overrides."""
        return self._regimes.scope(self.symbol) | {
            "timeframe": self.timeframe,
            "A_mode": mode(self.a),
            "E_mode": mode(self.e),
        }

    @property
    def a(self) -> float:
        """Appetite before overrides."""
        return self.conviction[0]

    @property
    def e(self) -> float:
        """Assertiveness of exits before overrides."""
        return self.conviction[1]

    @cached_property
    def conviction(self) -> tuple[float, float]:
        """A and E before overrides."""
        if self._conviction is not None:
            return self._conviction
        return a_value(self._scores, self.reading.signals), e_value(self._scores, self.reading.signals)

    @cached_property
    def _scores(self) -> Scores:
        regime, rank = self.regime, self._regimes.rank(self.symbol)
        return Scores(regime.macro_score or 0.0, regime.meso_score or 0.0, regime.micro_score or 0.0, rank)

    def ask(
        self,
        resolve: Resolve,
        pattern_key: str,
        category: ActionCategory,
        trade_id: str,
        knobs: Knobs,
        size_frac: float,
    ) -> Answer:
        """Resolve an action of a trade and apply what comes back to the PM's own values."""
        resolution = resolve(pattern_key, category, self.scope, trade_id, self.bar.close_at_ms)
        strength = apply_pattern_strength_overrides(
            resolution, category=category, a_value=self.a, e_value=self.e, position_size_frac=size_frac
        )
        own = tuned(knobs, category, strength.a_value, strength.e_value)
        return Answer(
            pattern_key=pattern_key,
            category=category,
            scope=self.scope,
            signals=self.reading.signals,
            regime=self.regime,
            a=strength.a_value,
            e=strength.e_value,
            size_frac=strength.position_size_frac,
            knobs=_applied(resolution, own) if resolution.levers else own,
            decision=resolution.decision(
                before={"A_value": self.a, "E_value": self.e, "position_size_frac": size_frac},
                after={
                    "A_value": strength.a_value,
                    "E_value": strength.e_value,
                    "position_size_frac": strength.position_size_frac,
                },
            ),
        )


def _applied(resolution: Resolution, knobs: Knobs) -> Knobs:
    applied = apply_pattern_execution_overrides(resolution, msgspec.to_builtins(knobs), waits_for="TS")
    return msgspec.convert(applied, Knobs)
