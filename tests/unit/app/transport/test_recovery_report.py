"""What is told of a recovery, by a clock of our own: nothing of a short one but its end."""

import logging

import pytest

from app.transport.recovery_report import RecoveryProgress, RecoveryReport


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[RecoveryProgress]:
    return []


@pytest.fixture
def report(clock: Clock, told: list[RecoveryProgress], caplog: pytest.LogCaptureFixture) -> RecoveryReport:
    caplog.set_level(logging.INFO, "leverloop.transport")
    return RecoveryReport({"trades": 100, "outcomes": 900}, told.append, clock=clock)


def test_a_short_one_is_told_in_one_line(
    report: RecoveryReport, clock: Clock, told: list[RecoveryProgress], caplog: pytest.LogCaptureFixture
) -> None:
    report.begin("trades")
    for _ in range(4):
        clock.now_s += 0.1
        report.add(200, 250)
    report.end()
    assert told == []
    assert caplog.messages == ["recovery_finished tables=2 records=800 offsets=1000/1000 seconds=0.40 rate=2000"]


def test_a_long_one_is_told_of_every_second_with_an_estimate(
    report: RecoveryReport, clock: Clock, told: list[RecoveryProgress], caplog: pytest.LogCaptureFixture
) -> None:
    report.begin("outcomes")
    for _ in range(20):
        clock.now_s += 0.125
        report.add(40, 50)
    report.end()
    assert [message.partition(" ")[0] for message in caplog.messages] == [
        "recovery_started",
        "recovery_progressed",
        "recovery_progressed",
        "recovery_progressed",
        "recovery_finished",
    ]
    assert caplog.messages[0] == "recovery_started tables=2 offsets=1000"
    assert caplog.messages[1] == (
        "recovery_progressed table=outcomes records=160 offsets=200/1000 seconds=0.5 rate=320 eta_s=2.0"
    )
    assert [progress.finished for progress in told] == [False] * (len(told) - 1) + [True]
    assert (told[-1].records, told[-1].offsets, told[-1].eta_s) == (800, 1000, 0.0)
    assert len(told) == 18, "one for each page after half a second, and the end"


def test_it_is_told_ten_times_a_second_however_many_pages_there_are(
    report: RecoveryReport, clock: Clock, told: list[RecoveryProgress]
) -> None:
    clock.now_s += 0.5
    for _ in range(1000):
        clock.now_s += 0.001
        report.add(1, 1)
    report.end()
    assert 9 <= len(told) <= 12


def test_one_that_is_cut_short_says_so(
    report: RecoveryReport, clock: Clock, told: list[RecoveryProgress], caplog: pytest.LogCaptureFixture
) -> None:
    clock.now_s += 2
    report.look()
    assert told[-1].eta_s is None, "nothing has moved yet"
    assert "eta_s=unknown" in caplog.messages[-1]
    report.add(1, 1)
    report.end()
    assert caplog.messages[-1].startswith("recovery_interrupted tables=2 records=1 offsets=1/1000 ")
    assert told[-1].finished


def test_a_look_is_no_movement(report: RecoveryReport, clock: Clock) -> None:
    clock.now_s += 1
    report.add(0, 0)
    assert report.moved_at == 100.0
    report.add(0, 1)
    assert report.moved_at == 101.0
