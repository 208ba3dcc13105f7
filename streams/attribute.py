"""Stage: actions, trades -> attribution -> trades table -> outcomes, dead letters (spec sections 4, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import faust
import msgspec

from learning.attribution import close_trade, log_action, outcomes
from learning.epochs import passed_epoch
from learning.parameters import Parameters
from leverloop.errors import BadInput
from leverloop.events import parse_action, parse_trade
from leverloop.partitions import partition_of
from leverloop.scope import ScopeSchema
from streams.codec import Watermark, dead_letter, encode
from streams.records import Record, raw_topic, record_of
from streams.topics import ACTIONS, DEAD_LETTERS, INPUTS, OUTCOMES
from tables.partitioned import PartitionedTable
from tables.trades import StoredAction, StoredClose, TradesPartition, action_key, close_key, keys_of, stored

__all__ = ["Effects", "attribute", "effects_of"]


class Effects(msgspec.Struct, kw_only=True):
    """What one input record does: records to write, keys to delete, messages to send."""

    writes: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    outcomes: list[tuple[int, bytes, bytes]] = []
    """(partition, key, value) for the outcomes topic."""
    dead_letters: list[bytes] = []


def attribute(
    app: faust.App,
    table: PartitionedTable[TradesPartition],
    *,
    partitions: int,
    parameters: Parameters,
    schema: ScopeSchema,
    guarded: Callable[[Any], Any],
) -> None:
    """Wire the stage into an app."""
    out, dead = raw_topic(app, OUTCOMES), raw_topic(app, DEAD_LETTERS)

    async def run(stream: Any) -> None:
        async for event in stream.events():
            record = record_of(event)
            effects = effects_of(record, table.state(record.partition), partitions, parameters, schema)
            for key, value in effects.writes:
                table[key] = value
            for key in effects.deletes:
                del table[key]
            for partition, key, value in effects.outcomes:
                await out.send(key=key, value=value, partition=partition)
            for value in effects.dead_letters:
                await dead.send(key=record.source.encode(), value=value, partition=record.partition)

    app.agent(raw_topic(app, *INPUTS), name="attribute")(guarded(run))


def effects_of(
    record: Record, state: TradesPartition, partitions: int, parameters: Parameters, schema: ScopeSchema
) -> Effects:
    """Return what an input record does, given the trades of its partition; the state itself stays as it is.

    A redelivered record (same offset as the one in the table) has its effects once more: what it wrote
    before a crash may never have arrived. Everything written or sent carries its own identity.
    """
    effects = Effects()
    try:
        at_ms = _take_action if record.topic == ACTIONS else _take_close
        seen_at_ms = at_ms(record, state, partitions, parameters, schema, effects)
    except BadInput as bad:
        effects.dead_letters.append(_refusal(bad, record, record.value))
        return effects
    before = state.newest_at_ms.get(record.topic)
    now = max(seen_at_ms, before or 0)
    state.newest_at_ms[record.topic] = now
    epoch = passed_epoch(now, parameters)
    if before is None or epoch > passed_epoch(before, parameters):
        mark = encode(Watermark(source=record.source, epoch_at_ms=epoch, offset=record.offset))
        # In front of the outcomes: those of this record belong to what comes after the epoch.
        effects.outcomes[:0] = [(p, record.source.encode(), mark) for p in range(partitions)]
        _expire(record, state, parameters, effects)
    return effects


def _take_action(
    record: Record,
    state: TradesPartition,
    partitions: int,
    parameters: Parameters,
    schema: ScopeSchema,
    effects: Effects,
) -> int:
    action = parse_action(record.value, received_at_ms=record.received_at_ms, schema=schema)
    before = state.get(action.trade_id)
    trade = log_action(before, action, parameters)
    key = action_key(action.trade_id, action.action_id)
    if trade is not before or state.offset(key) == record.offset:
        kept = StoredAction(offset=record.offset, action=trade.actions[action.action_id])
        effects.writes.append((key, stored(kept)))
        effects.outcomes.extend(_messages(outcomes(trade, parameters), partitions))
    return action.event_at_ms


def _take_close(
    record: Record,
    state: TradesPartition,
    partitions: int,
    parameters: Parameters,
    schema: ScopeSchema,  # noqa: ARG001  (a close has no scope)
    effects: Effects,
) -> int:
    close = parse_trade(record.value, received_at_ms=record.received_at_ms)
    before = state.get(close.trade_id)
    trade = close_trade(before, close)
    key = close_key(close.trade_id)
    if (trade is not before or state.offset(key) == record.offset) and trade.close is not None:
        effects.writes.append((key, stored(StoredClose(offset=record.offset, close=trade.close))))
        effects.outcomes.extend(_messages(outcomes(trade, parameters), partitions))
    return close.event_at_ms


def _messages(found: tuple[Any, ...], partitions: int) -> Iterator[tuple[int, bytes, bytes]]:
    for outcome in found:
        key = outcome.group.encode()
        yield partition_of(key, partitions), key, encode(outcome)


def _expire(record: Record, state: TradesPartition, parameters: Parameters, effects: Effects) -> None:
    """Forget trades past their deadline; those that never came together are listed as dead letters."""
    if len(state.newest_at_ms) < len(INPUTS):
        return
    now_ms = min(state.newest_at_ms.values())
    for trade_id, trade in state.past_deadline(now_ms, parameters):
        effects.deletes.extend(keys_of(trade_id, trade))
        if trade.close is None or not trade.actions:
            missing = "a close" if trade.close is None else "an action"
            bad = BadInput("trade_id", f"{missing} within max_open", trade_id)
            effects.dead_letters.append(_refusal(bad, record, trade_id.encode()))


def _refusal(bad: BadInput, record: Record, original: bytes) -> bytes:
    return encode(
        dead_letter(
            bad,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            received_at_ms=record.received_at_ms,
            original=original,
        )
    )
