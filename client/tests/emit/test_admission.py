"""What an emitter takes the engine's parser takes; what that refuses is refused here, before anything is buffered."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.tests.examples import ACTION, TRADE
from client.tests.strategies import actions, trades
from leverloop.embedded_log import EmbeddedLog
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC, Emitter, open_emitter
from leverloop.emit.admission import Admission
from leverloop.emit.kafka import KafkaEmitter
from leverloop.errors import BadInput
from leverloop.events import ActionLogged, TradeClosed, parse_action, parse_trade
from leverloop.scope import DEFAULT_SCHEMA, Dimension, ScopeSchema
from leverloop.testing import AT_MS, MemoryEmitter

DAY_MS = 86_400_000
ENTRY = msgspec.convert(ACTION, ActionLogged)
CLOSE = msgspec.convert(TRADE, TradeClosed)

values = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["micro", "mikro", "Dip", "x" * 65])
)
names = st.sampled_from([d.name for d in DEFAULT_SCHEMA.dimensions]) | st.text(max_size=5)
changes = st.fixed_dictionaries(
    {},
    optional={
        "module": st.sampled_from(["pm", "dm", "hedge"]),
        "pattern_key": st.sampled_from(["foo", "dm.a.b.c", "a.b.c", "pm.a.b.c d"]) | st.text(max_size=5),
        "action_type": st.sampled_from(["hello", "E1", "allocation", "panic_exit", ""]),
        "action_category": st.sampled_from([None, "entry", "exit", "allocation"]),
        "event_at_ms": st.sampled_from([0, AT_MS, AT_MS + DAY_MS, AT_MS + DAY_MS + 1, 2**60]),
        "scope": st.dictionaries(names, values, max_size=4),
        "size_frac": st.floats(),
    },
)
trade_changes = st.fixed_dictionaries(
    {},
    optional={
        "opened_at_ms": st.sampled_from([0, AT_MS, AT_MS + 1]),
        "event_at_ms": st.sampled_from([AT_MS, AT_MS + DAY_MS, AT_MS + DAY_MS + 1]),
        "rr": st.none() | st.floats(),
        "return_frac": st.floats(-1.0, 1.0),
        "max_drawdown_frac": st.sampled_from([0.0, 0.1, -0.1]),
        "void": st.booleans(),
    },
)


def taken(take: Callable[[], bytes]) -> bytes | None:
    try:
        return take()
    except BadInput:
        return None


def parses(parse: Callable[..., Any], event: Any) -> bool:
    """Whether the engine takes what anybody's JSON writer makes of the event."""
    try:
        parse(msgspec.json.encode(event), received_at_ms=AT_MS)
    except BadInput:
        return False
    return True


def finite(event: Any) -> bool:
    """NaN goes out as null, which a reader may take as something else."""
    return b"null" not in msgspec.json.encode(event) or not any(
        isinstance(value, float) and value - value != 0.0
        for value in (*msgspec.structs.astuple(event), *getattr(event, "scope", {}).values())
    )


@given(actions(), changes, st.integers(0, DAY_MS))
def test_an_action_is_taken_if_and_only_if_the_engine_takes_it(
    action: ActionLogged, change: dict[str, Any], later_ms: int
) -> None:
    event = msgspec.structs.replace(action, **change)
    raw = taken(lambda: Admission().action(event, logged_at_ms=AT_MS))
    assert (raw is not None) == (parses(parse_action, event) and finite(event))
    if raw is not None:
        read = parse_action(raw, received_at_ms=AT_MS + later_ms)
        assert (read.action_id, read.event_at_ms, read.controls) == (event.action_id, event.event_at_ms, event.controls)


@given(trades(), trade_changes, st.integers(0, DAY_MS))
def test_a_trade_is_taken_if_and_only_if_the_engine_takes_it(
    trade: TradeClosed, change: dict[str, Any], later_ms: int
) -> None:
    event = msgspec.structs.replace(trade, **change)
    raw = taken(lambda: Admission().trade(event, logged_at_ms=AT_MS))
    assert (raw is not None) == (parses(parse_trade, event) and finite(event))
    if raw is not None:
        assert parse_trade(raw, received_at_ms=AT_MS + later_ms) == event


