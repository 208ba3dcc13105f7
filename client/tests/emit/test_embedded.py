"""The embedded emitter: what was flushed is on disk, what is full is refused, what is missing is found out at once."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from leverloop.embedded_log import EmbeddedLog, Record
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC, open_blocking_emitter, open_emitter
from leverloop.emit.embedded import EmbeddedEmitter
from leverloop.errors import BadConfig, BadInput, InvariantBroken, Unavailable
from leverloop.events import ActionLogged, TradeClosed, parse_action, parse_trade
from leverloop.partitions import partition_of
from leverloop.testing import AT_MS

PARTITIONS = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "log.db"
    with EmbeddedLog(found) as log:
        log.create_topic(ACTIONS_TOPIC, PARTITIONS)
        log.create_topic(TRADES_TOPIC, PARTITIONS)
    return found


def action(number: int, trade_id: str = "t1") -> ActionLogged:
    return ActionLogged(
        action_id=f"a{number}",
        trade_id=trade_id,
        module="pm",
        pattern_key="pm.uptrend.S1.buy_flag",
        action_type="entry",
        action_category="entry",
        event_at_ms=AT_MS,
        scope={"bucket": "micro"},
    )


def trade(trade_id: str = "t1") -> TradeClosed:
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


def written(path: Path, topic: str) -> dict[int, list[Record]]:
    with EmbeddedLog(path) as log:
        return {p: log.read(topic, p, 0, 10_000) for p in range(PARTITIONS)}


async def test_what_was_flushed_is_on_disk_in_order_at_its_partition(path: Path) -> None:
    actions = [action(i, f"t{i % 7}") for i in range(1_200)]
    async with EmbeddedEmitter(path, clock_ms=lambda: AT_MS + 7) as emitter:
        for item in actions:
            emitter.log_action(item)
        emitter.log_trade(trade("t3"))
        await emitter.flush()
        assert emitter.status().waiting_count == 0
        found = written(path, ACTIONS_TOPIC)
        for partition, records in found.items():
            expected = [a for a in actions if partition_of(a.trade_id.encode(), PARTITIONS) == partition]
            assert [parse_action(r.value or b"", received_at_ms=AT_MS) for r in records] == expected
            assert {(r.key, r.timestamp_ms) for r in records} == {(a.trade_id.encode(), AT_MS + 7) for a in expected}
        (closed,) = written(path, TRADES_TOPIC)[partition_of(b"t3", PARTITIONS)]
        assert parse_trade(closed.value or b"", received_at_ms=AT_MS) == trade("t3")


async def test_leaving_flushes(path: Path) -> None:
    async with open_emitter(f"embedded://{path}") as emitter:
        emitter.log_action(action(1))
    assert sum(len(records) for records in written(path, ACTIONS_TOPIC).values()) == 1


async def test_logging_goes_on_while_the_log_is_locked_and_is_written_afterwards(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    emitter = EmbeddedEmitter(path, buffer_records=3, flush_timeout_s=0.05)
    async with emitter:
        for i in range(3):
            emitter.log_action(action(i))
        with pytest.raises(Unavailable, match="buffer full: 3 events wait"):
            emitter.log_action(action(3))
        with pytest.raises(Unavailable, match=r"3 events are not in .* after 0\.05 s"):
            await emitter.flush()
        other.execute("ROLLBACK")
        other.close()
        async with asyncio.timeout(20):
            while emitter.status().waiting_count:
                try:
                    await emitter.flush()
                except Unavailable:
                    continue
    records = [r for found in written(path, ACTIONS_TOPIC).values() for r in found]
    assert [parse_action(r.value or b"", received_at_ms=AT_MS).action_id for r in records] == ["a0", "a1", "a2"]


async def test_an_event_that_breaks_its_contract_is_not_taken(path: Path) -> None:
    async with EmbeddedEmitter(path) as emitter:
        with pytest.raises(BadInput, match="trade_id"):
            emitter.log_trade(trade(trade_id=""))
        assert emitter.status().waiting_count == 0


async def test_a_topic_that_does_not_exist_is_found_out_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EmbeddedLog(path) as log:
        log.create_topic(ACTIONS_TOPIC, 1)
    with pytest.raises(BadConfig, match=r"topics leverloop\.trades do not exist in .*: leverloop topics create"):
        async with EmbeddedEmitter(path):
            pass


async def test_a_log_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not there"):
        async with EmbeddedEmitter(tmp_path / "none.db"):
            pass
    assert not (tmp_path / "none.db").exists()


async def test_an_emitter_that_is_not_open_takes_nothing(path: Path) -> None:
    emitter = EmbeddedEmitter(path)
    with pytest.raises(InvariantBroken, match="use it as a context manager"):
        emitter.log_action(action(1))
    await emitter.close()  # nothing to give up


async def test_a_log_that_breaks_is_told_and_not_swallowed(path: Path) -> None:
    emitter = await EmbeddedEmitter(path).__aenter__()
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE records")
    other.close()
    emitter.log_action(action(1))
    for give_up in (emitter.flush, emitter.close):
        with pytest.raises(InvariantBroken, match="the emitter's task has ended"):
            await give_up()
    with pytest.raises(InvariantBroken, match="not open"):
        emitter.log_action(action(2))


async def test_any_thread_may_log(path: Path) -> None:
    def log(first: int) -> None:
        for number in range(first, first + 500):
            emitter.log_action(action(number, f"t{first}"))

    async with EmbeddedEmitter(path) as emitter:
        await asyncio.gather(*(asyncio.to_thread(log, first) for first in (0, 500, 1_000)))
        await emitter.flush()
        status = emitter.status()
        assert (status.taken_count, status.sent_count, status.waiting_count) == (1_500, 1_500, 0)
    ids = [
        parse_action(record.value or b"", received_at_ms=AT_MS).action_id
        for found in written(path, ACTIONS_TOPIC).values()
        for record in found
    ]
    assert sorted(ids) == sorted(f"a{number}" for number in range(1_500))
    for first in (0, 500, 1_000):
        numbers = [int(name[1:]) for name in ids if first <= int(name[1:]) < first + 500]
        assert numbers == sorted(numbers)


def test_a_program_without_an_event_loop_logs_and_flushes(path: Path) -> None:
    with open_blocking_emitter(f"embedded://{path}") as emitter:
        emitter.log_action(action(1))
        emitter.flush()
        assert emitter.status().sent_count == 1
        emitter.log_action(action(2))
    assert sum(len(records) for records in written(path, ACTIONS_TOPIC).values()) == 2


_FORK = """
import asyncio, os, sys
from pathlib import Path
from leverloop.emit.embedded import EmbeddedEmitter
from leverloop.errors import InvariantBroken
from leverloop.events import TradeClosed
from leverloop.testing import AT_MS

