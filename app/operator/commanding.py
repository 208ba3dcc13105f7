"""Write a command to the control topic, and wait for the worker's answer (spec sections 10 and 11)."""

from __future__ import annotations

import asyncio
import getpass
import uuid
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.topic_reader import end_offset, follow_partition
from learning.commands import ControlEvent, LessonCommand, SnapshotCommand
from leverloop.brokers import broker_addresses, embedded_path
from leverloop.clock import now_ms
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.errors import BadConfig, Unavailable
from streams.topics import CONTROL, CONTROL_EVENTS, OVERRIDES

__all__ = ["Signature", "commanded", "signature"]

_KEY = b"command"
_UNHEARD = "is a worker running? It obeys as soon as one reads it"
_LEFT = "has the worker stopped? What is left follows as soon as one goes on"


class _Numbered(msgspec.Struct):
    module: str
    version: int


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Who commands, why and when, and the command's id."""

    id: str
    who: str
    why: str
    at_ms: int


def signature(reason: str, who: str | None) -> Signature:
    """Sign a command; who it is defaults to the user of this machine.

    Raises
    ------
    BadConfig
        Without a reason.
    """
    if not reason.strip() or len(reason) > 1_000:
        raise BadConfig("--reason: say why, in at most 1,000 characters; it stands in the audit for ever")
    name = (who or getpass.getuser()).strip()
    if not name or len(name) > 128:
        raise BadConfig("--who: your name, in at most 128 characters")
    return Signature(id=uuid.uuid4().hex, who=name, why=reason.strip(), at_ms=now_ms())


async def commanded(
    broker_url: str, command: SnapshotCommand | LessonCommand, *, answers: int, timeout_s: float
) -> list[ControlEvent]:
    """Write a command; return what became of it, one answer for each module that it is about.

    Parameters
    ----------
    broker_url
        The log.
    command
        What to command.
    answers
        How many there will be.
    timeout_s
        How long to wait for them, in seconds.

    Raises
    ------
    Unavailable
        If nobody has answered in time, or not for all modules, or clients cannot read yet what was announced. The
        command stands all the same.
    """
    begin = await end_offset(broker_url, CONTROL_EVENTS, 0)
    announced = await end_offset(broker_url, OVERRIDES, 0)
    await _write(broker_url, msgspec.json.encode(command))
    found: dict[str | None, ControlEvent] = {}  # a worker that died in between says it again
    try:
        async with asyncio.timeout(timeout_s):
            async with aclosing(_answers(broker_url, begin, command.id)) as heard:
                async for event in heard:
                    found[event.module] = event
                    if len(found) == answers:
                        break
            await _announced(broker_url, announced, found.values())
    except TimeoutError:
        raise Unavailable(
            f"{command.command} was written to {CONTROL} and {_so_far(found.values(), answers)} within "
            f"{timeout_s:g} s: {_LEFT if found else _UNHEARD}; do not repeat it, look with `leverloop overrides list`"
        ) from None
    return list(found.values())


def _so_far(events: Collection[ControlEvent], answers: int) -> str:
    """What was heard until it took too long."""
    if not events:
        return "nobody has answered"
    heard = ", ".join(
        " ".join(str(word) for word in (event.module, event.outcome, event.version) if word is not None)
        for event in events
    )
    missing = "clients cannot read all of it" if len(events) == answers else "the rest has not been answered"
    return f"was answered ({heard}), but {missing}"


async def _announced(broker_url: str, begin: int, events: Iterable[ControlEvent]) -> None:
    """Wait until clients can read every version that a command has made."""
    missing = {(event.module, event.version) for event in events if event.outcome == "announced"}
    if not missing:
        return
    async with aclosing(follow_partition(broker_url, OVERRIDES, 0, begin)) as records:
        async for record in records:
            if record.value and b"/" not in (record.key or b""):  # beside them stand their heartbeats
                seen = msgspec.json.decode(record.value, type=_Numbered)
                missing = {
                    (name, version) for name, version in missing if name != seen.module or version != seen.version
                }
                if not missing:
                    return


async def _answers(broker_url: str, begin: int, command_id: str) -> AsyncGenerator[ControlEvent, None]:
    """Events of one command, as they come."""
    key = command_id.encode()
    async with aclosing(follow_partition(broker_url, CONTROL_EVENTS, 0, begin)) as records:
        async for record in records:
            if record.key == key and record.value:
                yield msgspec.json.decode(record.value, type=ControlEvent)


async def _write(broker_url: str, value: bytes) -> None:
    path = embedded_path(broker_url)
    if path is not None:
        record = NewRecord(topic=CONTROL, partition=0, key=_KEY, value=value, timestamp_ms=now_ms())
        with EmbeddedLog(path, create=False) as log:
            log.append([record])
        return
    addresses = broker_addresses(broker_url)
    producer = AIOKafkaProducer(bootstrap_servers=addresses, acks="all", enable_idempotence=True)
    try:
        await producer.start()
        await producer.send_and_wait(CONTROL, value, key=_KEY, partition=0)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {', '.join(addresses)}: {error}; the command may not be written") from error
    finally:
        await producer.stop()
