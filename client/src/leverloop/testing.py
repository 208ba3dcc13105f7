"""For the tests of a PM or a DM: a feed and an emitter in memory, and builders of overrides and snapshots.

They keep the contract of the real ones, so that a test that passes here does not fail on a broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from leverloop.clock import now_ms
from leverloop.emit import EmitterStatus
from leverloop.emit.admission import Admission
from leverloop.errors import Unavailable
from leverloop.events import ActionLogged, TradeClosed
from leverloop.feeds import FeedRecord
from leverloop.heartbeat import Heartbeat, encode_heartbeat
from leverloop.levers import LEVERS
from leverloop.patterns import ActionCategory, Module
from leverloop.scope import ScopeSchema, ScopeValue
from leverloop.snapshot import (
    Flags,
    LessonRef,
    Override,
    OverrideStats,
    OverrideType,
    Snapshot,
    encode_snapshot,
    sealed,
)

__all__ = ["AT_MS", "MemoryEmitter", "MemoryFeed", "make_override", "make_snapshot"]

AT_MS: Final = 1_760_000_000_000
"""A time for tests: 2025-10-09 08:53:20 UTC. Builders take it as the time of the last evidence and of publishing."""
_WEEK_MS: Final = 7 * 86_400_000


def make_override(
    levers: Mapping[str, float],
    scope: Mapping[str, ScopeValue],
    *,
    pattern_key: str = "pm.uptrend.S1.buy_flag",
    action_category: ActionCategory = "entry",
    edge_raw: float = 1.0,
    n: int = 100,
    variance: float = 1.0,
    half_life_days: float = 30.0,
    updated_at_ms: int = AT_MS,
    strength: float = 0.8,
    factor_id: str | None = None,
    enabled: bool = True,
) -> Override:
    """Override with these levers in this scope; its type follows from the levers.

    Examples
    --------
    >>> make_override({"size_mult": 1.2}, {"bucket": "micro"}).type
    'pm_strength'
    """
    kinds: set[OverrideType] = {_type_of(name) for name in levers} or {"pm_strength"}
    if len(kinds) > 1:
        raise ValueError(f"levers of one type, found {sorted(kinds)}")
    return Override(
        type=kinds.pop(),
        pattern_key=pattern_key,
        action_category=action_category,
        scope=dict(scope),
        levers=dict(levers),
        stats=OverrideStats(
            edge_raw=edge_raw, n=n, variance=variance, half_life_days=half_life_days, updated_at_ms=updated_at_ms
        ),
        lesson=LessonRef(
            id="ls_" + "_".join(f"{name}.{value}" for name, value in scope.items()),
            strength=strength,
            decay_halflife_hours=half_life_days * 24.0,
            factor_id=factor_id,
            enabled=enabled,
            created_at_ms=updated_at_ms,
        ),
    )


def make_snapshot(*overrides: Override, version: int = 1, module: Module = "pm", **fields: Any) -> Snapshot:
    """Sealed snapshot of these overrides, valid for a week from `AT_MS`.

    Parameters
    ----------
    overrides
        In any order; each goes into the list of its type.
    version, module
        Of the snapshot.
    fields
        Other fields of `Snapshot`, such as ``flags`` or ``valid_until_ms``.

    Examples
    --------
    >>> make_snapshot(make_override({"size_mult": 1.2}, {"bucket": "micro"})).version
    1
    """
    settled: dict[str, Any] = {
        "epoch_at_ms": AT_MS,
        "published_at_ms": AT_MS,
        "valid_until_ms": AT_MS + _WEEK_MS,
        "engine_version": "test",
        "config_hash": "test",
        "flags": Flags(),
    }
    return sealed(
        Snapshot(
            module=module,
            version=version,
            pattern_strength_overrides=tuple(o for o in overrides if o.type == "pm_strength"),
            pattern_overrides=tuple(o for o in overrides if o.type == "pm_tuning"),
            alloc_overrides=tuple(o for o in overrides if o.type == "dm_alloc"),
            **settled | fields,
        )
    )


class MemoryFeed:
    """Feed of what a test publishes: snapshots, heartbeats, raw bytes, or an error that the source is to raise.

    Examples
    --------
    >>> feed = MemoryFeed()
    >>> feed.publish(make_snapshot(version=3))
    """

    def __init__(self) -> None:
        self._items: Final[list[Heartbeat | bytes | Exception]] = []
        self._next = 0
        self._closed = False
        self._news: Final = asyncio.Event()
        self._idle: Final = asyncio.Event()

    def publish(self, *items: Snapshot | Heartbeat | bytes | Exception) -> None:
        """Put items behind what was published before."""
        self._items.extend(encode_snapshot(item) if isinstance(item, Snapshot) else item for item in items)
        self._idle.clear()
        self._news.set()

    async def follow(self, *keys: str) -> AsyncIterator[FeedRecord]:
        """Yield what was published, in order; raise what is an error, and go on behind it when followed again.

        Heartbeats have the last of the keys that are followed, everything else has the first.
        """
        while not self._closed:
            if self._next == len(self._items):
                self._idle.set()
                self._news.clear()
                await self._news.wait()
                continue
            item = self._items[self._next]
            self._next += 1
            if isinstance(item, Exception):
                raise item
            key, value = (keys[-1], encode_heartbeat(item)) if isinstance(item, Heartbeat) else (keys[0], item)
            yield FeedRecord(key=key, value=value, offset=self._next - 1, received_at_ms=AT_MS)

    async def handled(self) -> None:
        """Return when everything published has been taken and its reader has come back for more."""
        await self._idle.wait()

    async def close(self) -> None:
        """End every `follow`."""
        self._closed = True
        self._news.set()


class MemoryEmitter:
    """Emitter that keeps what was logged, with the same refusals as the real ones.

    Parameters
    ----------
    capacity_count
        Events that fit between two flushes.
    schema
        Scope schema that actions are checked against; None: the one that is shipped.

    Examples
    --------
    >>> MemoryEmitter().actions
    []
    """

    def __init__(self, *, capacity_count: int = 10_000, schema: ScopeSchema | None = None) -> None:
        self.actions: Final[list[ActionLogged]] = []
        self.trades: Final[list[TradeClosed]] = []
        self._capacity_count: Final = capacity_count
        self._admission: Final = Admission(schema)
        self._waiting_count = 0
        self._untaken_count = 0

    def log_action(self, action: ActionLogged) -> None:
        """Take an action; BadInput or Unavailable as from a real emitter."""
        self._admission.action(action, logged_at_ms=now_ms())
        self._admit()
        self.actions.append(action)

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade; BadInput or Unavailable as from a real emitter."""
        self._admission.trade(trade, logged_at_ms=now_ms())
        self._admit()
        self.trades.append(trade)

    def _admit(self) -> None:
        if self._waiting_count >= self._capacity_count:
            self._untaken_count += 1
            raise Unavailable(f"emitter in memory: {self._capacity_count} events wait for a flush")
        self._waiting_count += 1

    async def flush(self, timeout_s: float | None = None) -> None:  # noqa: ARG002 - it takes no time
        """Make room again."""
        self._waiting_count = 0

    def status(self) -> EmitterStatus:
        """Counters, as those of a real emitter."""
        taken_count = len(self.actions) + len(self.trades)
        return EmitterStatus(
            taken_count=taken_count,
            untaken_count=self._untaken_count,
            sent_count=taken_count - self._waiting_count,
            waiting_count=self._waiting_count,
            connected=True,
            trouble="",
        )

    async def close(self) -> None:
        """Flush."""
        await self.flush()

    async def __aenter__(self) -> Self:
        """Nothing to connect to."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()


def _type_of(lever: str) -> OverrideType:
    if lever == "alloc_mult":
        return "dm_alloc"
    return "pm_strength" if LEVERS[lever].kind == "capital" else "pm_tuning"
