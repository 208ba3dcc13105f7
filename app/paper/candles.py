"""Candles: five-minute bars of one symbol, read from CSV, and batches of all symbols in time order."""

from __future__ import annotations

import csv
import gzip
import heapq
import math
import re
import zlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, TextIO

import msgspec

from leverloop.errors import BadConfig, BadInput

__all__ = ["BAR_MS", "COLUMNS", "Batch", "Candle", "CandleMarket", "find_candles", "read_candles"]

BAR_MS: Final = 300_000
COLUMNS: Final = ("open_at_ms", "open", "high", "low", "close", "volume")
_NAME: Final = re.compile(r"(?P<symbol>[A-Za-z0-9_-]+?)(?:-5m)?\.csv(?:\.gz)?")


class Candle(msgspec.Struct, frozen=True, array_like=True):
    """One bar: it opens at `open_at_ms` and is known `BAR_MS` later; volume in units of the base asset."""

    open_at_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Batch(msgspec.Struct, frozen=True):
    """The bars of one five-minute step, one for each symbol that has one, in order of the symbols."""

    open_at_ms: int
    candles: dict[str, Candle]

    @property
    def close_at_ms(self) -> int:
        """When the bars are known."""
        return self.open_at_ms + BAR_MS


class _Position(msgspec.Struct, frozen=True, tag="candles"):
    """Where a `CandleMarket` stands, in its state."""

    next_open_at_ms: int


class CandleMarket:
    """Market of recorded candles: every CSV file of a directory, merged in time order, gaps as they are.

    Parameters
    ----------
    directory
        Folder with ``<symbol>.csv`` or ``<symbol>.csv.gz`` (``-5m`` before the dot is no part of the symbol).

    Raises
    ------
    BadConfig
        If there is no such folder, no candle file in it, or one symbol twice.
    BadInput
        From `next`, with file, line and column, at the first row that is no candle.
    """

    def __init__(self, directory: Path) -> None:
        self._files = find_candles(directory)
        self._next_open_at_ms = 0
        self._batches = self._merged()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the market, sorted."""
        return tuple(self._files)

    def next(self) -> Batch | None:
        """Return the bars of the next step; None when the candles are at their end."""
        batch = next(self._batches, None)
        if batch is not None:
            self._next_open_at_ms = batch.close_at_ms
        return batch

    def state(self) -> bytes:
        """Position in the candles, for `restore`."""
        return msgspec.msgpack.encode(_Position(self._next_open_at_ms))

    def restore(self, raw: bytes) -> None:
        """Go on behind the last batch that was given out before `state` was called."""
        try:
            self._next_open_at_ms = msgspec.msgpack.decode(raw, type=_Position).next_open_at_ms
        except msgspec.DecodeError as error:
            raise BadConfig(f"the state is not one of a candle market ({error})") from error
        self._batches = self._merged()

    def _merged(self) -> Iterator[Batch]:
        begin_at_ms = self._next_open_at_ms

        def rows(symbol: str, path: Path) -> Iterator[tuple[int, str, Candle]]:
            return ((c.open_at_ms, symbol, c) for c in read_candles(path) if c.open_at_ms >= begin_at_ms)

        merged = heapq.merge(*(rows(symbol, path) for symbol, path in self._files.items()))
        for open_at_ms, group in groupby(merged, key=lambda row: row[0]):
            yield Batch(open_at_ms, {symbol: candle for _, symbol, candle in group})


def find_candles(directory: Path) -> dict[str, Path]:
    """Candle files of a folder by symbol, sorted; BadConfig if there is none or one symbol has two."""
    if not directory.is_dir():
        raise BadConfig(f"{directory}: expected a folder of OHLCV files such as ETH-BTC-5m.csv.gz")
    found: dict[str, Path] = {}
    for path in sorted(directory.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        symbol = match["symbol"]
        if symbol in found:
            raise BadConfig(f"{directory}: {found[symbol].name} and {path.name} are both of symbol {symbol}")
        found[symbol] = path
    if not found:
        raise BadConfig(f"{directory}: no *.csv or *.csv.gz with the columns {','.join(COLUMNS)}")
    return dict(sorted(found.items()))


def read_candles(path: Path) -> Iterator[Candle]:
    """Candles of one CSV file, plain or gzipped, strictly in time order.

    Raises
    ------
    BadConfig
        For a file that cannot be read or lacks a column.
    BadInput
        At the first row that is no candle; its field reads ``<file>:<line>:<column>``.
    """
    try:
        with _opened(path) as lines:
            yield from _candles(path.name, lines)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise BadConfig(f"{path}: cannot be read as CSV ({error})") from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _candles(name: str, lines: TextIO) -> Iterator[Candle]:
    rows = csv.reader(lines)
    header = next(rows, [])
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise BadConfig(f"{name}: line 1 lacks the columns {', '.join(missing)}")
    places = [header.index(column) for column in COLUMNS]
    last_at_ms = -1
    for row in rows:
        if not row:
            continue
        where = f"{name}:{rows.line_num}"
        if len(row) != len(header):
            raise BadInput(where, f"{len(header)} cells", len(row))
        candle = _candle(where, [row[place] for place in places])
        if candle.open_at_ms <= last_at_ms:
            raise BadInput(f"{where}:open_at_ms", f"a time after the row before, {last_at_ms}", candle.open_at_ms)
        last_at_ms = candle.open_at_ms
        yield candle


def _candle(where: str, cells: list[str]) -> Candle:
    try:
        candle = Candle(int(cells[0]), *(float(cell) for cell in cells[1:]))
    except ValueError:
        raise _not_a_number(where, cells) from None
    if candle.open_at_ms < 0 or candle.open_at_ms % BAR_MS:
        raise BadInput(f"{where}:open_at_ms", "milliseconds since the epoch, on a five-minute border", cells[0])
    for column, value in zip(COLUMNS[1:], (candle.open, candle.high, candle.low, candle.close), strict=False):
        if not 0.0 < value < math.inf:
            raise BadInput(f"{where}:{column}", "a price above 0", value)
    if not 0.0 <= candle.volume < math.inf:
        raise BadInput(f"{where}:volume", "a volume of 0 or more", candle.volume)
    if candle.high < max(candle.open, candle.close):
        raise BadInput(f"{where}:high", "at least open and close", candle.high)
    if candle.low > min(candle.open, candle.close):
        raise BadInput(f"{where}:low", "at most open and close", candle.low)
    return candle


def _not_a_number(where: str, cells: list[str]) -> BadInput:
    for column, cell in zip(COLUMNS, cells, strict=True):
        try:
            int(cell) if column == "open_at_ms" else float(cell)
        except ValueError:
            return BadInput(f"{where}:{column}", "a whole number" if column == "open_at_ms" else "a number", cell)
    return BadInput(where, "a candle", cells)
