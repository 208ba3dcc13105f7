"""Drivers that stall, fail and refuse, below the barrier: what a broker in trouble looks like from there."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from app.transport import embedded, kafka
from app.transport.barrier import BarrierConsumer, BarrierProducer


class Faults:
    """What is wrong now; a test changes it while the worker runs."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.topic = ""
        """Records for this topic wait until `open` is set; or one of them fails."""
        self._error: Exception | None = None
        self.held = 0
        self.deaf = False
        """Fetches bring nothing."""
        self.stall_timeout_s = 300.0
        self.refused_commits = 0

    def stalls(self, topic: str) -> bool:
        """Must a record for the topic wait for `open`? Asked once for each."""
        return topic == self.topic and not self.open.is_set()

    def refuses(self) -> bool:
        """Must this commit be refused?"""
        self.refused_commits -= 1
        return self.refused_commits >= 0

    async def pass_on(self, send: Any, topic: str, *args: Any, **kwargs: Any) -> Any:
        """Send a record, late, or not at all."""
        if (error := self.take_error(topic)) is not None:
            loop = asyncio.get_running_loop()
            failed = loop.create_future()
            loop.call_soon(failed.set_exception, error)
            return failed
        if self.stalls(topic):
            self.held += 1
            await self.open.wait()
        return await send(topic, *args, **kwargs)

    async def fetch(self, getmany: Any, *args: Any, **kwargs: Any) -> Any:
        """Fetch, or hear nothing."""
        if self.deaf:
            await asyncio.sleep(0.01)
            return {}
        return await getmany(*args, **kwargs)

    def stall(self, topic: str) -> None:
        self.topic = topic
        self.open.clear()

    def fail(self, topic: str, error: Exception) -> None:
        self.topic, self._error = topic, error

    def take_error(self, topic: str) -> Exception | None:
        """One record fails, and late: its neighbours go through."""
        if topic != self.topic:
            return None
        error, self._error = self._error, None
        return error


def faulty(url: str, faults: Faults) -> type:
    """Transport for a URL with faults in it."""
    return _faulty_embedded(faults) if url.startswith("embedded:") else _faulty_kafka(faults)


def _faulty_embedded(faults: Faults) -> type:
    class LogProducer(embedded.LogProducer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._held: deque[Any] = deque()

        def send_soon(self, fut: Any) -> None:
            topic = fut.message.channel.get_topic_name()
            if (error := faults.take_error(topic)) is not None:
                self.app.loop.call_soon(fut.set_exception, error)
            elif self._held or faults.stalls(topic):
                faults.held += 1
                self._held.append(fut)
                if len(self._held) == 1:
                    self.app.add_future(self._release(super().send_soon))
            else:
                super().send_soon(fut)

        async def _release(self, send: Any) -> None:
            await faults.open.wait()
            while self._held:
                send(self._held.popleft())

        async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:
            return await faults.pass_on(super().send, topic, *args, **kwargs)

    class LogConsumer(embedded.LogConsumer):
        async def _commit(self, offsets: Mapping[Any, int]) -> bool:
            return not faults.refuses() and await super()._commit(offsets)

        async def _getmany(self, *args: Any, **kwargs: Any) -> Any:
            return await faults.fetch(super()._getmany, *args, **kwargs)

    return _transport(faults, embedded, LogProducer, LogConsumer)


def _faulty_kafka(faults: Faults) -> type:
    class IdempotentProducer(kafka.IdempotentProducer):
        async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:  # changelog records come here, too
            return await faults.pass_on(super().send, topic, *args, **kwargs)

    class SeekingConsumer(kafka.SeekingConsumer):
        async def _commit(self, offsets: Mapping[Any, int]) -> bool:
            return not faults.refuses() and await super()._commit(offsets)

        async def _getmany(self, *args: Any, **kwargs: Any) -> Any:
            return await faults.fetch(super()._getmany, *args, **kwargs)

    return _transport(faults, kafka, IdempotentProducer, SeekingConsumer)


def _transport(faults: Faults, driver: Any, driver_producer: Any, driver_consumer: Any) -> type:
    class Producer(BarrierProducer, driver_producer):  # type: ignore[misc]
        pass

    class Consumer(BarrierConsumer, driver_consumer):  # type: ignore[misc]
        stall_timeout_s = faults.stall_timeout_s

    return type("FaultyTransport", (driver.Transport,), {"Producer": Producer, "Consumer": Consumer})
