"""Attribute: what one record does, record by record, without a broker (spec sections 4 and 5)."""

import base64
import itertools
from typing import Any

import msgspec
import pytest

from learning.outcome import Outcome, OutcomeVoided
from learning.parameters import Parameters
from leverloop.partitions import partition_of
from leverloop.scope import DEFAULT_SCHEMA
from streams.attribute import Effects, effects_of
from streams.codec import DeadLetter, Watermark, decode_outcomes
from streams.records import Record
from streams.topics import ACTIONS, TRADES
from tables.trades import TradesPartition
from tests.laws.examples import DAY_MS, EPOCH_MS, HOUR_MS, KEY, START_MS

PARTITIONS = 3
PARAMETERS = Parameters()
Message = Outcome | OutcomeVoided | Watermark

ACTION: dict[str, Any] = {
    "action_id": "a1", "trade_id": "t1", "module": "pm", "pattern_key": "uptrend.S1.buy_flag", "action_type": "E1",
    "event_at_ms": START_MS + HOUR_MS, "scope": {"bucket": "micro", "timeframe": "1h"},
}  # fmt: skip
CLOSE: dict[str, Any] = {
    "trade_id": "t1", "module": "pm", "symbol": "SIM1", "opened_at_ms": START_MS,
    "event_at_ms": START_MS + 2 * HOUR_MS, "rr": 1.5, "return_frac": 0.03, "max_drawdown_frac": 0.02,
    "max_gain_frac": 0.04,
}  # fmt: skip


class Stage:
    """One partition of the stage: applies what it is told, keeps what it sent."""

    def __init__(self) -> None:
        self.state = TradesPartition()
        self.received_at_ms = START_MS + 3 * HOUR_MS
        self.offsets = {ACTIONS: itertools.count(), TRADES: itertools.count()}

    def record(self, topic: str, document: dict[str, Any] | bytes, *, offset: int | None = None) -> Record:
        raw = document if isinstance(document, bytes) else msgspec.json.encode(document)
        return Record(
            topic=topic,
            partition=1,
            offset=next(self.offsets[topic]) if offset is None else offset,
            value=raw,
            received_at_ms=self.received_at_ms,
        )

    def effects(self, record: Record) -> Effects:
        return effects_of(record, self.state, PARTITIONS, PARAMETERS, DEFAULT_SCHEMA)

    def take(self, topic: str, document: dict[str, Any] | bytes, *, offset: int | None = None) -> Effects:
        effects = self.effects(self.record(topic, document, offset=offset))
        for key, value in effects.writes:
            self.state.apply(key, value)
        for key in effects.deletes:
            self.state.apply(key, None)
        return effects

    def held(self) -> Any:
        """Everything the state says, to compare."""
        state = self.state
        return dict(state._records), dict(state.newest_at_ms)


def outcomes_in(effects: Effects) -> list[Message]:
    found = [decode_outcomes(value) for _, _, value in effects.outcomes]
    return [message for message in found if not isinstance(message, Watermark)]  # type: ignore[misc]


def marks_in(effects: Effects) -> list[tuple[int, str, int]]:
    found = [(p, decode_outcomes(value)) for p, _, value in effects.outcomes]
    return [(p, mark.source, mark.epoch_at_ms) for p, mark in found if isinstance(mark, Watermark)]


def letters_in(effects: Effects) -> list[DeadLetter]:
    return [msgspec.json.decode(raw, type=DeadLetter) for raw in effects.dead_letters]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize("close_first", [False, True])
def test_an_action_and_its_close_become_an_outcome_whichever_comes_second(stage: Stage, close_first: bool) -> None:
    order = [(TRADES, CLOSE), (ACTIONS, ACTION)] if close_first else [(ACTIONS, ACTION), (TRADES, CLOSE)]
    first, second = (stage.take(topic, document) for topic, document in order)
    assert outcomes_in(first) == []
    (outcome,) = outcomes_in(second)
    assert isinstance(outcome, Outcome)
    assert (outcome.outcome_id, outcome.group, outcome.rr) == ("a1", f"{KEY}|entry", 1.5)


