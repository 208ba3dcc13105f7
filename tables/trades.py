"""State of a partition of the trade table: each trade that is open, or closed a short while ago.

One record per action (key ``trade_id NUL action_id``) and one per close (key ``trade_id``), so that an
action of a trade with thousands of them still writes one small record. Each remembers the offset it came
from: the same record again is a redelivery and sends its outputs again, another with the same content is
a duplicate and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from learning.attribution import EMPTY, Trade, deadline_at_ms
from learning.parameters import Parameters
from leverloop.events import ActionLogged, TradeClosed
from tables.catalogue import TRADES
from tables.encoding import Encoding
from tables.state import PartitionState

__all__ = ["StoredAction", "StoredClose", "TradesPartition", "action_key", "close_key", "keys_of", "stored"]

_NUL: Final = b"\x00"  # no id contains one: leverloop.events refuses control characters


class StoredAction(msgspec.Struct, frozen=True, tag="action"):
    """An action and the offset it came from."""

    offset: int
    action: ActionLogged


class StoredClose(msgspec.Struct, frozen=True, tag="close"):
    """A close and the offset it came from."""

    offset: int
    close: TradeClosed


_ENCODING: Final[Encoding[StoredAction | StoredClose]] = Encoding(
    TRADES.version,
    StoredAction | StoredClose,  # type: ignore[arg-type]
)


def action_key(trade_id: str, action_id: str) -> bytes:
    """Key of an action's record."""
    return trade_id.encode() + _NUL + action_id.encode()


def close_key(trade_id: str) -> bytes:
    """Key of a close's record."""
    return trade_id.encode()


def keys_of(trade_id: str, trade: Trade) -> Iterator[bytes]:
    """Every key of a trade, to delete it."""
    for action_id in trade.actions:
        yield action_key(trade_id, action_id)
    if trade.close is not None:
        yield close_key(trade_id)


def stored(value: StoredAction | StoredClose) -> bytes:
    """Bytes of a record."""
    return _ENCODING.encode(value)


class TradesPartition(PartitionState):
    """Trades of one partition, with the offsets of their records."""

    def __init__(self) -> None:
        self.newest_at_ms: dict[str, int] = {}
        """Topic -> newest event time seen by this process."""
        self._trades: dict[str, Trade] = {}
        self._offsets: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, trade_id: str) -> Trade:
        """Return a trade, empty if nothing is known of it."""
        return self._trades.get(trade_id, EMPTY)

    def offset(self, key: bytes) -> int | None:
        """Offset that a record came from, None if there is no such record."""
        return self._offsets.get(key)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        if value is None:
            self._forget(key)
            return
        record = _ENCODING.decode(value)
        self._offsets[key] = record.offset
        if isinstance(record, StoredAction):
            action = record.action
            trade = self.get(action.trade_id)
            trade = msgspec.structs.replace(trade, actions={**trade.actions, action.action_id: action})
            self._trades[action.trade_id] = trade
        else:
            trade = msgspec.structs.replace(self.get(record.close.trade_id), close=record.close)
            self._trades[record.close.trade_id] = trade

    def past_deadline(self, now_ms: int, parameters: Parameters) -> list[tuple[str, Trade]]:
        """Trades that can be forgotten at an event time, by id."""
        return sorted(
            (trade_id, trade) for trade_id, trade in self._trades.items() if deadline_at_ms(trade, parameters) < now_ms
        )

    def _forget(self, key: bytes) -> None:
        self._offsets.pop(key, None)
        trade_id, _, action_id = (part.decode() for part in key.partition(_NUL))
        trade = self.get(trade_id)
        if action_id:
            actions = {name: action for name, action in trade.actions.items() if name != action_id}
            trade = msgspec.structs.replace(trade, actions=actions)
        else:
            trade = msgspec.structs.replace(trade, close=None)
        if trade.actions or trade.close is not None:
            self._trades[trade_id] = trade
        else:
            self._trades.pop(trade_id, None)
