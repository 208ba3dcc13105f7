"""The Faust app of a worker: settings that lose nothing, a transport behind the barrier, one way to fail."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import faust
from faust.contrib.asgi import bind_to_running_loop
from yarl import URL

from app.transport import embedded, kafka
from app.transport.failstop import FailStop, exit_process
from app.transport.recovery import PromptTableManager
from app.transport.recovery_report import RecoveryProgress
from app.transport.versions import check_versions
from leverloop.brokers import embedded_path, without_secrets
from leverloop.errors import BadConfig
from leverloop.partitions import partition_of

__all__ = ["LeverApp", "create_app", "running"]

_LOG: Final = logging.getLogger("leverloop.transport")
_MAX_RECORD_BYTES: Final = 40 * 1024 * 1024  # a snapshot of 32 MiB (spec section 11), with room for its envelope
_STOP_TIMEOUT_S: Final = 60.0

AgentBody = Callable[[Any], Awaitable[None]]


class LeverApp(faust.App):
    """Faust app that ends its process where Faust would lose an event.

    Make one with `create_app`. `failed` is the reason once `fail` was called: nothing is committed after.
    `on_recovery` may be set to hear how a recovery goes that takes longer than half a second.
    """

    fail_stop: FailStop = staticmethod(exit_process)
    transport_class: Any = None
    log_path: Path
    failed: str | None = None
    on_recovery: Callable[[RecoveryProgress], None] = staticmethod(lambda _: None)

    def fail(self, reason: str, error: BaseException | None = None) -> None:
        """End the process: commit nothing more, log one line, call `fail_stop`.

        Called for everything that was not foreseen; safe from any thread.
        """
        if self.failed is None:
            self.failed = reason
            _LOG.critical("worker_failed app=%s reason=%s", self.conf.id, reason, exc_info=error)
            self.fail_stop(reason)

    def guarded(self, body: AgentBody) -> AgentBody:
        """Agent body whose exceptions end the process, before unwinding can acknowledge the event.

        Every agent goes through it: ``app.agent(topic, name="attribute")(app.guarded(run))``.
        """

        @functools.wraps(body)
        async def run(stream: Any) -> None:
            try:
                await body(stream)
            except Exception as error:
                self.fail(f"agent {body.__qualname__} failed: {error!r}", error)
                raise

        return run

    def _crash(self, reason: BaseException) -> None:
        # Any service that crashes takes the app with it, through here; one that is cancelled at shutdown does not.
        if not (isinstance(reason, asyncio.CancelledError) and self.should_stop):
            self.fail(f"a service crashed: {reason!r}", reason)
        super()._crash(reason)

    async def _stop_consumer(self) -> None:
        await super()._stop_consumer()
        if self._consumer is not None:
            self._consumer.seal()  # next, the agents are cancelled

    def _on_rebalance_when_stopped(self) -> None:
        """Leave the consumer open: Faust closes it here, from the wrong thread and under the last commit."""

    async def maybe_start_producer(self) -> Any:
        """Return the producer, which starts before any agent: Faust asks for every record, with a future and a lock."""
        return self.producer if self.producer.started else await super().maybe_start_producer()

    def _new_transport(self) -> Any:
        return self.transport_class(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return self.transport


def create_app(
    app_id: str,
    broker_url: str,
    *,
    data_dir: Path,
    partitions: int,
    commit_interval_s: float = 1.0,
    fail_stop: FailStop = exit_process,
    transport_class: Any = None,
    **settings: Any,
) -> LeverApp:
    """Faust app on the log that a URL names; nothing is opened or connected before it starts.

    Parameters
    ----------
    app_id
        Consumer group, and prefix of the changelog topics.
    broker_url
        ``kafka://host:port``, several parted by semicolons, or ``embedded://path/log.db``
        (``embedded:///path`` for an absolute path). Topics must exist: see `app.topic_admin`.
    data_dir
        Folder of what Faust keeps on disk; nothing, with tables in memory.
    partitions
        Partitions of changelogs whose table names no number of its own.
    commit_interval_s
        Seconds between commits: up to so much work is done again after a crash.
    fail_stop
        Ends the process; tests pass one that takes a note.
    transport_class
        Another transport than the URL's scheme names, to inject faults in tests.
    settings
        Any other setting of Faust.

    Raises
    ------
    BadConfig
        For other versions of Faust than the one this was written for, or a URL of another kind.
    """
    check_versions()
    path = embedded_path(broker_url)
    if path is None and urlsplit(broker_url).scheme != "kafka":
        raise BadConfig(f"broker URL {without_secrets(broker_url)}: expected {_EXPECTED}")
    brokers = [URL(part) for part in broker_url.split(";")] if path is None else [URL("embedded://log")]
    app = LeverApp(
        app_id,
        **{
            **_SETTINGS,
            "broker": brokers,
            "datadir": str(data_dir),
            "topic_partitions": partitions,
            "broker_commit_interval": commit_interval_s,
            **settings,
        },
    )
    app.fail_stop = fail_stop
    app.transport_class = transport_class or (kafka.Transport if path is None else embedded.Transport)
    if path is not None:
        app.log_path = path
    return app


@asynccontextmanager
async def running(app: LeverApp, *, stop_timeout_s: float = _STOP_TIMEOUT_S) -> AsyncIterator[LeverApp]:
    """Run the app in this event loop: ready, with its tables recovered, inside of the block.

    Leaving the block finishes what is in work, commits it and stops; who is not done with that in time,
    in seconds, fails.
    """
    bind_to_running_loop(app)
    app.finalize()
    try:
        await app.start()
        yield app
    finally:
        stopping = asyncio.ensure_future(app.stop())
        await asyncio.wait([stopping], timeout=stop_timeout_s)
        if not stopping.done():
            app.fail(f"did not stop within {stop_timeout_s:g} s")
        await stopping


def _partition_of_key(key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]) -> int:  # noqa: ARG001
    return all_partitions[partition_of(key or b"", len(all_partitions))]


_EXPECTED: Final = "kafka://host:port or embedded://path/log.db"
_SETTINGS: Final[dict[str, Any]] = {
    # Bytes in and out; agents decode. Faust would decode JSON, and acknowledge what it cannot.
    "key_serializer": "raw",
    "value_serializer": "raw",
    "store": "memory://",
    "table_standby_replicas": 0,
    "processing_guarantee": "at_least_once",
    "stream_wait_empty": True,
    "stream_publish_on_commit": False,
    "stream_buffer_maxsize": 16_384,
    "TableManager": PromptTableManager,
    # An operator creates the topics; Faust never checks, and would make single copies with the wrong partitions.
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "consumer_auto_offset_reset": "earliest",
    "consumer_max_fetch_size": 4 * 1024 * 1024,
    "broker_max_poll_records": 5000,
    "broker_session_timeout": 20.0,
    "broker_heartbeat_interval": 3.0,
    "broker_rebalance_timeout": 60.0,
    "broker_request_timeout": 60.0,
    "producer_partitioner": _partition_of_key,
    "producer_linger": 0.01,
    "producer_max_batch_size": 256 * 1024,
    "producer_max_request_size": _MAX_RECORD_BYTES,
    "producer_compression_type": "lz4",
    "producer_request_timeout": 30.0,
    "web_enabled": False,
    "autodiscover": False,
}
