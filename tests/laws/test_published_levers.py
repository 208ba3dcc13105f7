"""Thresholds and phase scaling, from outcomes to the snapshot and back: a trader that follows what is published.

Day by day: trades close, an epoch is mined and decided, its snapshot is made, and the trader's next trades obey it,
but for a holdout.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from learning.book import Book, close_epoch, decision
from learning.cells import GroupCells
from learning.lessons import LIVE, Lesson
from learning.mining import mine
from learning.outcome import Outcome
from learning.overrides import snapshot
from learning.parameters import Parameters
from leverloop.events import Controls
from leverloop.levers import LEVERS
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.snapshot import Override, decode_snapshot, encode_snapshot
from tables.book import BOOK_KEY, BookState, stored_book
from tests.laws.examples import DAY_MS, HOUR_MS, an_outcome

PARAMETERS = Parameters(epoch_ms=DAY_MS, lesson_max_dims=1)
FIRST_DAY = 20_090
"""A Thursday, as of 1970; days are epochs here, and each ends at midnight."""
MIN_TS, MAX_EDX = "signal_thresholds.min_ts_for_add", "signal_thresholds.max_edx_for_add"
WAIT = "signal_thresholds.wait_for_signal"
ADD, ENTRY = "pm.up.S2.a|add", "pm.up.S1.a|entry"
Day = Callable[[np.random.Generator, int, dict[str, Override]], list[Outcome]]


class Loop:
    """A book and its partitions, over days; ``overrides`` is what the last snapshot says, by group."""

    def __init__(self, day: Day, seed: int, *, partitions: int = 1, restarts: bool = False) -> None:
        self._day, self._rng, self._restarts = day, np.random.default_rng(seed), restarts
        self.partitions: list[dict[str, GroupCells]] = [{} for _ in range(partitions)]
        self.book = Book(epoch_at_ms=FIRST_DAY * DAY_MS)
        self.overrides: dict[str, Override] = {}

    def run(self, days: int) -> Iterator[Book]:
        for _ in range(days):
            epoch_at_ms = self.book.epoch_at_ms + DAY_MS
            for outcome in self._day(self._rng, self.book.epoch_at_ms, self.overrides):
                groups = self.partitions[sum(outcome.group.encode()) % len(self.partitions)]
                cells = groups.setdefault(outcome.group, GroupCells(outcome.group, "pm", DEFAULT_SCHEMA))
                cells.put(outcome, epoch_at_ms)
            told = decision(self.book)
            findings = [
                mine(groups, epoch_at_ms, told, partition=i, parameters=PARAMETERS, schema=DEFAULT_SCHEMA)
                for i, groups in enumerate(self.partitions)
            ]
            self.book = close_epoch(self.book, findings, PARAMETERS)
            if self._restarts:
                state = BookState()
                state.apply(BOOK_KEY, stored_book(self.book))
                assert state.book is not None
                self.book = state.book
            self._publish()
            yield self.book

    def _publish(self) -> None:
        made = snapshot(
            "pm", [self.book.lessons[name] for name in sorted(self.book.lessons)], version=self.book.version,
            epoch_at_ms=self.book.epoch_at_ms, config_hash="", engine_version="", parameters=PARAMETERS,
        )  # fmt: skip
        known = decode_snapshot(encode_snapshot(made))
        self.overrides = {f"{each.pattern_key}|{each.action_category}": each for each in known.pattern_overrides}

    def tunings(self) -> list[Lesson]:
        return [lesson for _, lesson in sorted(self.book.lessons.items()) if lesson.lever]


def levers_of(loop: Loop, group: str) -> dict[str, float]:
    return loop.overrides[group].levers if group in loop.overrides else {}


def trader(group: str, lever: str, signal: str, *, knob: float, edge: Callable[[float], float], rate: int = 12) -> Day:
    """Trades of one group whose trader bounds one signal: by its own knob, or by the override's in its place."""
    name, upper = lever.rpartition(".")[2], lever == MAX_EDX

    def day(rng: np.random.Generator, at_ms: int, overrides: dict[str, Override]) -> list[Outcome]:
        found, shock = [], rng.normal(0.0, 0.3)
        published = overrides[group].levers.get(lever, knob) if group in overrides else knob
        for i in range(rate):
            bound = knob if rng.random() < 0.05 else published
            x, other = float(rng.uniform()), float(rng.uniform())
            rr = float(np.clip(shock + 0.9 * rng.standard_t(4) + edge(x), -10, 10))
            closed_at_ms = at_ms + (i + 1) * HOUR_MS
            if x > bound if upper else x < bound:
                continue
            found.append(
                an_outcome(
                    f"{group}{at_ms}.{i}", f"{at_ms}.{i}", group=group, rr=rr, closed_at_ms=closed_at_ms,
                    action_at_ms=closed_at_ms - HOUR_MS, scope={"bucket": str(rng.choice(["nano", "micro"]))},
                    controls=Controls(signals={signal: x, "OX": other}, applied_knobs={name: bound}),
                )
            )  # fmt: skip
        return found

    return day


