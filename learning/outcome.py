"""Outcomes: what one action of a closed trade came to (spec section 5)."""

from __future__ import annotations

import msgspec

from leverloop.events import Controls, Counterfactual, Decision
from leverloop.patterns import ActionCategory, Module
from leverloop.scope import ScopeValue

__all__ = ["Companion", "Outcome", "OutcomeVoided", "group_of"]


class Companion(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Another action of the trade: its group and its scope. Effects are estimated jointly with it."""

    group: str
    scope: dict[str, ScopeValue]


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="outcome"):
    """One action with its trade's result. A revision has the same id and replaces it."""

    outcome_id: str
    """The action's id."""
    trade_id: str
    group: str
    """``pattern_key|action_category``; the module is the pattern key's first part."""
    module: Module
    scope: dict[str, ScopeValue]
    symbol: str
    action_at_ms: int
    opened_at_ms: int
    closed_at_ms: int
    rr: float
    """Winsorised, in R."""
    rr_raw: float | None
    rr_capped: bool
    return_frac: float
    max_drawdown_frac: float
    payback_ms: int | None
    revision: int
    first_of_trade: bool
    """The trade's first action: counts the trade once over all groups."""
    first_of_category: bool
    """The trade's first action of this module and category: counts the trade once in the category's baseline."""
    controls: Controls
    counterfactual: Counterfactual | None = None
    decision: Decision | None = None
    companions: tuple[Companion, ...] = ()

    @property
    def action_category(self) -> ActionCategory:
        """Category part of the group."""
        return self.group.rpartition("|")[2]  # type: ignore[return-value]


class OutcomeVoided(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="voided"):
    """Takes an outcome back: its trade was voided."""

    outcome_id: str
    trade_id: str
    group: str


def group_of(pattern_key: str, category: ActionCategory) -> str:
    """Name of a group; everything is learned per group (spec section 2).

    Examples
    --------
    >>> group_of("pm.uptrend.S1.buy_flag", "entry")
    'pm.uptrend.S1.buy_flag|entry'
    """
    return f"{pattern_key}|{category}"