def test_an_outcome_goes_to_the_partition_of_its_group(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION)
    effects = stage.take(TRADES, CLOSE)
    group = f"{KEY}|entry".encode()
    sent = [(p, key) for p, key, value in effects.outcomes if isinstance(decode_outcomes(value), Outcome)]
    assert sent == [(partition_of(group, PARTITIONS), group)]


def test_what_was_written_is_what_recovery_reads(stage: Stage) -> None:
    writes: dict[bytes, bytes] = {}
    for topic, document in ((ACTIONS, ACTION), (ACTIONS, ACTION | {"action_id": "a2"}), (TRADES, CLOSE)):
        writes |= dict(stage.take(topic, document).writes)
    recovered = TradesPartition()
    for key, value in writes.items():
        recovered.apply(key, value)
    assert recovered.get("t1") == stage.state.get("t1")
    assert len(recovered) == len(stage.state) == 3


def test_a_redelivered_record_has_its_effects_once_more(stage: Stage) -> None:
    """What it wrote and sent before a crash may never have arrived."""
    stage.take(ACTIONS, ACTION)
    first = stage.take(TRADES, CLOSE, offset=7)
    again = stage.take(TRADES, CLOSE, offset=7)
    assert again.writes == first.writes
    assert outcomes_in(again) == outcomes_in(first)
    action_again = stage.take(ACTIONS, ACTION, offset=0)
    assert len(action_again.writes) == 1
    assert outcomes_in(action_again) == outcomes_in(first)


def test_the_same_event_at_another_offset_does_nothing(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION)
    stage.take(TRADES, CLOSE)
    before = stage.held()
    for topic, document in ((ACTIONS, ACTION), (TRADES, CLOSE), (ACTIONS, ACTION | {"recorded_at_ms": START_MS})):
        effects = stage.take(topic, document)
        assert effects == Effects()
    assert stage.held() == before


def test_an_earlier_revision_does_nothing_and_a_later_one_replaces(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION)
    stage.take(TRADES, CLOSE | {"revision": 1})
    assert stage.take(TRADES, CLOSE | {"rr": -9.0}) == Effects()
    (outcome,) = outcomes_in(stage.take(TRADES, CLOSE | {"revision": 2, "rr": -2.0}))
    assert isinstance(outcome, Outcome)
    assert (outcome.rr, outcome.revision) == (-2.0, 2)


def test_a_void_takes_back_and_a_later_action_of_the_trade_stays_out(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION)
    stage.take(TRADES, CLOSE)
    void = stage.take(TRADES, CLOSE | {"revision": 1, "void": True, "rr": None})
    assert [type(message).__name__ for message in outcomes_in(void)] == ["OutcomeVoided"]
    late = stage.take(ACTIONS, ACTION | {"action_id": "a2"})
    assert {type(message).__name__ for message in outcomes_in(late)} == {"OutcomeVoided"}


# --- watermarks


def test_the_first_record_of_an_input_tells_every_partition_where_it_begins(stage: Stage) -> None:
    effects = stage.take(ACTIONS, ACTION)
    assert marks_in(effects) == [(p, f"{ACTIONS}/1", START_MS) for p in range(PARTITIONS)]


def test_an_epoch_is_told_once_and_in_front_of_the_outcomes_of_what_ends_it(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION)
    stage.take(TRADES, CLOSE)
    over_ms = START_MS + EPOCH_MS + PARAMETERS.epoch_slack_ms
    before_it = CLOSE | {"trade_id": "t2", "event_at_ms": over_ms - 1, "opened_at_ms": START_MS}
    stage.take(ACTIONS, ACTION | {"action_id": "a3", "trade_id": "t3"})
    assert marks_in(stage.take(TRADES, before_it)) == []
    effects = stage.take(TRADES, before_it | {"trade_id": "t3", "event_at_ms": over_ms})
    kinds = [type(decode_outcomes(value)).__name__ for _, _, value in effects.outcomes]
    assert kinds == ["Watermark"] * PARTITIONS + ["Outcome"]
    assert marks_in(effects)[0] == (0, f"{TRADES}/1", START_MS + EPOCH_MS)
    assert marks_in(stage.take(TRADES, before_it | {"trade_id": "t4", "event_at_ms": over_ms + HOUR_MS})) == []


