"""Trades sized as a PM would that reads a snapshot: every entry and add goes through the client."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from learning.parameters import DAY_MS
from leverloop.applying import apply_pattern_strength_overrides
from leverloop.book import OverrideBook
from leverloop.events import ActionLogged, parse_action, parse_trade
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.snapshot import Snapshot, decode_snapshot, encode_snapshot

__all__ = ["Sized", "sized"]

_FAR_FUTURE_MS: Final = 2**53
_ENTERING: Final = ("entry", "add")


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """Trades of a stream, each field (n_trades,)."""

    m_entry: npt.NDArray[np.float64]
    """Size of the entry after the levers over that before."""
    m_entering: npt.NDArray[np.float64]
    """The same of the entry and all adds together, as if every unit earned the trade's rr."""
    rr: npt.NDArray[np.float64]
    day: npt.NDArray[np.int64]


def sized(folder: Path, snapshot: Snapshot) -> Sized:
    """Size the trades of a stream by a snapshot, at the moment of its epoch and with the default holdout.

    The snapshot goes to bytes and back, as over the topic, and is validated on the way. Every action is
    taken to happen at its epoch: how evidence ages in a book that stands still is not what is asked here.
    """
    book = OverrideBook(decode_snapshot(encode_snapshot(snapshot)))
    before: dict[str, dict[str, list[float]]] = {}
    for line in (folder / "actions.jsonl").open("rb"):
        action = parse_action(line, received_at_ms=_FAR_FUTURE_MS, schema=DEFAULT_SCHEMA)
        if action.category in _ENTERING:
            sizes = before.setdefault(action.trade_id, {"entry": [], "add": []})
            sizes[action.category].append(_mult(book, action, snapshot.epoch_at_ms))
    rows = []
    for line in (folder / "trades.jsonl").open("rb"):
        close = parse_trade(line, received_at_ms=_FAR_FUTURE_MS)
        if close.rr is not None:
            sizes = before[close.trade_id]
            both = sizes["entry"] + sizes["add"]  # every action of a planted stream has the same size
            rows.append((np.mean(sizes["entry"]), np.mean(both), close.rr, close.event_at_ms // DAY_MS))
    entry, entering, rr, day = (np.array(column) for column in zip(*rows, strict=True))
    return Sized(m_entry=entry, m_entering=entering, rr=rr, day=day)


def _mult(book: OverrideBook, action: ActionLogged, at_ms: int) -> float:
    resolution = book.resolve(action.pattern_key, action.category, action.scope, action.trade_id, at_ms)
    size = action.size_frac or 0.1
    applied = apply_pattern_strength_overrides(
        resolution,
        category=action.category,
        a_value=action.a_value or 0.0,
        e_value=action.e_value or 0.0,
        position_size_frac=size,
    )
    return applied.position_size_frac / size
