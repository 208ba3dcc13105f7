"""What the PM logs: actions and closed trades of its positions, in the contract of the events."""

from __future__ import annotations

import msgspec

from app.paper.asking import Answer
from app.paper.counterfactual import deltas
from app.paper.strategy import Knobs
from app.paper.trade import Position, result
from leverloop.applying import whole_bars
from leverloop.events import ActionLogged, Controls, Counterfactual, TradeClosed

__all__ = ["Event", "action", "closed", "revised"]

Event = ActionLogged | TradeClosed


def action(position: Position, answer: Answer, action_type: str, at_ms: int, size_frac: float) -> ActionLogged:
    """Log entry of an action; the position counts it.

    Parameters
    ----------
    answer
        What was asked for the action: its scope and decision are the action's.
    size_frac
        Bought or sold, as part of the equity.
    """
    number, position.actions = position.actions, position.actions + 1
    return ActionLogged(
        action_id=f"{position.trade_id}-a{number}",
        trade_id=position.trade_id,
        module="pm",
        pattern_key=answer.pattern_key,
        action_type=action_type,
        event_at_ms=at_ms,
        scope=dict(answer.scope),
        controls=Controls(signals=answer.signals, applied_knobs=_applied(answer.knobs)),
        size_frac=min(1.0, round(size_frac, 8)),
        a_value=answer.a,
        e_value=answer.e,
        regime=answer.regime,
        decision=answer.decision,
    )


def _applied(knobs: Knobs) -> dict[str, float | dict[str, float]]:
    """Knobs as they are logged: what an entry waits for says of which signal, for learning to keep to it."""
    return msgspec.to_builtins(knobs) | {"wait_for_signal": {"TS": knobs.wait_for_signal}}


def closed(position: Position, exit_price: float, why: str, knobs: Knobs) -> TradeClosed:
    """Log entry of a trade whose last bar is on its tape and whose last unit is sold.

    Parameters
    ----------
    exit_price
        Price of the last sale, before costs.
    why
        Reason of the exit; ``trail`` and ``stop`` are stops hit within the last bar.
    knobs
        The PM's own settings, which the levers of counterfactuals multiply.
    """
    came = result(position, exit_price, at_close=why not in ("trail", "stop"))
    return TradeClosed(
        trade_id=position.trade_id,
        module="pm",
        symbol=position.symbol,
        opened_at_ms=position.opened_at_ms,
        event_at_ms=position.tape[-1].bar.close_at_ms,
        rr=round(came.rr, 6),
        return_frac=round(came.return_frac, 8),
        max_drawdown_frac=round(came.max_drawdown_frac, 8),
        max_gain_frac=round(came.max_gain_frac, 8),
        payback_ms=came.payback_ms,
        exit_reason=why,
        counterfactual=Counterfactual(
            missed_entry_rr=round(came.missed_entry_rr, 6),
            best_entry_bars=float(came.best_entry_bars),
            missed_exit_rr=round(came.missed_exit_rr, 6),
            best_exit_bars=float(came.best_exit_bars),
            deltas=_deltas(position, exit_price, position.here, knobs),
        ),
    )


def revised(close: TradeClosed, position: Position, exit_price: float, exited: int, knobs: Knobs) -> TradeClosed:
    """Log entry of the same trade after the market was watched for a while: with the deltas of wider stops.

    Parameters
    ----------
    close
        Log entry of the close.
    position
        The trade, what was watched on its tape.
    exit_price, exited
        Price of the last sale, and its place on the tape.
    """
    assert close.counterfactual is not None, "every close of the paper PM has counterfactuals"
    known = msgspec.structs.replace(close.counterfactual, deltas=_deltas(position, exit_price, exited, knobs))
    return msgspec.structs.replace(close, counterfactual=known, revision=close.revision + 1)


def _deltas(position: Position, exit_price: float, exited: int, knobs: Knobs) -> dict[str, dict[str, float]]:
    return deltas(
        position,
        exit_price,
        exited=exited,
        panic_atr=knobs.panic_trigger_level,
        trim_delay=whole_bars(knobs.trim_delay),
    )