@pytest.mark.parametrize(
    ("group", "lever", "signal", "knob", "best"),
    [(ADD, MIN_TS, "TS", 0.3, 0.6), (ADD, MAX_EDX, "EDX", 0.9, 0.6), (ENTRY, WAIT, "DX", 0.2, 0.6)],
)
def test_a_threshold_is_found_confirmed_on_later_trades_and_published_in_steps(
    group: str, lever: str, signal: str, knob: float, best: float
) -> None:
    sign = -1.0 if lever == MAX_EDX else 1.0
    loop = Loop(trader(group, lever, signal, knob=knob, edge=lambda x: 0.8 * (sign * x >= sign * best)), 3)
    values = []
    for book in loop.run(100):
        value = levers_of(loop, group).get(lever)
        values += [] if value is None else [value]
        states = {lesson.state for lesson in book.lessons.values() if lesson.lever}
        assert (value is None) == states.isdisjoint(LIVE), "nothing moves on what it was chosen on"
    (lesson,) = [lesson for lesson in loop.tunings() if lesson.state in LIVE]
    assert (lesson.state, lesson.lever_basis, lesson.lever_signal) == ("active", "signal", signal)
    assert lesson.changed_at_ms > lesson.created_at_ms
    assert lesson.evidence.forward.n < lesson.evidence.stats.n
    assert np.abs(np.diff([knob, *values])).max() <= 0.05 + 1e-12
    assert values[-1] == pytest.approx(best, abs=0.08)
    assert values[-1] == lesson.lever_target
    assert lesson.lever_neutral == knob, "later trades logged the override's value"
    assert loop.overrides[group].signals == ({lever: signal} if lever == WAIT else {})
    assert [known.neutral for known in decision(loop.book).knobs] == [knob]


def test_a_readd_waits_after_a_trim_from_nothing_by_fifths_of_a_bar() -> None:
    wait = "wait_n_bars_after_trim"

    def day(rng: np.random.Generator, at_ms: int, _overrides: dict[str, Override]) -> list[Outcome]:
        found = []
        for i in range(12):
            bars = float(rng.integers(0, 10))
            rr = float(np.clip(0.9 * rng.standard_t(4) + 0.8 * (bars >= 4), -10, 10))
            found.append(
                an_outcome(
                    f"{at_ms}.{i}", f"{at_ms}.{i}", group=ADD, rr=rr, closed_at_ms=at_ms + (i + 1) * HOUR_MS,
                    action_at_ms=at_ms + i * HOUR_MS, controls=Controls(signals={"bars_since_trim": bars}),
                )
            )  # fmt: skip
        return found

    loop = Loop(day, 1)
    values = [0.0, *(levers_of(loop, ADD).get(wait, 0.0) for _ in loop.run(90))]
    (lesson,) = loop.tunings()
    assert (lesson.lever, lesson.lever_signal, lesson.lever_neutral) == (wait, "bars_since_trim", None)
    assert values[-1] == lesson.lever_target == 4.0
    assert np.diff(values).max() <= 0.2 + 1e-12


def test_where_a_threshold_has_dried_up_what_it_stops_it_goes_home() -> None:
    day = trader(ADD, MIN_TS, "TS", knob=0.3, edge=lambda x: 0.8 * (x >= 0.6))
    loop = Loop(lambda rng, at_ms, known: [] if at_ms > (FIRST_DAY + 150) * DAY_MS else day(rng, at_ms, known), 1)
    values = [levers_of(loop, ADD).get(MIN_TS, 0.3) for _ in loop.run(200)]
    peak = int(np.argmax(values))
    later = np.array(values[peak + 20 :])
    assert peak < 151
    assert (np.diff(later) <= 0.0).all()
    assert 0.3 <= later[-1] < values[peak] - 0.05


