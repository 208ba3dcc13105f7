"""`leverloop demo` and `leverloop paper`: the loop on one machine, shown while it runs.

One process holds everything: the log (or a Kafka broker started for it), PostgreSQL, a worker, and the
paper PM, which is a client like any other: it logs through the client's emitter, reads snapshots through
a feed, and applies the levers it gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from app.demo_view import PAPER_STATE, DemoView
from app.devbroker import DevBroker
from app.embedded.postgres import EmbeddedPostgres
from app.folders import made
from app.observe import configure_logging
from app.paper.candles import CandleMarket
from app.paper.checkpoint import Checkpoint
from app.paper.market import Market, SimulatedMarket
from app.paper.run import run_paper
from app.paper.tally import PaperSummary
from app.settings import Settings, load_settings
from app.topic_admin import create_topics
from app.topics import deployment_topics, replication
from app.worker import Worker, run, running_worker, stop_on_signals
from leverloop.emit import open_emitter
from leverloop.errors import BadConfig
from leverloop.feeds import open_feed
from leverloop.live import LiveBook

__all__ = ["DemoOptions", "run_demo", "run_paper_alone"]

_DEFAULT_SPEED: Final = 28_800.0  # eight hours a second: an epoch each second or so, a month in two minutes
_DRAIN_S: Final = 10.0
_A_DEMO_MADE: Final = (PAPER_STATE, "postgres", "log.db", "kafka")
"""What the folder of a demo has, one or another, from its first moments on."""
_SHOW_EVERY_S: Final = 0.5


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    seconds: float | None
    """How long; None until Ctrl-C."""
    candles: Path | None
    speed: float | None
    seed: int
    data_dir: Path
    kafka: bool
    fresh: bool


def run_demo(options: DemoOptions) -> int:
    """Run the demo; return the exit code."""
    if options.fresh:
        _forget(options.data_dir)
    made(options.data_dir, "--data-dir")
    market = market_of(options.candles, options.seed)
    _its_own(market, options.data_dir, "take another --data-dir, or remove it")
    with _broker(options) as broker_url, EmbeddedPostgres(options.data_dir / "postgres") as postgres:
        settings = load_settings(
            broker_url=broker_url,
            postgres_dsn=postgres.dsn,
            data_dir=options.data_dir,
            quiet_market_s=5.0,
            log_level="warning",
        )
        run(_demo(options, settings, market))
    return 0


def _forget(folder: Path) -> None:
    """Remove the folder of an earlier demo, and no other (BadConfig)."""
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in _A_DEMO_MADE):
        raise BadConfig(f"--fresh would remove {folder}, which no demo has made: name another --data-dir")
    shutil.rmtree(folder, ignore_errors=True)


def run_paper_alone(
    settings: Settings, *, candles: Path | None, speed: float | None, seed: int, seconds: float | None
) -> int:
    """Run the paper PM against a broker where a worker runs; return the exit code."""
    made(settings.data_dir, "LEVERLOOP_DATA_DIR")
    market = market_of(candles, seed)
    _its_own(market, settings.data_dir, "set another LEVERLOOP_DATA_DIR, or go on with the market of before")
    run(_paper(settings, market, candles, speed=speed, seconds=seconds))
    return 0


def market_of(candles: Path | None, seed: int) -> Market:
    """Return the market to trade: candles from files, or a simulation of a seed."""
    return SimulatedMarket(seed) if candles is None else CandleMarket(candles)


def _its_own(market: Market, folder: Path, way_out: str) -> None:
    """Refuse a folder where the paper PM traded another market, before anything is started (BadConfig)."""
    checkpoint = Checkpoint.load(folder / PAPER_STATE)
    if checkpoint is None:
        return
    try:
        market.restore(checkpoint.market)
    except BadConfig as error:
        raise BadConfig(f"{folder}: {error}: {way_out}") from error


async def _demo(options: DemoOptions, settings: Settings, market: Market) -> None:
    console = Console()
    with (settings.data_dir / "worker.log").open("a") as log, DemoView(console, settings, options.candles) as view:
        configure_logging(settings, log)
        await create_topics(settings.broker_url, deployment_topics(settings), replication=replication(settings))
        told = stop_on_signals(view.stopping)
        async with running_worker(settings, on_recovery=view.recovering) as worker:
            summary, market_ended = await _trade(
                settings,
                market,
                told,
                view,
                speed=options.speed or _DEFAULT_SPEED,
                seconds=options.seconds,
                worker=worker,
            )
            if market_ended and not told.is_set():
                await _drained(worker, summary, told, view)
            view.finish(worker, summary, market_ended=market_ended)
            _save(settings.data_dir / "summary.json", worker, summary)


def _save(path: Path, worker: Worker, summary: PaperSummary) -> None:
    """Write the summary once more, for programs."""
    book = None if worker.book is None else worker.book.book
    counts = {
        "at_ms": summary.at_ms,
        "candles": summary.candles,
        "actions": summary.actions,
        "trades": summary.trades,
        "outcomes": worker.outcomes,
        "epochs": book.version if book else 0,
        "lessons": sum(lesson.state == "active" for lesson in book.lessons.values()) if book else 0,
        "snapshot_versions": len(summary.snapshot_versions),
        "levers_applied": summary.levers_applied,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(counts), indent=1) + b"\n")


async def _paper(
    settings: Settings, market: Market, candles: Path | None, *, speed: float | None, seconds: float | None
) -> None:
    configure_logging(settings)
    with DemoView(Console(), settings, candles, alone=True) as view:
        told = stop_on_signals(view.stopping)
        summary, ended = await _trade(settings, market, told, view, speed=speed or _DEFAULT_SPEED, seconds=seconds)
        view.finish(None, summary, market_ended=ended)


async def _trade(
    settings: Settings,
    market: Market,
    told: asyncio.Event,
    view: DemoView,
    *,
    speed: float,
    seconds: float | None,
    worker: Worker | None = None,
) -> tuple[PaperSummary, bool]:
    """Trade until told to stop, for so many seconds, or to the market's end; say whether it was the end."""
    feed = open_feed(settings.broker_url)
    live = LiveBook(feed, "pm", kill_file=settings.data_dir / "KILL")
    async with open_emitter(settings.broker_url, buffer_dir=settings.data_dir / "emit") as emitter, _following(live):
        until = asyncio.Event()
        showing = asyncio.create_task(_show(view, live, worker))
        waiting = asyncio.create_task(_wait(told, seconds, until))
        try:
            summary = await run_paper(
                market=market,
                emitter=emitter,
                live_book=live,
                until=until,
                speed=speed,
                state_path=settings.data_dir / PAPER_STATE,
                on_progress=view.update,
            )
            ended = not until.is_set()
        finally:
            for task in (showing, waiting):
                task.cancel()
            await asyncio.gather(showing, waiting, return_exceptions=True)
    await feed.close()
    return summary, ended