def test_an_old_event_moves_nothing_back(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION | {"event_at_ms": START_MS + 2 * EPOCH_MS})
    assert marks_in(stage.take(ACTIONS, ACTION | {"action_id": "a2", "event_at_ms": START_MS})) == []
    assert stage.state.newest_at_ms == {ACTIONS: START_MS + 2 * EPOCH_MS}


# --- forgetting


def test_what_never_came_together_is_listed_and_what_is_settled_is_just_forgotten(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION)
    stage.take(TRADES, CLOSE)
    stage.take(ACTIONS, ACTION | {"action_id": "b1", "trade_id": "open"})
    stage.take(TRADES, CLOSE | {"trade_id": "unheard"})
    stage.received_at_ms = much_later_ms = START_MS + 92 * DAY_MS
    later = {"event_at_ms": much_later_ms, "opened_at_ms": START_MS}
    alone = stage.take(ACTIONS, ACTION | {"action_id": "c1", "trade_id": "new", "event_at_ms": much_later_ms})
    assert letters_in(alone) == [], "the trades may still be behind"
    effects = stage.take(TRADES, CLOSE | {"trade_id": "other"} | later)
    assert [(letter.field, letter.original) for letter in letters_in(effects)] == [
        ("trade_id", "open"),
        ("trade_id", "unheard"),
    ]
    assert [letter.reason.partition(",")[0] for letter in letters_in(effects)] == [
        "trade_id: expected a close within max_open",
        "trade_id: expected an action within max_open",
    ]
    assert set(effects.deletes) == {b"t1\x00a1", b"t1", b"open\x00b1", b"unheard"}
    assert sorted(stage.state._trades) == ["new", "other"]
    assert letters_in(stage.take(TRADES, CLOSE | {"trade_id": "last"} | later)) == []


# --- poison

BAD: dict[str, tuple[str, dict[str, Any] | bytes, str]] = {
    "not JSON": (ACTIONS, b"{", "$"),
    "not UTF-8": (ACTIONS, b"\xff\xfe{}", "$"),
    "an array": (TRADES, b"[]", "$"),
    "nothing": (TRADES, b"", "$"),
    "nested without end": (ACTIONS, b"[" * 30_000, "$"),
    "over 64 KiB": (ACTIONS, b'{"action_id": "' + b"x" * 66_000 + b'"}', "$"),
    "a missing field": (ACTIONS, {k: v for k, v in ACTION.items() if k != "trade_id"}, "trade_id"),
    "a mistyped field": (TRADES, CLOSE | {"symbol": 7}, "symbol"),
    "NaN": (TRADES, msgspec.json.encode(CLOSE).replace(b"1.5", b"NaN"), "rr"),
    "infinity": (
        ACTIONS,
        msgspec.json.encode(ACTION | {"controls": {"signals": {"x": 0.25}}}).replace(b"0.25", b"Infinity"),
        "controls.signals.x",
    ),
    "a number that is none": (TRADES, msgspec.json.encode(CLOSE).replace(b"1.5", b"1e999"), "rr"),
    "before 2009": (TRADES, CLOSE | {"opened_at_ms": 1_000}, "opened_at_ms"),
    "more than a day ahead": (ACTIONS, ACTION | {"event_at_ms": START_MS + 2 * DAY_MS}, "event_at_ms"),
    "a naive time": (ACTIONS, ACTION | {"event_at_ms": "2025-01-01T00:00:00"}, "event_at_ms"),
    "opened after it closed": (TRADES, CLOSE | {"opened_at_ms": START_MS + 3 * HOUR_MS}, "opened_at_ms"),
    "an unknown type": (ACTIONS, ACTION | {"action_type": "hodl"}, "action_type"),
    "another category": (ACTIONS, ACTION | {"action_category": "exit"}, "action_category"),
    "a pattern of nobody": (ACTIONS, ACTION | {"pattern_key": "buy flag"}, "pattern_key"),
    "an unknown module": (TRADES, CLOSE | {"module": "xx"}, "module"),
    "outside the vocabulary": (ACTIONS, ACTION | {"scope": {"bucket": "huge"}}, "scope.bucket"),
    "a signal outside [0, 1]": (ACTIONS, ACTION | {"controls": {"signals": {"TS": 1.5}}}, "controls.signals.TS"),
    "rr null after a drawdown": (TRADES, CLOSE | {"rr": None}, "rr"),
    "a negative drawdown": (TRADES, CLOSE | {"max_drawdown_frac": -0.1}, "max_drawdown_frac"),
    "another schema": (ACTIONS, ACTION | {"schema_version": 2}, "schema_version"),
    "the same id with other content": (ACTIONS, ACTION | {"trade_id": "good", "action_id": "g", "a_value": 0.3}, "action_id"),
    "the same revision with other content": (TRADES, CLOSE | {"trade_id": "good", "rr": 0.1}, "revision"),
    "a lone surrogate": (ACTIONS, msgspec.json.encode(ACTION).replace(b'"E1"', b'"\\ud800"'), "$"),
    "a lone surrogate in a name": (ACTIONS, msgspec.json.encode(ACTION).replace(b'"scope":{', b'"scope":{"\\udfff":NaN,'), "scope.\\udfff"),
}  # fmt: skip