@pytest.mark.parametrize("seed", range(6))
def test_noise_moves_no_threshold(seed: int) -> None:
    loop, looked_at = Loop(trader(ADD, MIN_TS, "TS", knob=0.0, edge=lambda _: 0.0), seed), 0
    for book in loop.run(100):
        assert loop.overrides == {}
        looked_at += sum(sum(test.levers_tested_by_dims) for test in book.tests.values())
    assert looked_at > 0


GROUPS = ("pm.up.S1.a|add", "pm.up.S1.b|add", "pm.up.S2.a|add", "pm.up.S3.c|add", "pm.down.S1.a|add")


def adds(worth: dict[str, float]) -> Day:
    def day(rng: np.random.Generator, at_ms: int, _overrides: dict[str, Override]) -> list[Outcome]:
        shock = rng.normal(0.0, 0.3)
        return [
            an_outcome(
                f"{group}{at_ms}.{i}", f"{group}{at_ms}.{i}", group=group, closed_at_ms=at_ms + HOUR_MS,
                action_at_ms=at_ms, scope={"bucket": str(rng.choice(["nano", "micro"]))},
                rr=float(np.clip(shock + 0.9 * rng.standard_t(4) + worth.get(group.split(".")[2], 0.0), -10, 10)),
            )
            for group in GROUPS for i in range(int(rng.integers(1, 5)))
        ]  # fmt: skip

    return day


def test_a_state_scales_in_all_its_groups_up_and_down() -> None:
    loop = Loop(adds({"S1": 0.8, "S3": -0.4}), 3, partitions=3)
    before: dict[str, float] = {}
    for _ in loop.run(160):
        now = {group: value for group in GROUPS for value in levers_of(loop, group).values()}
        assert all(abs(np.log(value / before.get(group, 1.0))) <= np.log(1.02) + 1e-12 for group, value in now.items())
        before = now
    good = {group for group in GROUPS if levers_of(loop, group).get("phase_scaling.S1", 1.0) > 1.1}
    bad = {group for group in GROUPS if levers_of(loop, group).get("phase_scaling.S3", 1.0) < 0.9}
    assert good == {"pm.up.S1.a|add", "pm.up.S1.b|add"}
    assert bad == {"pm.up.S3.c|add"}, "against the pool, the one that adds least"
    assert loop.book.confirmed == {"pm_tuning": len({lesson.ordinal for lesson in loop.tunings() if lesson.levers})}
    both = [lesson for lesson in loop.tunings() if lesson.lever == "phase_scaling.S1"]
    assert len({lesson.ordinal for lesson in both}) == len({lesson.created_at_ms for lesson in both}) == 1
    assert {lesson.direction for lesson in loop.tunings() if lesson.group == "pm.up.S3.c|add"} == {-1}
    assert "pm.down.S1.a|add" not in loop.overrides, "a family in one state has nothing to compare with"


@pytest.mark.parametrize("seed", range(6))
def test_noise_scales_nothing(seed: int) -> None:
    loop = Loop(adds({}), seed, partitions=2)
    for _ in loop.run(100):
        assert loop.overrides == {}
    assert {found.state for found in loop.book.scalings} == {"S1", "S2", "S3"}


@pytest.mark.parametrize("of_adds", [True, False])
def test_neither_partitions_nor_restarts_matter(of_adds: bool) -> None:
    bounded = trader(ADD, MIN_TS, "TS", knob=0.3, edge=lambda x: 0.9 * (x >= 0.6))

    def run(**how: Any) -> list[bytes]:
        loop = Loop(adds({"S1": 0.9}) if of_adds else bounded, 4, **how)
        days = loop.run(90)
        return [msgspec.msgpack.encode((book.lessons, book.scalings, loop.overrides), order="sorted") for book in days]

    alone = run()
    assert run(partitions=3, restarts=True) == alone
    (_, scalings, published) = msgspec.msgpack.decode(alone[-1])
    assert bool(scalings) is of_adds
    assert published


def test_every_published_value_is_within_its_bounds_and_no_nan_is_told() -> None:
    loop = Loop(adds({"S1": 4.0, "S2": -4.0}), 5)
    for book in loop.run(120):
        raw = msgspec.json.encode(decision(book))
        assert msgspec.json.decode(raw, type=type(decision(book))) == decision(book), "NaN would leave as null"
        for lesson in book.lessons.values():
            assert all(LEVERS[name].holds(value) for name, value in lesson.levers.items())
            assert lesson.levers == {} or lesson.state in (*LIVE, "retired")
    assert levers_of(loop, "pm.up.S1.a|add")["phase_scaling.S1"] > 1.3
