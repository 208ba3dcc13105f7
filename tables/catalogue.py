"""Where state lives: every changelog-backed table, with its key, its value and how large it grows."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["ANNOUNCED", "BOOK", "EPOCHS", "OUTCOMES", "TABLES", "TRADES", "TableSpec"]


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One table. Its name is persistent: Faust names the changelog topic after it."""

    name: str
    key: str
    value: str
    version: int
    """First byte of every value; `tables.encoding` reads all versions ever written."""
    scales: bool
    """True: as many partitions as the inputs; False: one, for what is single by design."""
    grows_with: str


TRADES: Final = TableSpec(
    name="trades",
    key="trade_id",
    value="TradeState: actions and close of one trade",
    version=1,
    scales=True,
    grows_with="trades open, or closed within max_open",
)
OUTCOMES: Final = TableSpec(
    name="outcomes",
    key="outcome id (= action_id)",
    value="an outcome as a row: what the columns hold of it (learning.rows)",
    version=2,
    scales=True,
    grows_with="actions of closed trades",
)
EPOCHS: Final = TableSpec(
    name="epochs",
    key="input topic/partition, or a word in <>",
    value="progress of one input, as seen by one outcomes partition",
    version=1,
    scales=True,
    grows_with="partitions squared; one small record each",
)
BOOK: Final = TableSpec(
    name="book",
    key="<book>, or findings/partition",
    value="the lesson book; findings of a partition that wait for the others",
    version=1,
    scales=False,
    grows_with="lessons ever made",
)

ANNOUNCED: Final = TableSpec(
    name="announced",
    key="module",
    value="what stands, what waits, what is pinned, and where versions are kept",
    version=2,
    scales=False,
    grows_with="modules",
)

TABLES: Final = (TRADES, OUTCOMES, EPOCHS, BOOK, ANNOUNCED)