def trade(trade_id):
    return TradeClosed(trade_id=trade_id, module="pm", symbol="SOL-PERP", opened_at_ms=AT_MS, event_at_ms=AT_MS, rr=1.5,
                       return_frac=0.03, max_drawdown_frac=0.01, max_gain_frac=0.04)

def asked(call):
    try:
        return call()
    except InvariantBroken as error:
        return error

def step(coroutine):
    try:
        coroutine.send(None)
    except StopIteration:
        return "done"

async def main():
    async with EmbeddedEmitter(Path(sys.argv[1])) as emitter:
        emitter.log_trade(trade("before"))
        child = os.fork()
        if child == 0:
            said = [asked(lambda: emitter.log_trade(trade("child"))), asked(lambda: step(emitter.flush()))]
            said += [emitter.status().taken_count, step(emitter.close())]
            os.write(1, "".join(f"{line}\\n" for line in said).encode())
            os._exit(0)
        os.waitpid(child, 0)
        emitter.log_trade(trade("after"))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_the_child_of_a_fork_takes_nothing_and_says_so(path: Path) -> None:
    command = [sys.executable, "-c", _FORK, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    *refusals, taken, closed = ran.stdout.splitlines()
    assert refusals == [f"{path}: opened before a fork: open an emitter in each process"] * 2
    assert (taken, closed) == ("1", "done")
    keys = sorted(str(record.key) for records in written(path, TRADES_TOPIC).values() for record in records)
    assert keys == ["b'after'", "b'before'"]


@pytest.mark.parametrize("url", ["", "file:///x", "embedded://"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match=r"(emitter|broker) URL"):
        open_emitter(url)


def test_a_kafka_url_names_the_kafka_emitter() -> None:
    assert type(open_emitter("kafka://127.0.0.1:9092")).__name__ == "KafkaEmitter"