def settled(stage: Stage) -> None:
    stage.take(ACTIONS, ACTION | {"trade_id": "good", "action_id": "g"})
    stage.take(TRADES, CLOSE | {"trade_id": "good"})


@pytest.mark.parametrize(("topic", "document", "field"), BAD.values(), ids=BAD)
def test_poison_gives_one_dead_letter_that_names_the_field_and_changes_nothing(
    stage: Stage, topic: str, document: dict[str, Any] | bytes, field: str
) -> None:
    settled(stage)
    before = stage.held()
    record = stage.record(topic, document)
    effects = stage.effects(record)
    assert stage.held() == before
    assert (effects.writes, effects.deletes, effects.outcomes) == ([], [], [])
    (letter,) = letters_in(effects)
    assert letter.field == field
    assert letter.reason.startswith(f"{field}: expected ")
    assert (letter.topic, letter.partition, letter.offset) == (record.topic, record.partition, record.offset)
    assert base64.b64decode(letter.original_b64) == record.value
    assert letter.received_at_ms == record.received_at_ms


def test_good_events_between_bad_ones_all_count(stage: Stage) -> None:
    settled(stage)
    letters, counted = [], []
    for i, (topic, document, _) in enumerate(BAD.values()):
        stage.take(ACTIONS, ACTION | {"action_id": f"ok{i}", "trade_id": f"ok{i}"})
        letters.extend(letters_in(stage.take(topic, document)))
        counted.extend(outcomes_in(stage.take(TRADES, CLOSE | {"trade_id": f"ok{i}"})))
    assert len(BAD) >= 20
    assert [letter.field for letter in letters] == [field for _, _, field in BAD.values()]
    assert [message.outcome_id for message in counted if isinstance(message, Outcome)] == [
        f"ok{i}" for i in range(len(BAD))
    ]


def test_a_mended_dead_letter_can_be_sent_again(stage: Stage) -> None:
    (letter,) = letters_in(stage.take(ACTIONS, ACTION | {"action_type": "hodl"}))
    mended = base64.b64decode(letter.original_b64).replace(b"hodl", b"E1")
    stage.take(ACTIONS, mended)
    assert [message.outcome_id for message in outcomes_in(stage.take(TRADES, CLOSE))] == ["a1"]


def test_a_dead_letter_of_the_largest_record_fits_its_topic(stage: Stage) -> None:
    """A broker's default lets 1 MiB in; a letter has 4 MiB (streams.topics)."""
    for filler in (b"\x00", b"\xff", b'"'):
        (raw,) = stage.take(ACTIONS, filler * (1 << 20)).dead_letters
        assert len(raw) < 4 << 20
