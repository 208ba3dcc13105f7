"""Statistics of trades on recorded candles against a plain count: what no generator of ours thought of."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.paper.candles import CandleMarket, find_candles
from app.paper.pm import PaperPM
from learning.parameters import Parameters
from leverloop.book import OverrideBook
from leverloop.events import encode
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws import brute_force
from tests.laws.agreement import disagreements
from tests.laws.feeding import FOREVER_MS, fed
from tests.laws.streams import Document
from tests.unit.app.paper.scenes import CANDLES, needs_candles

EPOCH_AT_MS = 1_516_752_000_000
"""2018-01-24, two thirds into the candles."""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """What the paper PM logs on three coins: some closes are revised when the market has gone on."""
    folder = tmp_path_factory.mktemp("candles")
    for path in list(find_candles(CANDLES).values())[::3]:
        (folder / path.name).symlink_to(path)
    return list(_traded(folder))


def _traded(folder: Path) -> Iterator[Document]:
    market = CandleMarket(folder)
    pm = PaperPM(OverrideBook.empty().resolve, watch_bars=48)
    while (batch := market.next()) is not None:
        yield from (msgspec.json.decode(encode(event)) for event in pm.step(batch))


@needs_candles
@pytest.mark.parametrize("epoch_at_ms", [EPOCH_AT_MS, FOREVER_MS])
def test_every_number_of_trades_on_recorded_candles(documents: list[Document], epoch_at_ms: int) -> None:
    actions = [document for document in documents if "action_id" in document]
    closes = [document for document in documents if "action_id" not in document]
    assert len({close["trade_id"] for close in closes}) < len(closes), "no close was revised"
    groups = fed(documents, Parameters(), DEFAULT_SCHEMA)
    # Seven dimensions and more cost the brute force seconds: every eleventh of the subsets of any size.
    n, wrong = disagreements(
        groups, brute_force.rows_of(actions, closes), epoch_at_ms, Parameters(), DEFAULT_SCHEMA, every=11
    )
    assert wrong == []
    assert n > 100
