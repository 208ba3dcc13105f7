"""Events in: what a PM or a DM logs, and the one door through which they are read (spec section 4).

Structs are tolerant readers: unknown fields are ignored, new fields have defaults. `parse_action` and
`parse_trade` refuse everything else at the edge, with the field and the value, so that nothing behind
them has to check again.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from leverloop.diagnosis import check_finite, diagnose
from leverloop.errors import BadInput
from leverloop.patterns import ActionCategory, Module, action_category, canonical_pattern_key
from leverloop.scope import DEFAULT_SCHEMA, ScopeSchema

__all__ = [
    "MAX_EVENT_BYTES",
    "ActionLogged",
    "Controls",
    "Counterfactual",
    "Decision",
    "DecisionOverride",
    "Regime",
    "TradeClosed",
    "content_hash",
    "encode",
    "encode_action",
    "encode_trade",
    "parse_action",
    "parse_trade",
]

MAX_EVENT_BYTES: Final = 64 * 1024
_EARLIEST_MS: Final = 1_230_768_000_000  # 2009-01-01: before the first block there was nothing to trade
_AHEAD_MS: Final = 86_400_000  # a producer's clock may be wrong by hours, not by more than a day
_LARGEST_INT: Final = 2**53 - 1  # what JSON readers of every language keep exactly, and int64 sums do not overflow on
_UNIT_SIGNALS: Final = ("TS", "OX", "DX", "EDX")

AtMs = Annotated[int, msgspec.Meta(ge=_EARLIEST_MS, le=_LARGEST_INT, description="milliseconds since the epoch, UTC")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
OverrideId = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]  # holds a pattern key
Unit = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST_INT)]
Event = TypeVar("Event")


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """Signals seen and knobs used at an action; TS, OX, DX and EDX lie in [0, 1]."""

    signals: dict[str, float] = {}
    applied_knobs: dict[str, float | dict[str, float]] = {}


class Regime(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of the regime at an action, as the trader computed them."""

    macro_score: float | None = None
    meso_score: float | None = None
    micro_score: float | None = None
    leader_slope: float | None = None
    leader_confidence: float | None = None


class DecisionOverride(msgspec.Struct, frozen=True, kw_only=True):
    """One override that matched: its weight in the blend (0: matched, cut off) and the levers it contributed."""

    id: OverrideId
    weight: Fraction
    levers: dict[str, float] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the client decided for an action: it goes into the ActionLogged (spec section 12)."""

    reason: str
    arm: Literal["treated", "holdout", "none"]
    propensity: Unit
    """Probability with which the trade was in this arm."""
    snapshot_version: Count | None = None
    overrides: tuple[DecisionOverride, ...] = ()
    before: dict[str, float] = {}
    after: dict[str, float] = {}


class ActionLogged(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a trade: the pattern it acted on, the scope it acted in, the controls it used."""

    schema_version: Literal[1] = 1
    action_id: Id
    trade_id: Id
    module: Module
    pattern_key: str
    action_type: str
    action_category: ActionCategory | None = None
    event_at_ms: AtMs
    recorded_at_ms: AtMs | None = None
    scope: dict[str, Any]
    controls: Controls = Controls()
    size_frac: Unit | None = None
    a_value: Unit | None = None
    e_value: Unit | None = None
    regime: Regime | None = None
    decision: Decision | None = None

    @property
    def category(self) -> ActionCategory:
        """Category by the mapping of spec section 2."""
        return self.action_category or action_category(self.action_type, self.module)


class Counterfactual(msgspec.Struct, frozen=True, kw_only=True):
    """What other choices would have earned; `deltas`: {lever: {value: rr under it less the rr it had}}."""

    missed_entry_rr: float | None = None
    best_entry_bars: float | None = None
    missed_exit_rr: float | None = None
    best_exit_bars: float | None = None
    deltas: dict[str, dict[str, float]] = {}


class TradeClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A closed trade and its result; a later revision replaces an earlier one, a void takes it back."""

    schema_version: Literal[1] = 1
    trade_id: Id
    module: Module
    symbol: Id
    opened_at_ms: AtMs
    event_at_ms: AtMs
    recorded_at_ms: AtMs | None = None
    rr: float | None
    return_frac: float
    max_drawdown_frac: Fraction
    max_gain_frac: Fraction
    payback_ms: Count | None = None
    exit_reason: str | None = None
    counterfactual: Counterfactual | None = None
    pnl_usd: float | None = None
    revision: Count = 0
    void: bool = False

    @property
    def rr_capped(self) -> bool:
        """Whether rr is the cap: a gain without any drawdown has no finite R multiple (spec section 5)."""
        return self.rr is None


_ACTIONS: Final = msgspec.json.Decoder(ActionLogged)
_TRADES: Final = msgspec.json.Decoder(TradeClosed)
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_canonical_pattern_key: Final = lru_cache(maxsize=1024)(canonical_pattern_key)  # a trader has some hundreds of them


def encode(event: ActionLogged | TradeClosed) -> bytes:
    """JSON of an event, as it goes on its topic.

    Raises
    ------
    BadInput
        For what no reader would take back as it was: JSON has no NaN, and a struct can be made with a
        value that its own type forbids.

    Examples
    --------
    >>> trade = TradeClosed(trade_id="t1", module="pm", symbol="X", opened_at_ms=1_700_000_000_000,
    ...     event_at_ms=1_700_000_060_000, rr=1.5, return_frac=0.03, max_drawdown_frac=0.02, max_gain_frac=0.03)
    >>> parse_trade(encode(trade), received_at_ms=1_700_000_060_000) == trade
    True
    """
    if isinstance(event, ActionLogged):
        return _written(_ACTIONS, event)[0]
    return _written(_TRADES, event)[0]


def encode_action(
    action: ActionLogged, *, logged_at_ms: int, schema: ScopeSchema = DEFAULT_SCHEMA
) -> tuple[bytes, tuple[str, ...]]:
    """JSON of an action that `parse_action` takes, and the names in its scope that it ignores.

    Parameters
    ----------
    action
        Action to be logged.
    logged_at_ms
        Now: it reaches its topic later.
    schema
        Scope schema, that of the engine.

    Raises
    ------
    BadInput
        As `encode` and `parse_action`.
    """
    raw, read = _written(_ACTIONS, action)
    _checked_action(read, logged_at_ms)
    return raw, schema.ignored(read.scope, read.module)


def encode_trade(trade: TradeClosed, *, logged_at_ms: int) -> bytes:
    """JSON of a closed trade that `parse_trade` takes; raise BadInput as `encode` and `parse_trade`."""
    raw, read = _written(_TRADES, trade)
    _check_trade(read, logged_at_ms)
    return raw


def _written(decoder: msgspec.json.Decoder[Event], event: Event) -> tuple[bytes, Event]:
    """JSON of an event, and what a reader makes of it."""
    try:
        raw = _ENCODER.encode(event)
    except UnicodeEncodeError as error:
        raise BadInput("$", "text that UTF-8 can write", error.object) from error
    read = _decode(decoder, raw)
    if read != event:
        check_finite(msgspec.to_builtins(event))  # NaN went out as null
    return raw, read


def content_hash(event: ActionLogged | TradeClosed) -> bytes:
    """16-byte hash of an event's content; when we recorded it is no part of that (spec section 4)."""
    content = msgspec.structs.replace(event, recorded_at_ms=None)
    return hashlib.blake2b(_ENCODER.encode(content), digest_size=16).digest()


def parse_action(raw: bytes, *, received_at_ms: int, schema: ScopeSchema = DEFAULT_SCHEMA) -> ActionLogged:
    """Return an action as logged, normalised: canonical key, its category, scope with known dimensions only.

    Parameters
    ----------
    raw
        Record value, JSON.
    received_at_ms
        When the record reached the topic: an event more than a day later is absurd.
    schema
        Scope schema.

    Raises
    ------
    BadInput
        With the field and the value, for every breach of spec section 4.

    Examples
    --------
    >>> parse_action(b'{"action_id": "a1"}', received_at_ms=0)
    Traceback (most recent call last):
    leverloop.errors.BadInput: trade_id: expected a value, the field is missing
    """
    action = _decode(_ACTIONS, raw)
    pattern_key, category = _checked_action(action, received_at_ms)
    scope, _ = schema.normalise(action.scope, action.module)
    return msgspec.structs.replace(action, pattern_key=pattern_key, action_category=category, scope=scope)


def _checked_action(action: ActionLogged, received_at_ms: int) -> tuple[str, ActionCategory]:
    """Canonical key and category, after all that the types do not say, but for the scope: for writers and readers."""
    _check_time("event_at_ms", action.event_at_ms, received_at_ms)
    category = action_category(action.action_type, action.module)
    if action.action_category not in (None, category):
        raise BadInput("action_category", f"{category} for action_type {action.action_type}", action.action_category)
    for name in _UNIT_SIGNALS:
        value = action.controls.signals.get(name, 0.0)
        if not 0.0 <= value <= 1.0:
            raise BadInput(f"controls.signals.{name}", "a number in [0, 1]", value)
    return _canonical_pattern_key(action.pattern_key, action.module), category


def parse_trade(raw: bytes, *, received_at_ms: int) -> TradeClosed:
    """Return a closed trade; raise BadInput with the field and the value for every breach of spec section 4."""
    trade = _decode(_TRADES, raw)
    _check_trade(trade, received_at_ms)
    return trade


def _check_trade(trade: TradeClosed, received_at_ms: int) -> None:
    """What the types do not say: for writers and readers."""
    _check_time("event_at_ms", trade.event_at_ms, received_at_ms)
    if trade.opened_at_ms > trade.event_at_ms:
        raise BadInput("opened_at_ms", f"a time not after event_at_ms {trade.event_at_ms}", trade.opened_at_ms)
    _check_deltas(trade.counterfactual)
    if trade.rr is None and not trade.void and not (trade.return_frac > 0 and trade.max_drawdown_frac == 0):
        raise BadInput("rr", "a number; null only where return_frac > 0 and max_drawdown_frac = 0", None)


def _decode(decoder: msgspec.json.Decoder[Event], raw: bytes) -> Event:
    if len(raw) > MAX_EVENT_BYTES:
        raise BadInput("$", f"at most {MAX_EVENT_BYTES} bytes", f"{len(raw)} bytes")
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise diagnose(raw, error) from error


def _check_deltas(counterfactual: Counterfactual | None) -> None:
    """Knob values are numbers, although JSON has them as names."""
    for lever, deltas in counterfactual.deltas.items() if counterfactual else ():
        for value in deltas:
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise BadInput(f"counterfactual.deltas.{lever}", "a finite number as knob value", value)


def _check_time(field: str, at_ms: int, received_at_ms: int) -> None:
    if at_ms > received_at_ms + _AHEAD_MS:
        raise BadInput(field, f"at most a day after it reached the topic at {received_at_ms}", at_ms)
