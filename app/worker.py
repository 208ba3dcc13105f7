"""The composition root of the engine: one function that knows every part (`build_worker`), and how to run it.

Nothing else makes a Faust app, and importing this module makes none: no autodiscovery, no globals.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog

from app.malloc import map_large_blocks
from app.observe import configure_logging
from app.recovery_bar import RecoveryBar
from app.settings import Settings
from app.topic_reader import read_record
from app.topics import require
from app.transport import LeverApp, RecoveryProgress, create_app, running
from app.version import ENGINE_VERSION
from learning.kernels import compile_kernels
from learning.partition import OutcomesPartition
from learning.publishing import Terms
from leverloop.clock import now_ms
from leverloop.errors import BadConfig
from streams.accumulate import accumulate
from streams.attribute import attribute
from streams.book import book
from streams.control import QuietMarket, control
from streams.publish import publish
from streams.sink import sink
from streams.topics import INPUTS, SNAPSHOTS
from tables.announced import AnnouncedState
from tables.book import BookState
from tables.catalogue import ANNOUNCED, BOOK, EPOCHS, OUTCOMES, TRADES
from tables.outcomes import EpochsState, OutcomesState
from tables.partitioned import PartitionedTable
from tables.postgres.migrations import migrate
from tables.postgres.writer import ReadModel
from tables.trades import TradesPartition

__all__ = ["Worker", "build_worker", "run_worker", "running_worker"]

_LOG = structlog.get_logger(__name__)
_HOUR_MS = 3_600_000


class Worker:
    """A wired app and the tables in it, to be looked at while it runs.

    Parameters
    ----------
    app
        The Faust app with every stage in it.
    outcomes, book_table
        Tables of the accumulate and the book stage.
    """

    def __init__(
        self,
        app: LeverApp,
        outcomes: PartitionedTable[OutcomesState],
        book_table: PartitionedTable[BookState],
    ) -> None:
        self.app = app
        self._outcomes = outcomes
        self._book = book_table

    @property
    def outcomes(self) -> int:
        """Outcomes held by this worker."""
        return sum(len(state) for state in self._outcomes.states().values())

    @property
    def tracked_subsets(self) -> int:
        """Subsets tracked by this worker, of all its groups."""
        states = self._outcomes.states().values()
        return sum(len(lattice) for state in states for lattice in state.view.lattices.values())

    @property
    def book(self) -> BookState | None:
        """The lesson book, if this worker has it."""
        return next(iter(self._book.states().values()), None)


def build_worker(settings: Settings, *, model: ReadModel | None = None) -> Worker:
    """Wire an app: transport, tables, stages.

    Parameters
    ----------
    settings
        Everything that can be said about it.
    model
        Read model for the sink; without one there is no sink stage.
    """
    parameters, schema = settings.parameters(), settings.schema_()
    partitions = settings.partitions
    inputs = tuple(f"{topic}/{partition}" for topic in INPUTS for partition in range(partitions))
    app = create_app(settings.app_id, settings.broker_url, data_dir=settings.data_dir, partitions=partitions)
    trades = PartitionedTable(app, TRADES, partitions, lambda _: TradesPartition())
    outcomes = PartitionedTable(
        app, OUTCOMES, partitions, lambda p: OutcomesState(OutcomesPartition(p, inputs, parameters, schema))
    )
    epochs = PartitionedTable(app, EPOCHS, partitions, lambda _: EpochsState())
    books = PartitionedTable(app, BOOK, 1, lambda _: BookState())
    announced = PartitionedTable(app, ANNOUNCED, 1, lambda _: AnnouncedState())

    attribute(app, trades, partitions=partitions, parameters=parameters, schema=schema, guarded=app.guarded)
    accumulate(app, outcomes, epochs, guarded=app.guarded)
    book(
        app,
        books,
        partitions=partitions,
        parameters=parameters,
        config_hash=settings.config_hash(),
        engine_version=ENGINE_VERSION,
        limits=settings.limits(),
        guarded=app.guarded,
    )
    publish(
        app,
        announced,
        terms=_terms(settings),
        now_ms=now_ms,
        read_back=partial(read_record, settings.broker_url, SNAPSHOTS, 0),
        heartbeat_s=settings.heartbeat_s,
        guarded=app.guarded,
    )
    control(
        app,
        epochs,
        inputs=inputs,
        partitions=partitions,
        quiet=QuietMarket(round(settings.quiet_market_s * 1000)),
        every_s=settings.quiet_market_s / 4,
        now_ms=now_ms,
        guarded=app.guarded,
    )
    if model is not None:
        sink(app, model, guarded=app.guarded)
    return Worker(app, outcomes, books)


def _terms(settings: Settings) -> Terms:
    """What every snapshot of this deployment has to keep to; BadConfig if it would go stale between two heartbeats."""
    valid_ms = round(settings.snapshot_valid_hours * _HOUR_MS)
    if 2_000 * settings.heartbeat_s > valid_ms:
        raise BadConfig(
            f"LEVERLOOP_HEARTBEAT_S {settings.heartbeat_s:g}: at most half of LEVERLOOP_SNAPSHOT_VALID_HOURS, which is "
            f"{valid_ms / 1000:g} s, or clients go neutral between two heartbeats"
        )
    return Terms(
        limits=settings.limits(),
        valid_ms=valid_ms,
        engine_version=ENGINE_VERSION,
        config_hash=settings.config_hash(),
    )


@asynccontextmanager
async def running_worker(
    settings: Settings, *, on_recovery: Callable[[RecoveryProgress], None] = lambda _: None
) -> AsyncIterator[Worker]:
    """Run a worker in this process and loop, after looking at the topics and the database.

    Parameters
    ----------
    settings
        Everything that can be said about it.
    on_recovery
        Told how it goes when tables are recovered for more than half a second.

    Raises
    ------
    BadConfig
        If the topics are not what they must be: nothing was started then.
    """
    await require(settings)
    model = None
    if settings.postgres_dsn is not None:
        applied = await migrate(settings.postgres_dsn)
        _LOG.info("read_model_ready", migrations_applied=len(applied))
        model = ReadModel(settings.postgres_dsn)
    _LOG.info("kernels_loading", hint="at first use on a machine they are compiled, which takes up to a minute")
    await asyncio.to_thread(compile_kernels)
    worker = build_worker(settings, model=model)
    worker.app.on_recovery = on_recovery
    try:
        async with running(worker.app):
            _LOG.info(
                "worker_started",
                broker_url=settings.broker_url,
                partitions=settings.partitions,
                outcomes=worker.outcomes,
                tracked_subsets=worker.tracked_subsets,
            )
            yield worker
    finally:
        if model is not None:
            await model.close()
    _LOG.info("worker_stopped")


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGINT or SIGTERM; return the exit code."""
    configure_logging(settings)
    map_large_blocks()
    run(_until_told(settings))
    return 0


async def _until_told(settings: Settings) -> None:
    told = stop_on_signals()
    async with running_worker(settings, on_recovery=RecoveryBar()):
        await told.wait()


def stop_on_signals(on_signal: Callable[[], None] = lambda: None) -> asyncio.Event:
    """Event that is set by SIGINT and SIGTERM; a second SIGINT is Python's own, an interrupt."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        on_signal()
        told.set()
        loop.remove_signal_handler(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return told


def run(main: object) -> None:
    """Run a coroutine on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        asyncio.run(main)  # type: ignore[arg-type]
    else:
        uvloop.run(main)  # type: ignore[arg-type]
