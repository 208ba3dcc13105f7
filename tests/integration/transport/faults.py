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
        self.refused_commits = 0
        self.commits: list[dict[Any, int]] = []

    def stalls(self, topic: str) -> bool:
        """Must a record for the topic wait for `open`? Asked once for each."""
        return topic == self.topic and not self.open.is_set()

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
    driver = embedded if url.startswith("embedded:") else kafka
    driver_producer = embedded.LogProducer if url.startswith("embedded:") else kafka.IdempotentProducer
    driver_consumer = embedded.LogConsumer if url.startswith("embedded:") else kafka.SeekingConsumer

    class FaultyProducer(driver_producer):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._held: deque[Any] = deque()

        def send_soon(self, fut: Any) -> None:
            topic = fut.message.channel.get_topic_name()
            if driver is kafka:
                super().send_soon(fut)  # on to `send`, by Faust's buffer
            elif (error := faults.take_error(topic)) is not None:
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
            if (error := faults.take_error(topic)) is not None:
                failed = asyncio.get_running_loop().create_future()
                self.app.loop.call_soon(failed.set_exception, error)
                return failed
            if faults.stalls(topic):
                faults.held += 1
                await faults.open.wait()
            return await super().send(topic, *args, **kwargs)

    class FaultyConsumer(driver_consumer):  # type: ignore[misc,valid-type]
        async def _commit(self, offsets: Mapping[Any, int]) -> bool:
            if faults.refused_commits:
                faults.refused_commits -= 1
                return False
            faults.commits.append(dict(offsets))
            return bool(await super()._commit(offsets))

    class GuardedProducer(BarrierProducer, FaultyProducer):
        pass

    class GuardedConsumer(BarrierConsumer, FaultyConsumer):
        pass

    class FaultyTransport(driver.Transport):  # type: ignore[misc,name-defined]
        Producer = GuardedProducer
        Consumer = GuardedConsumer

    return FaultyTransport
