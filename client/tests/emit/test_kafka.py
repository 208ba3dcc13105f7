"""The Kafka emitter where there is no broker: it takes, keeps, and says what stands in the way."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leverloop.emit.blocking import BlockingEmitter
from leverloop.emit.kafka import KafkaEmitter
from leverloop.errors import BadConfig, BadInput, InvariantBroken, Unavailable
from leverloop.events import TradeClosed
from leverloop.testing import AT_MS

_FULL_DISK = """
import asyncio, resource, sys
from leverloop.emit.kafka import KafkaEmitter
from leverloop.errors import Unavailable
from leverloop.events import TradeClosed
from leverloop.testing import AT_MS

async def run():
    trade = TradeClosed(
        trade_id="t1", module="pm", symbol="X", opened_at_ms=AT_MS, event_at_ms=AT_MS, rr=1.0, return_frac=0.1,
        max_drawdown_frac=0.1, max_gain_frac=0.1,
    )
    async with KafkaEmitter(sys.argv[1], buffer_dir=sys.argv[2], close_timeout_s=0.1) as emitter:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        while not emitter.status().untaken_count:
            try:
                emitter.log_trade(trade)
            except Unavailable as error:
                print(error)
        full = emitter.status().taken_count
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        emitter.log_trade(trade)
        print(full, emitter.status().waiting_count)

asyncio.run(run())
"""


@pytest.fixture
def nobody() -> Iterator[str]:
    """Address that is bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def trade(trade_id: str) -> TradeClosed:
    return TradeClosed(
        trade_id=trade_id,
        module="pm",
        symbol="SOL-PERP",
        opened_at_ms=AT_MS,
        event_at_ms=AT_MS,
        rr=1.5,
        return_frac=0.03,
        max_drawdown_frac=0.01,
        max_gain_frac=0.04,
    )


async def test_it_starts_takes_and_keeps_over_restarts(nobody: str, tmp_path: Path) -> None:
    for start in range(3):
        async with KafkaEmitter(nobody, buffer_dir=tmp_path, close_timeout_s=0.01) as emitter:
            assert emitter.status().recovered_count == start
            emitter.log_trade(trade(f"t{start}"))
            status = emitter.status()
            assert (status.taken_count, status.waiting_count, status.connected) == (1, start + 1, False)
            assert "does not answer" in status.trouble
        after = emitter.status()
        assert (after.waiting_count, after.connected) == (start + 1, False)
        with pytest.raises(InvariantBroken, match="not open"):
            emitter.log_trade(trade("late"))


async def test_an_event_that_breaks_its_contract_is_not_taken(nobody: str, tmp_path: Path) -> None:
    async with KafkaEmitter(nobody, buffer_dir=tmp_path) as emitter:
        with pytest.raises(BadInput, match="trade_id"):
            emitter.log_trade(trade(""))
        assert emitter.status().taken_count == 0
        await emitter.flush(0.0)  # nothing waits, so nothing is waited for


async def test_two_emitters_do_not_share_a_buffer(nobody: str, tmp_path: Path) -> None:
    async with KafkaEmitter(nobody, buffer_dir=tmp_path) as emitter:
        with pytest.raises(BadConfig, match="give each emitter a buffer_dir of its own"):
            await KafkaEmitter(nobody, buffer_dir=tmp_path).__aenter__()
        with pytest.raises(InvariantBroken, match="open already"):
            await emitter.__aenter__()


def test_a_full_disk_is_told_with_its_file_and_what_waits(nobody: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, nobody, str(tmp_path)], capture_output=True, text=True, check=True
    )
    said, counts = ran.stdout.splitlines()
    taken, waiting = map(int, counts.split())
    assert waiting == taken + 1 > 10
    assert f"buffer {tmp_path}, " in said
    assert "the disk is full (File too large); free space on it, or name a directory elsewhere" in said
    assert f"{taken} events wait for {nobody}: Kafka at {nobody} does not answer" in said
    (left,) = tmp_path.glob("*.events")
    assert left.stat().st_size > 10_000  # the event that was taken when there was room again


def test_a_blocking_emitter_opens_logs_says_and_closes(nobody: str, tmp_path: Path) -> None:
    with BlockingEmitter(KafkaEmitter(nobody, buffer_dir=tmp_path, close_timeout_s=0.01)) as emitter:
        emitter.log_trade(trade("t1"))
        with pytest.raises(Unavailable, match=r"1 events are not acknowledged by .* after 0\.05 s"):
            emitter.flush(0.05)
        with pytest.raises(InvariantBroken, match="open already"):
            emitter.__enter__()
    assert emitter.status().waiting_count == 1
    with pytest.raises(InvariantBroken, match="not open"):
        emitter.flush()
    emitter.close()


def test_a_blocking_emitter_that_cannot_open_leaves_no_thread(nobody: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    emitter = BlockingEmitter(KafkaEmitter(nobody, buffer_dir=tmp_path / "file"))
    for _ in range(2):
        with pytest.raises(BadConfig, match="name a directory that can be written"):
            emitter.__enter__()


async def test_a_start_that_is_cancelled_holds_nothing(nobody: str, tmp_path: Path) -> None:
    for turns in range(30):  # wherever it is by then
        opening = asyncio.create_task(KafkaEmitter(nobody, buffer_dir=tmp_path, start_timeout_s=60.0).__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await opening).close()
    async with KafkaEmitter(nobody, buffer_dir=tmp_path, close_timeout_s=0.01) as emitter:
        emitter.log_trade(trade("t1"))