async def _wait(told: asyncio.Event, seconds: float | None, until: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(told.wait(), seconds)
    until.set()


async def _show(view: DemoView, live: LiveBook, worker: Worker | None) -> None:
    while True:
        view.show(live, worker)
        await asyncio.sleep(_SHOW_EVERY_S)


async def _drained(worker: Worker, summary: PaperSummary, told: asyncio.Event, view: DemoView) -> None:
    """Wait until the worker has an outcome for what was logged, or nothing has moved for a while."""
    loop = asyncio.get_running_loop()
    moved_at, before = loop.time(), -1
    while not told.is_set() and loop.time() - moved_at < _DRAIN_S / 2:
        if worker.outcomes != before:
            moved_at, before = loop.time(), worker.outcomes
        view.update(summary)
        await asyncio.sleep(_SHOW_EVERY_S)


@contextlib.asynccontextmanager
async def _following(live: LiveBook) -> AsyncIterator[None]:
    task = asyncio.create_task(live.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _broker(options: DemoOptions) -> Iterator[str]:
    """Broker of the demo: the embedded log, or a Kafka broker that lives as long as the demo."""
    if not options.kafka:
        yield f"embedded://{(options.data_dir / 'log.db').absolute()}"
        return
    if options.data_dir.joinpath("log.db").exists():
        raise BadConfig(f"{options.data_dir} belongs to a demo on the embedded log: --data-dir another, or --fresh")
    Console().print("starting Kafka (the first time its jars are fetched from Maven Central)")
    with DevBroker().start(options.data_dir / "kafka") as broker:
        yield f"kafka://{broker.bootstrap}"
