"""Attribution: actions and closes of a trade, in any order, become outcomes (spec section 5).

Rules of the state, one `Trade` per trade_id:

1. An action is kept once; the same again changes nothing, the same id with other content is bad input.
2. The close with the highest revision stands; a lower one changes nothing.
3. Whenever both are there, the outcomes are a function of the state alone: the order of arrival is gone.
4. A void close takes back the outcomes of every action the trade has.
5. An action more than late_grace after the close that stands has no outcome, whichever came first.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from learning.outcome import Companion, Outcome, OutcomeVoided, group_of
from learning.parameters import Parameters
from leverloop.errors import BadInput
from leverloop.events import ActionLogged, TradeClosed

__all__ = ["EMPTY", "Trade", "close_trade", "deadline_at_ms", "log_action", "outcomes"]


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one trade."""

    actions: Mapping[str, ActionLogged]
    close: TradeClosed | None = None


EMPTY = Trade(actions={})


def log_action(trade: Trade, action: ActionLogged, parameters: Parameters) -> Trade:
    """Trade with one more action; the same trade if the action is known.

    Raises
    ------
    BadInput
        For a known id with other content, and for an action more than late_grace after its close.

    Notes
    -----
    Source: spec section 5.

    Examples
    --------
    >>> action = ActionLogged(action_id="a", trade_id="t", module="pm", pattern_key="pm.f.s.m",
    ...     action_type="entry", event_at_ms=1_700_000_000_000, scope={})
    >>> log_action(EMPTY, action, Parameters()).actions["a"] == action
    True
    """
    action = msgspec.structs.replace(action, recorded_at_ms=None)
    known = trade.actions.get(action.action_id)
    if known == action:
        return trade
    if known is not None:
        raise BadInput("action_id", "an id that was not used for another action", action.action_id)
    if trade.close is not None and action.event_at_ms > trade.close.event_at_ms + parameters.late_grace_ms:
        limit = f"a time within late_grace of the close at {trade.close.event_at_ms}"
        raise BadInput("event_at_ms", limit, action.event_at_ms)
    return msgspec.structs.replace(trade, actions={**trade.actions, action.action_id: action})


def close_trade(trade: Trade, close: TradeClosed) -> Trade:
    """Trade with its close; the same trade if a close of this or a later revision is known.

    Raises
    ------
    BadInput
        For the known revision with other content.

    Notes
    -----
    Source: spec sections 4 and 5.
    """
    close = msgspec.structs.replace(close, recorded_at_ms=None)
    known = trade.close
    if known is not None and close.revision <= known.revision:
        if close.revision == known.revision and close != known:
            raise BadInput("revision", f"more than {known.revision}, which has other content", close.revision)
        return trade
    return msgspec.structs.replace(trade, close=close)


def outcomes(trade: Trade, parameters: Parameters) -> tuple[Outcome | OutcomeVoided, ...]:
    """Outcomes of a trade, in the order of its actions; none while it is open.

    Notes
    -----
    Source: spec section 5. Cost: O(actions + companions carried).
    """
    close = trade.close
    if close is None:
        return ()
    ordered = sorted(trade.actions.values(), key=lambda action: (action.event_at_ms, action.action_id))
    if close.void:
        return tuple(_voided(action) for action in ordered)
    limit_at_ms = close.event_at_ms + parameters.late_grace_ms
    counted = [action for action in ordered if action.event_at_ms <= limit_at_ms]
    others = [Companion(group=group_of(a.pattern_key, a.category), scope=a.scope) for a in counted]
    # A revision may have moved the close: what it leaves too late is taken back.
    result: list[Outcome | OutcomeVoided] = [_voided(action) for action in ordered[len(counted) :]]
    categories: set[tuple[str, str]] = set()
    for i, action in enumerate(counted):
        result.append(
            _outcome(
                action,
                close,
                parameters,
                first_of_trade=i == 0,
                first_of_category=(action.module, action.category) not in categories,
                companions=_companions(others, i, parameters.max_companions),
            )
        )
        categories.add((action.module, action.category))
    return tuple(result)


def deadline_at_ms(trade: Trade, parameters: Parameters) -> int:
    """Event time at which a trade can be forgotten: expired if it is open, settled if it is closed."""
    if trade.close is not None and trade.actions:
        return trade.close.event_at_ms + parameters.closed_keep_ms
    seen = [action.event_at_ms for action in trade.actions.values()]
    if trade.close is not None:
        seen.append(trade.close.event_at_ms)
    return min(seen) + parameters.max_open_ms


def _voided(action: ActionLogged) -> OutcomeVoided:
    group = group_of(action.pattern_key, action.category)
    return OutcomeVoided(outcome_id=action.action_id, trade_id=action.trade_id, group=group)


def _outcome(
    action: ActionLogged,
    close: TradeClosed,
    parameters: Parameters,
    *,
    first_of_trade: bool,
    first_of_category: bool,
    companions: tuple[Companion, ...],
) -> Outcome:
    cap = parameters.rr_cap
    return Outcome(
        outcome_id=action.action_id,
        trade_id=action.trade_id,
        group=group_of(action.pattern_key, action.category),
        module=action.module,
        scope=action.scope,
        symbol=close.symbol,
        action_at_ms=action.event_at_ms,
        opened_at_ms=close.opened_at_ms,
        closed_at_ms=close.event_at_ms,
        rr=cap if close.rr is None else min(max(close.rr, -cap), cap),
        rr_raw=close.rr,
        rr_capped=close.rr_capped,
        return_frac=close.return_frac,
        max_drawdown_frac=close.max_drawdown_frac,
        payback_ms=close.payback_ms,
        revision=close.revision,
        first_of_trade=first_of_trade,
        first_of_category=first_of_category,
        controls=action.controls,
        counterfactual=close.counterfactual,
        decision=action.decision,
        companions=companions,
    )


def _companions(others: list[Companion], own: int, limit: int) -> tuple[Companion, ...]:
    """Distinct other actions of the trade, in time order, the first `limit` of them."""
    kept: list[Companion] = []
    for i, companion in enumerate(others):
        if i != own and companion not in kept:
            kept.append(companion)
            if len(kept) == limit:
                break
    return tuple(kept)
