"""Order in which fetched records reach the agents: by the time they were appended, over all partitions."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from faust.types import TP

from leverloop.embedded_log import Record

__all__ = ["Held"]


class Held:
    """Records that were fetched and wait for their turn.

    There are several actions to a trade, and a fetch brings as many of each: after a pause the closes would
    run ahead of their actions, and every outcome be sent again for each of them. So a record waits for the
    older ones of other partitions, as long as there may be any: where a partition has run out, it is fetched
    from before anything goes on. Nothing depends on this order but the number of messages.

    Examples
    --------
    >>> held = Held()
    >>> held.add(TP("trades", 0), [Record(0, 5, None, b"", ()), Record(1, 9, None, b"", ())])
    >>> held.add(TP("actions", 0), [Record(0, 3, None, b"", ()), Record(1, 7, None, b"", ())])
    >>> [(tp.topic, record.timestamp_ms) for tp, record in held.take({TP("trades", 0), TP("actions", 0)})]
    [('actions', 3), ('trades', 5), ('actions', 7)]
    >>> held.next_offset(TP("trades", 0)), held.next_offset(TP("actions", 0))
    (1, None)
    """

    def __init__(self) -> None:
        self._of: Final[dict[TP, deque[Any]]] = {}

    def add(self, tp: TP, records: Iterable[Any]) -> None:
        """Hold records of a partition, behind those that are held already."""
        self._of.setdefault(tp, deque()).extend(records)

    def next_offset(self, tp: TP) -> int | None:
        """Offset of the first record held of a partition, None if there is none."""
        records = self._of.get(tp)
        return records[0].offset if records else None

    def without(self, tps: Iterable[TP]) -> set[TP]:
        """Those partitions of which nothing is held."""
        return {tp for tp in tps if not self._of.get(tp)}

    def take(self, tps: set[TP]) -> Iterator[tuple[TP, Any]]:
        """Yield records of partitions by time, then by topic, until one of the partitions runs out."""
        heap = [(_when(records[0]), tp) for tp in tps if (records := self._of.get(tp))]
        heapq.heapify(heap)
        while heap:
            _, tp = heap[0]
            records = self._of[tp]
            yield tp, records.popleft()
            if not records:
                return
            heapq.heapreplace(heap, (_when(records[0]), tp))

    def forget(self, tps: Iterable[TP]) -> None:
        """Let go of what is held of some partitions: it will be fetched again, or is another worker's."""
        for tp in tps:
            self._of.pop(tp, None)

    def clear(self) -> None:
        """Let go of everything."""
        self._of.clear()


def _when(record: Any) -> int:
    at_ms = record.timestamp_ms if isinstance(record, Record) else record.timestamp
    return at_ms or 0
