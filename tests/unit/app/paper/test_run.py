"""A run logs what its PM does, at the speed it is told, and a run that dies anywhere leaves no contradiction."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.paper.candles import BAR_MS
from app.paper.market import START_AT_MS, SimulatedMarket
from app.paper.run import LiveResolver, run_paper
from app.paper.tally import PaperSummary
from leverloop.book import OverrideBook
from leverloop.emit import Emitter
from leverloop.errors import BadConfig, Unavailable
from leverloop.events import ActionLogged, TradeClosed, encode
from leverloop.resolution import Resolution
from leverloop.testing import MemoryEmitter, make_snapshot
from tests.unit.app.paper.scenes import lever_on, neutral

BARS = 700
END_MS = START_AT_MS + BARS * BAR_MS
UNMOVED = OverrideBook.empty()
UNSHRUNK = (
    Phase.explicit,
    Phase.reuse,
    Phase.generate,
)  # an example takes a second: a smaller one is not worth minutes


class Log:
    """The topics: what was logged stays, whatever becomes of the process; contradictions are kept."""

    def __init__(self) -> None:
        self.events: dict[str, bytes] = {}
        self.contradictions: list[str] = []

    def take(self, event: ActionLogged | TradeClosed) -> None:
        key = event.action_id if isinstance(event, ActionLogged) else f"{event.trade_id}/{event.revision}"
        if self.events.setdefault(key, encode(event)) != encode(event):
            self.contradictions.append(key)


class Killed(Exception):
    """The process is gone."""


class LogEmitter(MemoryEmitter):
    """Emitter into a log, of a process that dies before its n-th event or flush."""

    def __init__(self, log: Log, *, dies_at: int | None = None) -> None:
        super().__init__()
        self.log, self.dies_at = log, dies_at

    def _live(self) -> None:
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                raise Killed

    def log_action(self, action: ActionLogged) -> None:
        self._live()
        super().log_action(action)
        self.log.take(action)

    def log_trade(self, trade: TradeClosed) -> None:
        self._live()
        super().log_trade(trade)
        self.log.take(trade)

    async def flush(self) -> None:
        self._live()
        await super().flush()


async def run(emitter: Emitter, book: LiveResolver = UNMOVED, **arguments: Any) -> PaperSummary:
    arguments = {"until": asyncio.Event(), "market": SimulatedMarket(3), "until_at_ms": END_MS} | arguments
    return await run_paper(emitter=emitter, live_book=book, **arguments)


def expected() -> list[bytes]:
    return [encode(e) for e in neutral() if e.event_at_ms <= END_MS]


async def test_a_run_logs_what_its_pm_does() -> None:
    log, seen = Log(), []
    summary = await run(LogEmitter(log), on_progress=lambda s: seen.append(s.steps))
    assert list(log.events.values()) == expected()
    assert (summary.steps, summary.candles, summary.at_ms) == (BARS, 10 * BARS, END_MS)
    assert summary.actions + summary.trades == len(expected())
    assert seen[-1] == BARS


async def test_a_run_of_candles_that_end_ends(tmp_path: Path) -> None:
    class Short(SimulatedMarket):
        def next(self) -> Any:
            batch = super().next()
            return batch if batch.close_at_ms <= END_MS else None

    log = Log()
    summary = await run(LogEmitter(log), market=Short(3), until_at_ms=None)
    assert list(log.events.values()) == expected()
    assert summary.steps == BARS


@settings(max_examples=8, phases=UNSHRUNK)
@given(stops=st.lists(st.integers(1, BARS - 1), min_size=1, max_size=3))
async def test_runs_that_go_on_are_one_run(stops: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    path, log = tmp_path_factory.mktemp("run") / "paper.state", Log()
    for bars in [*sorted(stops), BARS]:
        summary = await run(LogEmitter(log), state_path=path, until_at_ms=START_AT_MS + bars * BAR_MS)
    assert list(log.events.values()) == expected()
    assert log.contradictions == []
    assert (summary.steps, summary.actions + summary.trades) == (BARS, len(expected()))


@settings(max_examples=8, phases=UNSHRUNK)
@given(deaths=st.lists(st.integers(0, 120), min_size=1, max_size=3))
async def test_a_run_that_dies_anywhere_contradicts_nothing(
    deaths: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Although each life of it has another snapshot, by which it would decide its last steps anew."""
    path, log = tmp_path_factory.mktemp("run") / "paper.state", Log()
    for life, dies_at in enumerate(deaths):
        moved = lever_on("entry", {"size_mult": 0.8 + 0.1 * life})
        book = OverrideBook(make_snapshot(*moved, version=1 + life), holdout_share=0.0)
        with pytest.raises(Killed):
            await run(LogEmitter(log, dies_at=dies_at), book, state_path=path)
    summary = await run(LogEmitter(log), state_path=path)
    assert log.contradictions == []
    assert summary.actions + summary.trades == len(log.events)
    assert msgspec.json.decode(list(log.events.values())[-1])["event_at_ms"] <= END_MS
    closed = [k for k in log.events if k.endswith("/0")]
    assert len(closed) == summary.trades


