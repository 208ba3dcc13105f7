"""State of a partition of the trade table: each trade that is open, or closed a short while ago.

One record per action (key ``trade_id NUL action_id``) and one per close (key ``trade_id``), so that an
action of a trade with thousands of them still writes one small record. Each remembers the offset it came
from: the same record again is a redelivery and sends its outputs again, another with the same content is
a duplicate and changes nothing.

Records are held as they are written, which is smaller than their objects, and decoded when a trade is
asked for.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
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
_FAT: Final = 16
"""More records than this, and a trade stays decoded for a while: each action of a trade with thousands would decode
them all. With half as many ordinary trades would stay, in vain; with twice as many an event may decode for 0.3 ms."""
_DECODED: Final = 256
"""Records of fat trades kept decoded, about a megabyte; the trade used last stays in any case."""


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


class _Happened(msgspec.Struct, frozen=True):
    """What the state itself reads of an event."""

    event_at_ms: int


class _ActionTime(msgspec.Struct, frozen=True, tag="action"):
    """What it reads of a record: the rest is skipped, unchecked, until the trade is asked for."""

    offset: int
    action: _Happened


class _CloseTime(msgspec.Struct, frozen=True, tag="close"):
    offset: int
    close: _Happened


_TIMES: Final[Encoding[_ActionTime | _CloseTime]] = Encoding(
    TRADES.version,
    _ActionTime | _CloseTime,  # type: ignore[arg-type]
)


class _Held(msgspec.Struct, gc=False):
    """What is held of a trade beside its records."""

    trade_id: str
    keys: tuple[bytes, ...] = ()
    acted_at_ms: int | None = None
    """None without actions. None of them is earlier; the first one may be later, since actions can be deleted."""
    closed_at_ms: int | None = None

    @property
    def settled(self) -> bool:
        """Whether the deadline is counted from the close of a trade with actions."""
        return self.closed_at_ms is not None and self.acted_at_ms is not None

    @property
    def since_ms(self) -> int:
        """Event time from which its deadline is counted, or one before."""
        at_ms = self.acted_at_ms if self.closed_at_ms is None else self.closed_at_ms
        assert at_ms is not None, "a trade has an action or a close"
        return at_ms


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
        self._records: dict[bytes, bytes] = {}
        self._trades: dict[str, _Held] = {}
        self._decoded: OrderedDict[str, Trade] = OrderedDict()
        """Fat trades used lately, the last one last."""
        self._n_decoded = 0
        self._due: tuple[list[tuple[int, str]], list[tuple[int, str]]] = ([], [])
        """Heaps of (since_ms, trade_id), of trades that are not settled and of those that are.

        Entries that no longer hold stay until they come up, or until there are more of them than of trades.
        """

    def __len__(self) -> int:
        return len(self._records)

    def get(self, trade_id: str) -> Trade:
        """Return a trade, empty if nothing is known of it."""
        trade = self._decoded.get(trade_id)
        if trade is not None:
            self._decoded.move_to_end(trade_id)
            return trade
        held = self._trades.get(trade_id)
        if held is None:
            return EMPTY
        trade = self._decode(held)
        if len(held.keys) > _FAT:
            self._keep(held.trade_id, trade)
        return trade

    def offset(self, key: bytes) -> int | None:
        """Offset that a record came from, None if there is no such record."""
        value = self._records.get(key)
        return None if value is None else _TIMES.decode(value).offset

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the table."""
        trade_id = key.partition(_NUL)[0].decode()
        if value is None:
            self._forget(trade_id, key)
            return
        record = _TIMES.decode(value)
        held = self._trades.get(trade_id)
        before = None if held is None else (held.settled, held.since_ms)
        if held is None:
            held = self._trades[trade_id] = _Held(trade_id)
        elif trade_id in self._decoded:
            self._keep(trade_id, _with(self._decoded[trade_id], _ENCODING.decode(value)))
        if key not in self._records:
            held.keys = (*held.keys, key)
        self._records[key] = value
        if isinstance(record, _CloseTime):
            held.closed_at_ms = record.close.event_at_ms
        else:
            at_ms = record.action.event_at_ms
            held.acted_at_ms = at_ms if held.acted_at_ms is None else min(held.acted_at_ms, at_ms)
        if before != (held.settled, held.since_ms):
            self._await(held)

    def past_deadline(self, now_ms: int, parameters: Parameters) -> list[tuple[str, Trade]]:
        """Trades that can be forgotten at an event time, by id."""
        found: dict[str, Trade] = {}
        for settled, keep_ms in ((False, parameters.max_open_ms), (True, parameters.closed_keep_ms)):
            heap = self._due[settled]
            looked_at: dict[str, _Held] = {}
            while heap and heap[0][0] + keep_ms < now_ms:
                since_ms, trade_id = heapq.heappop(heap)
                held = self._trades.get(trade_id)
                if held is None or trade_id in looked_at or (held.settled, held.since_ms) != (settled, since_ms):
                    continue
                looked_at[trade_id] = held
                trade = self._decode(held)
                if deadline_at_ms(trade, parameters) < now_ms:
                    found[trade_id] = trade
                else:  # its first action is gone: from now on the next one counts
                    held.acted_at_ms = min(action.event_at_ms for action in trade.actions.values())
            for held in looked_at.values():  # listed until they are deleted
                self._await(held)
        return sorted(found.items())

    def _decode(self, held: _Held) -> Trade:
        trade = EMPTY
        actions: dict[str, ActionLogged] = {}
        for key in held.keys:
            record = _ENCODING.decode(self._records[key])
            if isinstance(record, StoredAction):
                actions[record.action.action_id] = record.action
            else:
                trade = _with(trade, record)
        return msgspec.structs.replace(trade, actions=actions)

    def _keep(self, trade_id: str, trade: Trade) -> None:
        """Keep a trade decoded, as the one used last, in place of those used longest ago."""
        self._let_go(trade_id)
        self._decoded[trade_id] = trade
        self._n_decoded += _events(trade)
        while self._n_decoded > _DECODED and len(self._decoded) > 1:
            self._let_go(next(iter(self._decoded)))

    def _let_go(self, trade_id: str) -> None:
        trade = self._decoded.pop(trade_id, None)
        if trade is not None:
            self._n_decoded -= _events(trade)

    def _await(self, held: _Held) -> None:
        """Expect the deadline of a trade."""
        heap = self._due[held.settled]
        heapq.heappush(heap, (held.since_ms, held.trade_id))
        if len(heap) > 2 * len(self._trades) + _DECODED:
            heap[:] = [(kept.since_ms, name) for name, kept in self._trades.items() if kept.settled == held.settled]
            heapq.heapify(heap)

    def _forget(self, trade_id: str, key: bytes) -> None:
        if self._records.pop(key, None) is None:
            return
        self._let_go(trade_id)
        held = self._trades[trade_id]
        before = (held.settled, held.since_ms)
        held.keys = tuple(kept for kept in held.keys if kept != key)
        if not held.keys:
            del self._trades[trade_id]
            return
        if key == close_key(trade_id):
            held.closed_at_ms = None
        elif held.keys == (close_key(trade_id),):
            held.acted_at_ms = None
        if before != (held.settled, held.since_ms):
            self._await(held)


def _with(trade: Trade, record: StoredAction | StoredClose) -> Trade:
    """Trade with one record more."""
    if isinstance(record, StoredClose):
        return msgspec.structs.replace(trade, close=record.close)
    return msgspec.structs.replace(trade, actions={**trade.actions, record.action.action_id: record.action})


def _events(trade: Trade) -> int:
    return len(trade.actions) + (trade.close is not None)
