"""What a paper run has done so far, counted from the events it logged."""

from __future__ import annotations

import msgspec

from leverloop.events import ActionLogged, Decision, TradeClosed
from leverloop.levers import LEVERS

__all__ = ["PaperSummary", "levers_off_neutral"]


class PaperSummary(msgspec.Struct, kw_only=True):
    """Counters of a run, from its first bar on, over every restart.

    The results of trades with a lever and without are not compared: a lever on trims is carried only by trades that
    ran far enough to be trimmed, so that the difference would be a selection and no effect.

    Examples
    --------
    >>> summary = PaperSummary()
    >>> summary.mean_rr, summary.candles
    (None, 0)
    """

    at_ms: int = 0
    """Event time of the run."""
    steps: int = 0
    """Five-minute steps of the market."""
    candles: int = 0
    actions: int = 0
    trades: int = 0
    revisions: int = 0
    levers_applied: int = 0
    """Actions that a match moved a lever of, off its neutral."""
    reasons: dict[str, int] = {}
    """Reason of the resolution -> actions."""
    snapshot_versions: list[int] = []
    """Versions that actions were decided by, in the order of their first."""
    trades_with: int = 0
    """Closed trades with at least one such action."""
    rr_with: float = 0.0
    """Sum of their rr."""
    rr_without: float = 0.0
    levered: set[str] = set()
    """Open trades with at least one such action."""

    @property
    def mean_rr(self) -> float | None:
        """Mean rr of the closed trades, in R; None without any."""
        return (self.rr_with + self.rr_without) / self.trades if self.trades else None

    def count(self, event: ActionLogged | TradeClosed) -> None:
        """Count an event, in the order of logging."""
        if isinstance(event, ActionLogged):
            self._count_action(event)
        elif event.revision:
            self.revisions += 1
        else:
            self._count_trade(event)

    def _count_action(self, action: ActionLogged) -> None:
        self.actions += 1
        decision = action.decision
        if decision is None:
            return
        self.reasons[decision.reason] = self.reasons.get(decision.reason, 0) + 1
        version = decision.snapshot_version
        if version is not None and version not in self.snapshot_versions:
            self.snapshot_versions.append(version)
        if levers_off_neutral(decision):
            self.levers_applied += 1
            self.levered.add(action.trade_id)

    def _count_trade(self, trade: TradeClosed) -> None:
        self.trades += 1
        rr = trade.rr or 0.0
        if trade.trade_id in self.levered:
            self.levered.discard(trade.trade_id)
            self.trades_with += 1
            self.rr_with += rr
        else:
            self.rr_without += rr


def levers_off_neutral(decision: Decision) -> dict[str, float]:
    """Levers of a decision that a match moved off their neutral.

    Examples
    --------
    >>> levers_off_neutral(Decision(reason="MATCHED", arm="treated", propensity=0.95,
    ...     after={"size_mult": 1.1, "entry_aggression_mult": 1.0, "A_value": 0.4}))
    {'size_mult': 1.1}
    """
    return {
        name: value
        for name, value in decision.after.items()
        if decision.reason == "MATCHED" and name in LEVERS and value != LEVERS[name].neutral
    }
