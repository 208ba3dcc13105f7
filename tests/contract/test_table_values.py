"""Values of tables, byte for byte as each version wrote them: they decode for ever.

`table_values.json` has one line per kind of record and version. A change that makes a line unreadable, or
read as something else, needs a new version in `tables.catalogue`, a reader of the old one in its module,
and a new line here; lines are never edited.
"""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from learning.baseline import GroupBaseline
from learning.book import Book
from learning.findings import AcceptedLesson, Candidate, Decided, Findings, GroupTest
from learning.lessons import nominated
from learning.outcome import Companion
from learning.progress import Passed
from learning.publishing import Published
from learning.rows import row_of
from leverloop.errors import InvariantBroken
from leverloop.events import Controls, Counterfactual, Decision, DecisionOverride
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.testing import AT_MS, make_snapshot
from tables.announced import _ENCODING as ANNOUNCED_ENCODING
from tables.announced import _FIRST as FIRST_ANNOUNCED
from tables.announced import AnnouncedState, stored_announced
from tables.book import _ENCODING as BOOK_ENCODING
from tables.book import stored_book
from tables.catalogue import TABLES
from tables.encoding import Encoding
from tables.outcomes import _FIRST_OUTCOME, _PROGRESS, _StoredOutcome, read_outcome, stored_outcome, stored_progress
from tables.trades import _ENCODING as TRADES_ENCODING
from tables.trades import StoredAction, StoredClose, stored
from tests.laws.examples import EPOCH_MS, START_MS, a_close, an_action, an_outcome, some_evidence, some_stats

GOLDEN: dict[str, str] = json.loads((Path(__file__).parent / "table_values.json").read_text())

CONTROLS = Controls(signals={"TS": 0.5}, applied_knobs={"trail_mult": 1.25, "phase_scaling": {"S1": 0.75}})
DECISION = Decision(
    reason="MATCHED", arm="treated", propensity=0.95, snapshot_version=7,
    overrides=(DecisionOverride(id="o", weight=0.5, levers={"size_mult": 1.125}),), after={"size_mult": 1.125},
)  # fmt: skip
COUNTERFACTUAL = Counterfactual(missed_entry_rr=0.5, deltas={"trail_mult": {"1.25": -0.25}})
SCOPE: dict[str, Any] = {"bucket": "micro", "bucket_rank_position": 2}
STATS = some_stats(avg_rr=0.75, win_rate=0.5, rr_baseline=0.125, delta_rr=0.625, edge_raw=None, field_coherence=None)
EVIDENCE = some_evidence(STATS, effect_rr=0.75, error_rr=0.125, shrunk_rr=0.5, p_value=0.001953125)
GROUP = "pm.uptrend.S1.buy_flag|entry"
NOMINATED, NOMINATION = nominated("pm_strength", "pm", GROUP, SCOPE, EVIDENCE, epoch_at_ms=START_MS, ordinal=1)
LESSON = msgspec.structs.replace(NOMINATED, state="active", reason="significant")
EVENT = msgspec.structs.replace(NOMINATION, to_state="active", reason="significant")
TEST = GroupTest(
    group=GROUP, trades=40, lessons_version=1, tested_by_dims=(3, 2, 1),
    candidates=(Candidate(scope=SCOPE, evidence=EVIDENCE),),
)  # fmt: skip
BASELINE = GroupBaseline(group=GROUP, category="pm|entry", segments=((("micro", "1h"), (10, -123_456)),))
DAYS = ((20_089, 3, -250_000),)

OUTCOME = an_outcome(
    scope=SCOPE, controls=CONTROLS, decision=DECISION, counterfactual=COUNTERFACTUAL,
    companions=(Companion(group="pm.uptrend.S0.exit|exit", scope={"E_mode": "patient"}),),
)  # fmt: skip
ROW = row_of(OUTCOME, START_MS + EPOCH_MS, DEFAULT_SCHEMA)

PUBLISHED = Published(
    offset=7, version=14, standing=make_snapshot(version=13), newest=make_snapshot(version=14), killed=True,
    pinned=make_snapshot(version=12), refusal="too far", commands=("a", "b"), kept={12: 0, 13: 3},
)  # fmt: skip

EXAMPLES: dict[str, tuple[Encoding[Any], Any]] = {
    "trades action": (
        TRADES_ENCODING,
        StoredAction(offset=7, action=an_action(scope=SCOPE, controls=CONTROLS, decision=DECISION, a_value=0.5)),
    ),
    "trades close": (
        TRADES_ENCODING,
        StoredClose(offset=8, close=a_close(rr=None, counterfactual=COUNTERFACTUAL, payback_ms=9, revision=1)),
    ),
    "epochs passed": (_PROGRESS, Passed(first_at_ms=START_MS, newest_at_ms=START_MS + EPOCH_MS)),
    "epochs decided": (
        _PROGRESS,
        Decided(
            epoch_at_ms=START_MS, lessons_version=2, baselines=(BASELINE,), days=DAYS, tested={GROUP: (40, 1)},
            lessons=(AcceptedLesson(id=LESSON.id, group=GROUP, scope=SCOPE, effect_rr=0.75),),
        ),
    ),
    "book": (
        BOOK_ENCODING,
        Book(
            epoch_at_ms=START_MS, version=3, lessons_version=2, lessons={LESSON.id: LESSON}, tests={GROUP: TEST},
            baselines=(BASELINE,), days=DAYS, events=(EVENT,), outcomes=99, trades=40,
        ),
    ),
    "book findings": (
        BOOK_ENCODING,
        Findings(
            partition=2, epoch_at_ms=START_MS, outcomes=99, trades=40, baselines=(BASELINE,), days=DAYS,
            tests=(TEST,), evidence={LESSON.id: EVIDENCE},
        ),
    ),
}  # fmt: skip


