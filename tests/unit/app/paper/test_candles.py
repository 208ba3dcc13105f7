"""Candle files are read as they are, gaps and all; what is no candle is named with file, line and column."""

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paper.candles import BAR_MS, Candle, CandleMarket, find_candles, read_candles
from leverloop.errors import BadConfig, BadInput
from tests.unit.app.paper.scenes import CANDLES, needs_candles

HEADER = "open_at_ms,open,high,low,close,volume\n"
T0 = 1_515_560_100_000


def row(at_ms: int, price: float = 1.0) -> str:
    return f"{at_ms},{price},{price * 1.1},{price * 0.9},{price},{5.0}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def drain(market: CandleMarket) -> list[tuple[int, dict[str, Candle]]]:
    batches = []
    while (batch := market.next()) is not None:
        batches.append((batch.open_at_ms, batch.candles))
    return batches


def test_symbols_are_merged_in_time_order_and_gaps_stay(tmp_path: Path) -> None:
    write(tmp_path, "ETH-BTC-5m.csv.gz", HEADER + row(T0) + row(T0 + 2 * BAR_MS))
    write(tmp_path, "ADA-BTC.csv", HEADER + row(T0) + row(T0 + BAR_MS))
    write(tmp_path, "notes.txt", "no candles")
    market = CandleMarket(tmp_path)
    assert market.symbols == ("ADA-BTC", "ETH-BTC")
    seen = [(at_ms - T0, list(candles)) for at_ms, candles in drain(market)]
    assert seen == [(0, ["ADA-BTC", "ETH-BTC"]), (BAR_MS, ["ADA-BTC"]), (2 * BAR_MS, ["ETH-BTC"])]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "A.csv", f"volume,close,low,high,open,open_at_ms,x\n7,2,1,3,1.5,{T0},y\n\n")
    assert list(read_candles(path)) == [Candle(T0, 1.5, 3.0, 1.0, 2.0, 7.0)]


@pytest.mark.parametrize(
    ("cells", "field", "expected"),
    [
        ("x,1,1,1,1,1", "A.csv:3:open_at_ms", "a whole number, was 'x'"),
        (f"{T0 + 1},1,1,1,1,1", "A.csv:3:open_at_ms", "five-minute border"),
        (f"{T0 - BAR_MS},1,1,1,1,1", "A.csv:3:open_at_ms", "a time after the row before"),
        (f"{T0},1,1,1,1,1", "A.csv:3:open_at_ms", "a time after the row before"),
        (f"{T0 + BAR_MS},1,2,abc,1,1", "A.csv:3:low", "a number, was 'abc'"),
        (f"{T0 + BAR_MS},1,nan,1,1,1", "A.csv:3:high", "a price above 0, was nan"),
        (f"{T0 + BAR_MS},0,1,1,1,1", "A.csv:3:open", "a price above 0"),
        (f"{T0 + BAR_MS},1,inf,1,1,1", "A.csv:3:high", "a price above 0"),
        (f"{T0 + BAR_MS},1,1,1,1,-1", "A.csv:3:volume", "a volume of 0 or more"),
        (f"{T0 + BAR_MS},1,0.9,0.8,1,1", "A.csv:3:high", "at least open and close"),
        (f"{T0 + BAR_MS},1,2,1.5,1,1", "A.csv:3:low", "at most open and close"),
        (f"{T0 + BAR_MS},1,2", "A.csv:3", "6 cells, was 3"),
    ],
)
def test_a_row_that_is_no_candle_is_named(tmp_path: Path, cells: str, field: str, expected: str) -> None:
    path = write(tmp_path, "A.csv", HEADER + row(T0) + cells + "\n")
    with pytest.raises(BadInput, match=expected) as caught:
        list(read_candles(path))
    assert caught.value.field == field


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "A.csv", "open_at_ms,open,high,low,close\n")
    with pytest.raises(BadConfig, match=r"A\.csv: line 1 lacks the columns volume"):
        list(read_candles(path))


@pytest.mark.parametrize("content", [b"\x1f\x8bnot gzip", gzip.compress(b"open_at_ms" * 100)[:30], b"plain"])
def test_a_damaged_archive_is_a_bad_configuration(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "A.csv.gz"
    path.write_bytes(content)
    with pytest.raises(BadConfig, match="cannot be read as CSV"):
        list(read_candles(path))


def test_a_folder_without_candles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"no \*\.csv"):
        find_candles(tmp_path)
    with pytest.raises(BadConfig, match="expected a folder"):
        find_candles(tmp_path / "missing")


def test_one_symbol_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "A-5m.csv", HEADER)
    write(tmp_path, "A.csv.gz", HEADER)
    with pytest.raises(BadConfig, match="both of symbol A"):
        CandleMarket(tmp_path)


@given(data=st.data())
def test_a_market_goes_on_behind_any_batch(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("candles")
    for symbol in "ABC":
        places = sorted(data.draw(st.sets(st.integers(0, 12), max_size=8)))
        write(folder, f"{symbol}.csv", HEADER + "".join(row(T0 + place * BAR_MS) for place in places))
    whole = drain(CandleMarket(folder))
    cut = data.draw(st.integers(0, len(whole)))
    first = CandleMarket(folder)
    for _ in range(cut):
        first.next()
    second = CandleMarket(folder)
    second.restore(first.state())
    assert drain(second) == whole[cut:]
    assert drain(first) == whole[cut:]


def test_the_state_of_another_market_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "A.csv", HEADER)
    with pytest.raises(BadConfig, match="not one of a candle market"):
        CandleMarket(tmp_path).restore(b"\x80")


@needs_candles
def test_the_recorded_candles_are_read_whole() -> None:
    market = CandleMarket(CANDLES)
    batches = drain(market)
    assert {symbol for _, candles in batches for symbol in candles} == set(market.symbols)
    assert sum(len(candles) for _, candles in batches) > 1000 * len(market.symbols)
    assert all(later[0] > sooner[0] for sooner, later in pairwise(batches))