async def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paper.state"
    await run(LogEmitter(Log()), state_path=path)
    with pytest.raises(BadConfig, match="belongs to --seed 3, not to --seed 4"):
        await run(LogEmitter(Log()), state_path=path, market=SimulatedMarket(4))
    with pytest.raises(BadConfig, match="label 'other'"):
        await run(LogEmitter(Log()), state_path=path, label="other")


class Outage(LogEmitter):
    """A broker that takes a few events only and does not answer the first flushes."""

    def __init__(self, log: Log, outages: int) -> None:
        super().__init__(log)
        self.outages, self.room = outages, 7

    def log_action(self, action: ActionLogged) -> None:
        if self.room == 0:
            raise Unavailable("buffer full", retry_after_s=0.001)
        self.room -= 1
        super().log_action(action)

    async def flush(self) -> None:
        if self.outages:
            self.outages -= 1
            raise Unavailable("no answer", retry_after_s=0.001)
        self.room = 7
        await super().flush()


async def test_an_outage_is_waited_for() -> None:
    log = Log()
    emitter = Outage(log, outages=5)
    await run(emitter)
    assert list(log.events.values()) == expected()
    assert emitter.outages == 0


class Deaf(LogEmitter):
    """A broker that never acknowledges."""

    async def flush(self) -> None:
        self.asked.set()
        await asyncio.Event().wait()

    asked: asyncio.Event


async def test_a_stop_is_prompt_and_loses_nothing(tmp_path: Path) -> None:
    """While a flush hangs: what it had is logged again by the next run."""
    path, until, lost, log = tmp_path / "paper.state", asyncio.Event(), Log(), Log()
    deaf = Deaf(lost)
    deaf.asked = asyncio.Event()
    running = asyncio.create_task(run(deaf, state_path=path, until=until))
    await deaf.asked.wait()
    until.set()
    async with asyncio.timeout(2.0):
        await running
    await run(LogEmitter(log), state_path=path)
    assert lost.events.keys() <= log.events.keys()
    assert list(log.events.values()) == expected()


@pytest.mark.parametrize("speed", [1.0, 300_000.0])
async def test_a_stop_ends_every_pause(speed: float) -> None:
    until, started = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        run(LogEmitter(Log()), until=until, speed=speed, until_at_ms=None, on_progress=lambda _: started.set())
    )
    await started.wait()
    until.set()
    async with asyncio.timeout(1.0):
        assert (await running).steps >= 1


async def test_event_time_goes_as_fast_as_it_is_told() -> None:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    await run(LogEmitter(Log()), speed=BAR_MS / 1000.0 / 0.01, until_at_ms=START_AT_MS + 21 * BAR_MS)
    assert 0.2 <= loop.time() - begin_s < 10.0