BAD: list[tuple[ActionLogged | TradeClosed, dict[str, Any], str]] = [
    (ENTRY, {"pattern_key": "foo"}, r"pattern_key: expected <module>\.<family>.*, was 'foo'"),
    (ENTRY, {"action_type": "hello"}, r"action_type: expected one of add, allocation.*, was 'hello'"),
    (ENTRY, {"scope": {"bucket": 1}}, r"scope\.bucket: expected a string, was 1"),
    (ENTRY, {"scope": {"bucket": "mikro"}}, r"scope\.bucket: expected one of nano, micro.*, was 'mikro'"),
    (ENTRY, {"scope": {"bucket_rank_position": "2"}}, r"scope\.bucket_rank_position: expected an integer 1\.\.6, was"),
    (ENTRY, {"event_at_ms": 2**53 - 1}, r"event_at_ms: expected at most a day after"),
    (CLOSE, {"rr": None}, r"rr: expected a number; null only"),
    (CLOSE, {"opened_at_ms": AT_MS + 1}, r"opened_at_ms: expected a time not after"),
]


def log(emitter: Emitter, event: ActionLogged | TradeClosed) -> None:
    if isinstance(event, ActionLogged):
        emitter.log_action(event)
    else:
        emitter.log_trade(event)


@pytest.fixture(params=["memory", "embedded", "kafka"])
def emitter(request: pytest.FixtureRequest, tmp_path: Path) -> Emitter:
    """An emitter that is not open; no broker is there."""
    if request.param == "memory":
        return MemoryEmitter()
    if request.param == "kafka":
        return KafkaEmitter("127.0.0.1:9", buffer_dir=tmp_path, start_timeout_s=0.01, close_timeout_s=0.01)
    with EmbeddedLog(tmp_path / "log.db") as made:
        made.create_topic(ACTIONS_TOPIC, 1)
        made.create_topic(TRADES_TOPIC, 1)
    return open_emitter(f"embedded://{tmp_path}/log.db")


async def test_every_emitter_refuses_by_field_and_value_what_the_engine_refuses(emitter: Emitter) -> None:
    async with emitter:
        for event, change, message in BAD:
            with pytest.raises(BadInput, match=message):
                log(emitter, msgspec.structs.replace(event, **change))
        log(emitter, ENTRY)
        assert emitter.status().taken_count == 1  # nothing of the others is in the buffer


def test_a_name_that_the_engine_ignores_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    admission = Admission()
    with caplog.at_level(logging.WARNING, "leverloop.emit"):
        for scope in ({"bukket": "micro"}, {"bukket": "nano", "chain": "sol"}, {"bucket": "micro"}):
            admission.action(msgspec.structs.replace(ENTRY, scope=scope), logged_at_ms=AT_MS)
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" action_id")[0] for text in told] == [
        "scope_name_ignored module=pm name='bukket'",
        "scope_name_ignored module=pm name='chain'",
    ]
    assert "macro_phase, meso_phase" in told[0]


def test_names_made_up_anew_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    admission = Admission()
    for number in range(1_000):
        event = msgspec.structs.replace(ENTRY, scope={f"x{number}": "y"})
        assert admission.action(event, logged_at_ms=AT_MS)
    assert len(caplog.records) == 100


def test_dimensions_of_ones_own_are_checked_by_the_schema_that_is_given() -> None:
    venue = Dimension(bit=18, name="venue", modules=("pm",), values=("cex", "dex"))
    pm = DEFAULT_SCHEMA.modules["pm"]
    modules = DEFAULT_SCHEMA.modules | {"pm": msgspec.structs.replace(pm, dimensions=(*pm.dimensions, "venue"))}
    schema = ScopeSchema(dimensions=(*DEFAULT_SCHEMA.dimensions, venue), modules=modules)
    admission = Admission(schema)
    raw = admission.action(msgspec.structs.replace(ENTRY, scope={"venue": "dex"}), logged_at_ms=AT_MS)
    assert parse_action(raw, received_at_ms=AT_MS, schema=schema).scope == {"venue": "dex"}
    with pytest.raises(BadInput, match=r"scope\.venue: expected one of cex, dex, was 'moon'"):
        admission.action(msgspec.structs.replace(ENTRY, scope={"venue": "moon"}), logged_at_ms=AT_MS)
