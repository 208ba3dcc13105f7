"""Order in which fetched records reach the agents: by the time they were appended, over all partitions."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Any

from faust.types import TP
from faust.types.transports import SchedulingStrategyT

from leverloop.embedded_log import Record

__all__ = ["ByTimestamp"]


class ByTimestamp(SchedulingStrategyT):
    """Merge the partitions of one fetch by timestamp, then by topic name; each keeps its own order.

    Faust takes one record of each topic in turn. There are several actions to a trade, so that after a
    pause the closes would run ahead of their actions, and every outcome be sent again for each of them.
    Nothing depends on this order but the number of messages.
    """

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Yield (partition, record) in order."""
        fetched = [[(tp, record) for record in of_tp] for tp, of_tp in sorted(records.items())]
        return heapq.merge(*fetched, key=_when)


def _when(entry: tuple[TP, Any]) -> tuple[int, str]:
    tp, record = entry
    at_ms = record.timestamp_ms if isinstance(record, Record) else record.timestamp
    return at_ms or 0, tp.topic
