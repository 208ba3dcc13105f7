"""Drivers that stall, fail and refuse, below the barrier: what a broker in trouble looks like from there."""

import asyncio
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

    def stall(self, topic: str) -> None:
        self.topic = topic
        self.open.clear()

    def fail(self, topic: str, error: Exception) -> None:
        self.topic, self._error = topic, error

    def take_error(self) -> Exception | None:
        """One record fails, and late: its neighbours go through."""
        error, self._error = self._error, None
        return error


def faulty(url: str, faults: Faults) -> type:
    """Transport for a URL with faults in it."""
    driver = embedded if url.startswith("embedded:") else kafka
    driver_producer = embedded.LogProducer if url.startswith("embedded:") else kafka.IdempotentProducer
    driver_consumer = embedded.LogConsumer if url.startswith("embedded:") else kafka.SeekingConsumer

    class FaultyProducer(driver_producer):  # type: ignore[misc,valid-type]
        def send_soon(self, fut: Any) -> None:
            if driver is kafka or fut.message.channel.get_topic_name() != faults.topic:
                super().send_soon(fut)  # Kafka: on to `send`, by Faust's buffer
            elif (error := faults.take_error()) is not None:
                self.app.loop.call_soon(fut.set_exception, error)
            else:
                faults.held += 1
                self.app.loop.create_task(self._later(super().send_soon, fut))

        async def _later(self, send: Any, fut: Any) -> None:
            await faults.open.wait()
            send(fut)

        async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:
            if topic == faults.topic:
                if (error := faults.take_error()) is not None:
                    failed = asyncio.get_running_loop().create_future()
                    self.app.loop.call_soon(failed.set_exception, error)
                    return failed
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