async def test_event_time_never_passes_the_wall_clock() -> None:
    """A run that has caught up waits for the present, as fast as it was told to be."""
    until, now_ms = asyncio.Event(), START_AT_MS + 10 * BAR_MS
    asked: list[int] = []

    def clock_ms() -> int:
        asked.append(now_ms)
        return now_ms

    running = asyncio.create_task(
        run(LogEmitter(Log()), until=until, until_at_ms=None, clock_ms=clock_ms, on_progress=lambda _: until.set())
    )
    async with asyncio.timeout(5.0):
        summary = await running
    assert summary.at_ms == now_ms
    assert asked


async def test_whoever_follows_snapshots_gets_a_turn() -> None:
    """A book that is swapped while the run is at full speed decides what comes after."""

    class Swapped:
        def __init__(self) -> None:
            self.book = OverrideBook(make_snapshot(version=1))

        def resolve(
            self, pattern_key: str, action_category: Any, scope: Mapping[str, Any], trade_id: str, at_ms: int
        ) -> Resolution:
            return self.book.resolve(pattern_key, action_category, scope, trade_id, at_ms)

    live, first = Swapped(), asyncio.Event()

    class Watching(LogEmitter):
        def log_action(self, action: ActionLogged) -> None:
            super().log_action(action)
            first.set()

    async def swap() -> None:
        await first.wait()
        live.book = OverrideBook(make_snapshot(version=2))

    swapping = asyncio.create_task(swap())
    summary = await run(Watching(Log()), live, until_at_ms=None, market=Ending(1100))
    await swapping
    assert summary.snapshot_versions == [1, 2]


class Ending(SimulatedMarket):
    """A market that ends after some bars."""

    def __init__(self, bars: int) -> None:
        super().__init__(3)
        self.bars = bars

    def next(self) -> Any:
        self.bars -= 1
        return None if self.bars < 0 else super().next()


# --- a real kill ----------------------------------------------------------------------------------------

CHILD = """
import asyncio, sys
from pathlib import Path
from leverloop.events import encode
from tests.unit.app.paper.test_run import Log, LogEmitter, OverrideBook, lever_on, make_snapshot, run

class FileLog(Log):
    def __init__(self, path):
        super().__init__()
        self.file = path.open("ab", buffering=0)
    def take(self, event):
        self.file.write(encode(event) + b"\\n")

class Telling(LogEmitter):
    async def flush(self):
        await super().flush()
        print("flushed", flush=True)

async def main(folder, life):
    until, batches = asyncio.Event(), []
    moved = lever_on("entry", {"size_mult": 0.8 + 0.1 * life})
    book = OverrideBook(make_snapshot(*moved, version=life + 1), holdout_share=0.0)
    def progress(summary):
        batches.append(summary.steps)
        if life == 2 and len(batches) == 2:
            until.set()
    await run(Telling(FileLog(folder / "log")), book, until=until, state_path=folder / "state",
              until_at_ms=None, on_progress=progress)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_a_run_that_is_killed_goes_on_without_contradiction(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for life in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(life)], stdout=subprocess.PIPE, env=environment
        )
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(2)]
        assert told == [b"flushed\n"] * 2
        if life < 2:
            child.send_signal(signal.SIGKILL)
        child.stdout.read()
        child.stdout.close()
        assert child.wait() == (-signal.SIGKILL if life < 2 else 0)
    seen: dict[str, bytes] = {}
    for line in (tmp_path / "log").read_bytes().splitlines():
        event = msgspec.json.decode(line)
        key = event.get("action_id") or f"{event['trade_id']}/close"
        assert seen.setdefault(key, line) == line, key
    actions = [msgspec.json.decode(line) for key, line in seen.items() if not key.endswith("/close")]
    assert {action["decision"]["snapshot_version"] for action in actions} == {1, 2, 3}