def test_every_table_has_its_lines() -> None:
    written = {(name.split()[0], int(name.split()[-1])) for name in GOLDEN}
    assert {(table.name, table.version) for table in TABLES} <= written
    assert {name.rpartition(" ")[0] for name in GOLDEN} == {*EXAMPLES, "announced", "outcomes"}


@pytest.mark.parametrize("version", [1, 2])
def test_an_outcome_reads_as_the_row_that_it_was(version: int) -> None:
    """Version 1 held the outcome of the topic; the key is the id."""
    assert read_outcome(b"a1", bytes.fromhex(GOLDEN[f"outcomes {version}"])) == ROW


def test_an_outcome_is_written_as_the_newest_version() -> None:
    assert stored_outcome(ROW).hex() == GOLDEN["outcomes 2"]
    first = _FIRST_OUTCOME.encode(_StoredOutcome(START_MS + EPOCH_MS, OUTCOME))
    assert read_outcome(b"a1", first) == ROW


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x03\x00"])
def test_an_outcome_of_another_version_is_an_invariant_broken(value: bytes) -> None:
    with pytest.raises(InvariantBroken, match="in the table, this engine reads"):
        read_outcome(b"a1", value)


ENCODED = [name for name in GOLDEN if not name.startswith("outcomes")]


@pytest.mark.parametrize("name", [name for name in ENCODED if not name.startswith("announced")])
def test_what_was_written_reads_as_what_it_was(name: str) -> None:
    encoding, value = EXAMPLES[name.rpartition(" ")[0]]
    raw = bytes.fromhex(GOLDEN[name])
    assert raw[0] == int(name.rpartition(" ")[2])
    assert encoding.decode(raw) == value


def test_an_announced_version_reads_as_what_it_was() -> None:
    """Version 1 held no content: the next version is counted on from it, and nothing stands that could be compared."""
    first = bytes.fromhex(GOLDEN["announced 1"])
    found = FIRST_ANNOUNCED.decode(first)
    assert (found.version, found.epoch_at_ms) == (12, AT_MS)
    assert re.fullmatch("[0-9a-f]{32}", found.content_hash)
    state = AnnouncedState()
    state.apply(b"pm", first)
    assert state.of("pm") == Published(version=12)
    state.apply(b"pm", bytes.fromhex(GOLDEN["announced 2"]))
    assert state.of("pm") == PUBLISHED


@pytest.mark.parametrize(("encoding", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_what_is_written_now_reads_back(encoding: Encoding[Any], value: Any) -> None:
    assert encoding.decode(encoding.encode(value)) == value
    assert encoding.encode(value)[0] == 1


def test_writers_use_these_encodings() -> None:
    kinds = (StoredAction, StoredClose, Passed, Decided, Book, Findings)
    writers: dict[Any, Any] = dict(
        zip(
            kinds,
            (stored, stored, stored_progress, stored_progress, stored_book, stored_book),
            strict=True,
        )
    )
    for encoding, value in EXAMPLES.values():
        assert writers[type(value)](value) == encoding.encode(value)
    assert ANNOUNCED_ENCODING.decode(stored_announced(PUBLISHED)).version == 14


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("version", [0, 3, 255])
def test_another_version_or_a_damaged_value_is_an_invariant_broken(name: str, version: int) -> None:
    encodings = {"announced 1": FIRST_ANNOUNCED, "announced 2": ANNOUNCED_ENCODING}
    encoding = encodings.get(name) or EXAMPLES[name.rpartition(" ")[0]][0]
    raw = bytes.fromhex(GOLDEN[name])
    with pytest.raises(InvariantBroken, match=f"version {version:02x} in the table, this engine reads {raw[0]:02x}"):
        encoding.decode(bytes([version]) + raw[1:])
    with pytest.raises(InvariantBroken, match="a damaged value in the table"):
        encoding.decode(raw[:-1])
    with pytest.raises(InvariantBroken, match="version  in the table"):
        encoding.decode(b"")


@pytest.mark.parametrize("name", [name for name in EXAMPLES if "findings" not in name])
def test_a_reader_passes_over_fields_it_does_not_know(name: str) -> None:
    """A rollback reads what a newer engine of the same version wrote."""
    encoding, value = EXAMPLES[name]
    fields = msgspec.msgpack.decode(encoding.encode(value)[1:])
    fields["of_tomorrow"] = [1, 2]
    assert encoding.decode(b"\x01" + msgspec.msgpack.encode(fields)) == value
