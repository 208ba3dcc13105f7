"""Revisions, voids, duplicates, poison and crashes, in any interleaving: the same outcomes stand at the end.

What an epoch on the way counts may differ there: a correction is applied when it is read.
"""

from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from learning.attribution import EMPTY, close_trade, log_action, outcomes
from learning.outcome import Outcome
from learning.parameters import DAY_MS, Parameters
from learning.rows import FIXED, Row, row_of
from leverloop.events import parse_action, parse_trade
from leverloop.scope import DEFAULT_SCHEMA
from streams.codec import DeadLetter
from streams.topics import ACTIONS
from tests.laws.pipeline import Pipeline
from tests.laws.streams import Document, Stream, small_stream

PARAMETERS = Parameters(epoch_ms=DAY_MS, min_clusters=4)


def troubled(seed: int) -> Stream:
    """A stream with corrections behind their close, every fourth event twice, and poison here and there."""
    random = Random(seed)
    actions, closes = small_stream(seed, trades=60, days=8)
    late: list[tuple[int, Document]] = [(i, trade) for i, trade in enumerate(closes)]
    for i, trade in enumerate(closes):
        if random.random() < 0.3:
            corrected = trade | {"rr": -3.0, "revision": 1 + i % 2, "void": random.random() < 0.4}
            late.append((i + random.randrange(1, 40), corrected))
    late.sort(key=lambda entry: entry[0])
    return _with_trouble(random, actions), _with_trouble(random, [trade for _, trade in late])


def _with_trouble(random: Random, documents: list[Document]) -> list[Document]:
    found: list[Document] = []
    for document in documents:
        found.append(document)
        if random.random() < 0.25:
            found.append(document | {"recorded_at_ms": document["event_at_ms"]})
        if random.random() < 0.1:
            found.append(document | {"module": "xx"})
    return found


def expected_outcomes(stream: Stream) -> dict[str, Outcome]:
    """What stands when every trade is joined at leisure."""
    trades: dict[str, Any] = {}
    for document in stream[0] + stream[1]:
        raw, trade_id = msgspec.json.encode(document), document["trade_id"]
        before = trades.get(trade_id, EMPTY)
        if document["module"] == "xx":
            continue
        if "action_id" in document:
            trades[trade_id] = log_action(before, parse_action(raw, received_at_ms=2**53), PARAMETERS)
        else:
            trades[trade_id] = close_trade(before, parse_trade(raw, received_at_ms=2**53))
    found = [outcome for trade in trades.values() for outcome in outcomes(trade, PARAMETERS)]
    return {outcome.outcome_id: outcome for outcome in found if isinstance(outcome, Outcome)}


def timeless(row: Row) -> Row:
    """A row whatever epoch it counts from: that may differ from run to run where corrections come late."""
    fixed = np.frombuffer(row.fixed, dtype=FIXED).copy()
    fixed["counts_from_ms"] = 0
    return row._replace(fixed=fixed.tobytes())


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_outcomes_stand_at_the_end(seed: int, crashes: bool) -> None:
    stream = troubled(seed)
    pipeline = Pipeline(1 + seed % 3, PARAMETERS, Random(seed), crashes=crashes)
    pipeline.feed(stream)
    pipeline.run()
    standing = {row.outcome_id.decode(): timeless(row) for view in pipeline.views for row in view.rows()}
    expected = expected_outcomes(stream)
    assert standing == {name: timeless(row_of(outcome, 0, DEFAULT_SCHEMA)) for name, outcome in expected.items()}
    letters = {
        (found.topic, found.partition, found.offset): found
        for found in (msgspec.json.decode(raw, type=DeadLetter) for raw in pipeline.dead_letters)
    }
    assert {letter.field for letter in letters.values()} == {"module"}
    assert len(letters) == sum(document["module"] == "xx" for part in stream for document in part)
    assert any(letter.topic == ACTIONS for letter in letters.values())


@pytest.mark.parametrize("seed", range(2))
def test_tables_read_back_are_what_the_stages_hold(seed: int) -> None:
    """Recovery from the changelog gives the state that the writes gave."""
    pipeline = Pipeline(2, PARAMETERS, Random(seed))
    pipeline.feed(troubled(seed))
    pipeline.run()
    for p in range(2):
        held = sorted(pipeline.views[p].rows())
        progress, trades = pipeline.epochs[p].state.progress, pipeline.trades[p].state
        keys = sorted(pipeline.trades[p].changelog)
        ids = sorted({key.partition(b"\x00")[0].decode() for key in keys})
        joined = [trades.get(trade_id) for trade_id in ids]
        pipeline._crash("outcomes", p)
        pipeline._crash(ACTIONS, p)
        assert held
        assert sorted(pipeline.views[p].rows()) == held
        assert pipeline.epochs[p].state.progress == progress
        recovered = pipeline.trades[p].state
        assert [recovered.get(trade_id) for trade_id in ids] == joined
        assert [recovered.offset(key) for key in keys] == [trades.offset(key) for key in keys]
        assert len(recovered) == len(trades) == len(keys)
    book = pipeline.book.state.book
    pipeline._crash("findings", 0)
    assert pipeline.book.state.book == book
