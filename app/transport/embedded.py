"""The embedded log as a Faust transport: no broker, one worker, the same agents and tables."""

from __future__ import annotations

import time
from typing import Any, Final

from faust.transport import base
from yarl import URL

from app.transport.barrier import BarrierConsumer, BarrierProducer
from app.transport.changelog import Changelogs, EmbeddedChangelogs
from app.transport.log_consumer import LogConsumer
from app.transport.log_producer import LogProducer
from app.transport.outbox import Outbox
from app.transport.worker_lock import WorkerLock
from leverloop.embedded_log import EmbeddedLog
from leverloop.errors import BadConfig, LeverloopError

__all__ = ["Consumer", "LogConsumer", "LogProducer", "Producer", "Transport"]

_COMPACTED: Final = "<compacted>"  # the group whose offsets say how far a topic was compacted
# Compaction looks at every record, recovery at those that are too many: each costs microseconds, so compact when there
# is about as much to be saved as spent, and where little was written leave it.
_UNTIDY: Final = 50_000
_UNTIDY_FRAC: Final = 0.1
_LINGER_S: Final = 0.007  # a transaction costs one fsync, 0.2 to 2 ms: a tenth of the loop's time at most


class Producer(BarrierProducer, LogProducer):
    """Embedded producer behind the barrier."""


class Consumer(BarrierConsumer, LogConsumer):
    """Embedded consumer behind the barrier."""


class Transport(base.Transport):
    """Faust transport of ``embedded://``: one log, open from the producer's start to its stop."""

    Consumer = Consumer
    Producer = Producer

    default_port = 0
    driver_version = "embedded log"

    def __init__(self, url: list[URL], app: Any, loop: Any = None) -> None:
        super().__init__(url, app, loop)
        if not hasattr(app, "log_path"):
            raise BadConfig("the embedded transport needs an app made by app.transport.create_app")
        self.log: EmbeddedLog
        self.outbox: Outbox
        self._lock: Final = WorkerLock(app.log_path)
        self._partitions: dict[str, int] = {}
        self.on_written: Any = lambda _: None

    def open(self) -> None:
        """Lock the log for this worker, open it, and tidy it up."""
        self._lock.acquire()
        try:
            self.log = EmbeddedLog(self.app.log_path)
            tidy(self.log)
        except LeverloopError:
            self._lock.release()
            raise
        self.outbox = Outbox(
            self.log,
            linger_s=_LINGER_S,
            on_written=lambda tps: self.on_written(tps),  # noqa: PLW0108 - the consumer comes later
            on_failed=lambda error: self.app.fail(f"the embedded log cannot be written: {error}", error),
        )

    def write(self) -> None:
        """Write what waits; nothing does in a log that was never opened."""
        if self._lock.held:
            self.outbox.write()

    def close(self) -> None:
        """Write what waits, close the log, let go of the lock."""
        self.write()
        if self._lock.held:
            self.log.close()
            self._lock.release()

    def changelogs(self) -> Changelogs:
        """Changelogs, to be read in bulk."""
        return EmbeddedChangelogs(self.app.log_path)

    def partitions(self, topic: str) -> int | None:
        """Partitions of a topic, None if it does not exist; never changes once there."""
        known = self._partitions.get(topic)
        if known is None:
            found = self.log.topics().get(topic)
            if found is not None:
                known = self._partitions[topic] = found.partitions
        return known

    def require_partitions(self, topic: str) -> int:
        """Partitions of a topic; BadConfig if it does not exist."""
        found = self.partitions(topic)
        if found is None:
            raise BadConfig(f"topic {topic} does not exist in {self.app.log_path}: leverloop topics create")
        return found


def tidy(log: EmbeddedLog) -> None:
    """Compact the compacted topics and drop what is past its retention, as a broker would all the time."""
    now_ms = int(time.time() * 1000)
    compacted = log.committed(_COMPACTED)
    for topic in log.topics().values():
        if "compact" in topic.config.get("cleanup.policy", "delete"):
            ends = {(topic.name, p): log.end_offset(topic.name, p) for p in range(topic.partitions)}
            known = sum(compacted.get(where, 0) for where in ends)
            if sum(ends.values()) - known > min(_UNTIDY, known * _UNTIDY_FRAC):
                log.compact(topic.name)
                log.append([], group=_COMPACTED, commits=ends)
        elif (retention_ms := int(topic.config.get("retention.ms", "-1"))) >= 0:
            log.trim(topic.name, now_ms - retention_ms)
