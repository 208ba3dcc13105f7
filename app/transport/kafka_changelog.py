"""Changelogs on Kafka, read in bulk: a consumer in no group, large fetches, nothing made of a record but a pair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from faust.transport.consumer import ensure_TP
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth, server_list
from faust.types import TP

from app.transport.changelog import ChangelogReader, Page, Span

__all__ = ["EmptyTail", "KafkaChangelogs"]

_FETCH_BYTES: Final = 1024 * 1024  # of a partition at a time: less is slower by the round trip, more takes memory
_TURN_BYTES: Final = 4 * _FETCH_BYTES
_WAIT_S: Final = 0.5
_ANSWERS: Final = 2  # the first may have been asked for before the position moved


class EmptyTail:
    """Whether there is nothing any more between a position and the end of its partition.

    Compaction may take the last records of a partition, and leave no trace of them but the end's offset. Kafka then
    answers a fetch with nothing, as it does where another partition has filled the answer, or where a new leader
    does not know yet that it may show the records. So it has to be said twice, by a leader that knows the end, and
    while no other partition brings anything either.

    Examples
    --------
    >>> tail = EmptyTail()
    >>> [tail.is_empty(at, position=7, highwater=9, end=9) for at in (1, 1, 2, 3)]
    [False, False, False, True]
    """

    def __init__(self) -> None:
        self._position = -1
        self._answered_at: int | None = None
        self._answers = 0

    def brought(self) -> None:
        """Some partition has brought records: begin to count anew."""
        self._answers = 0

    def is_empty(self, answered_at: int | None, *, position: int, highwater: int | None, end: int) -> bool:
        """Take the last answer of the leader, by its time; say whether it was the one that settles it."""
        if position != self._position:
            self._position, self._answers, self._answered_at = position, 0, answered_at
        elif answered_at != self._answered_at:
            self._answered_at = answered_at
            self._answers += 1
        return self._answers >= _ANSWERS and highwater is not None and highwater >= end


class KafkaChangelogs:
    """Changelogs on the brokers that an app is connected to, with the same means.

    Parameters
    ----------
    app
        The worker's app.
    """

    def __init__(self, app: Any) -> None:
        self._app: Final = app

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ChangelogReader]:
        """See the protocol."""
        conf, transport = self._app.conf, self._app.transport
        consumer = AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            bootstrap_servers=server_list(transport.url, transport.default_port),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_uncommitted",  # as the app's: nothing here is transactional
            check_crcs=conf.broker_check_crcs,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_bytes=_TURN_BYTES,
            **credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )
        try:
            await consumer.start()
            yield _KafkaReader(consumer)
        finally:
            await consumer.stop()


class _KafkaReader:
    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def spans(self, tps: Iterable[TP]) -> dict[TP, Span]:
        begins = await self._consumer.beginning_offsets(list(tps))
        ends = await self._consumer.end_offsets(list(tps))
        return {ensure_TP(tp): Span(begins[tp], end) for tp, end in ends.items()}

    async def pages(self, wanted: Mapping[TP, Span]) -> AsyncGenerator[Page, None]:
        left = {tp: span for tp, span in wanted.items() if span.begin < span.end}
        tails = {tp: EmptyTail() for tp in left}
        self._consumer.assign([TopicPartition(*tp) for tp in left])
        for tp, span in left.items():
            self._consumer.seek(tp, span.begin)
        while left:
            found = await self._fetch()
            if found:
                for tail in tails.values():
                    tail.brought()
            for tp, span in list(left.items()):
                state = self._state(tp)
                if not state.has_valid_position:  # retention has overtaken it: it is being moved to the beginning
                    continue
                position = state.position
                if not found.get(tp) and tails[tp].is_empty(
                    state.timestamp, position=position, highwater=state.highwater, end=span.end
                ):
                    position = max(position, span.end)
                yield Page(tp, found.get(tp, []), position)
                if position >= span.end:
                    self._consumer.pause(TopicPartition(*tp))
                    del left[tp]

    def _state(self, tp: TP) -> Any:
        return self._consumer._subscription.subscription.assignment.state_value(tp)

    async def _fetch(self) -> dict[TP, list[tuple[bytes, bytes | None]]]:
        fetcher = self._consumer._fetcher
        if not fetcher._records:
            arrived = fetcher._create_fetch_waiter()
            await asyncio.wait((arrived, fetcher.error_future), timeout=_WAIT_S, return_when=asyncio.FIRST_COMPLETED)
            if fetcher.error_future.done():
                fetcher.error_future.result()
            if not arrived.done():
                arrived.cancel()
        # A ConsumerRecord has eleven fields, and costs more than all the rest of the reading.
        for result in fetcher._records.values():
            if isinstance(result, FetchResult) and result.has_more():
                result._partition_records._consumer_record = _pair
        return {ensure_TP(tp): records for tp, records in (await fetcher.fetched_records((), 0)).items()}


def _pair(_: Any, record: Any) -> tuple[bytes, bytes | None]:
    return record.key or b"", record.value
