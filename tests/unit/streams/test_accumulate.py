"""Accumulate: what each message writes into which table; the epochs it leads to are in tests/laws."""

import pytest

from learning.findings import Decided
from learning.outcome import OutcomeVoided
from learning.parameters import Parameters
from learning.partition import OutcomesPartition
from learning.progress import passed, told
from leverloop.scope import DEFAULT_SCHEMA
from streams.accumulate import _report, _take
from streams.codec import Watermark
from tables.outcomes import EpochsState, OutcomesState
from tests.laws.examples import EPOCH_MS, START_MS, an_outcome
from tests.laws.pipeline import Table

INPUTS = ("leverloop.actions/0", "leverloop.trades/0")
OWN_MS = START_MS + EPOCH_MS


class Stage:
    def __init__(self) -> None:
        self.view = OutcomesPartition(2, INPUTS, Parameters(), DEFAULT_SCHEMA)
        self.table = Table(lambda: OutcomesState(self.view))
        self.epochs = Table(EpochsState)

    def take(self, message: object) -> None:
        self.view.progress = self.epochs.state.progress
        _take(message, self.view, self.table, self.epochs)  # type: ignore[arg-type]
        self.view.progress = self.epochs.state.progress

    def pass_(self, epoch_at_ms: int, *sources: str) -> None:
        for source in sources or INPUTS:
            self.take(Watermark(source=source, epoch_at_ms=epoch_at_ms))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_an_outcome_and_its_epoch_are_written_under_its_id(stage: Stage) -> None:
    stage.take(an_outcome("a1"))
    assert list(stage.table.changelog) == [b"a1"]
    assert stage.view.groups[an_outcome().group].counts_from("a1") == OWN_MS


def test_a_late_outcome_counts_in_the_next_epoch_and_its_revision_with_it(stage: Stage) -> None:
    stage.pass_(OWN_MS)
    stage.take(an_outcome("a1"))
    assert stage.view.groups[an_outcome().group].counts_from("a1") == OWN_MS + EPOCH_MS
    stage.pass_(OWN_MS + 3 * EPOCH_MS)
    stage.take(an_outcome("a1", rr=-1.0, revision=1))
    assert stage.view.groups[an_outcome().group].counts_from("a1") == OWN_MS + EPOCH_MS


def test_a_void_removes_and_one_of_an_unknown_outcome_does_nothing(stage: Stage) -> None:
    stage.take(an_outcome("a1"))
    for _ in range(2):
        stage.take(OutcomeVoided(outcome_id="a1", trade_id="t1", group=an_outcome().group))
        assert len(stage.view) == len(stage.table.changelog) == 0


def test_a_watermark_is_kept_per_source_and_never_goes_back(stage: Stage) -> None:
    stage.pass_(OWN_MS, INPUTS[0])
    stage.pass_(START_MS, INPUTS[0])
    assert stage.view.progress.inputs[INPUTS[0]].newest_at_ms == OWN_MS
    assert list(stage.epochs.changelog) == [INPUTS[0].encode()]


def test_an_older_decision_writes_nothing(stage: Stage) -> None:
    stage.take(Decided(epoch_at_ms=OWN_MS, lessons_version=1))
    before = dict(stage.epochs.changelog)
    stage.take(Decided(epoch_at_ms=START_MS))
    stage.take(Decided(epoch_at_ms=OWN_MS))
    assert stage.epochs.changelog == before
    assert stage.view.progress.decided == Decided(epoch_at_ms=OWN_MS, lessons_version=1)


async def test_an_epoch_is_reported_once_by_a_process(stage: Stage) -> None:
    assert await _report(stage.view) is None
    stage.pass_(OWN_MS)
    proposal = await _report(stage.view)
    assert proposal is not None
    assert (proposal.partition, proposal.epoch_at_ms, proposal.first_epoch_at_ms) == (2, 0, OWN_MS)
    assert await _report(stage.view) is None
    stage.take(Decided(epoch_at_ms=START_MS))
    findings = await _report(stage.view)
    assert findings is not None
    assert findings.epoch_at_ms == OWN_MS
    assert await _report(stage.view) is None


def test_a_restarted_process_reports_again_what_its_tables_say_is_due(stage: Stage) -> None:
    stage.pass_(OWN_MS)
    stage.take(Decided(epoch_at_ms=START_MS))
    assert stage.view.report() is not None
    progress = told(passed(stage.view.progress, INPUTS[0], OWN_MS), Decided(epoch_at_ms=START_MS))
    stage.view = OutcomesPartition(2, INPUTS, Parameters(), DEFAULT_SCHEMA)
    stage.epochs.recover()
    stage.view.progress = stage.epochs.state.progress
    assert stage.view.progress == progress
    assert stage.view.due() == OWN_MS
