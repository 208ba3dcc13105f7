"""What does logging an action cost the PM, and how many a second reach Kafka? Question and figures: README.md.

`--embedded` measures the embedded log instead.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.devbroker import DevBroker
from leverloop.embedded_log import EmbeddedLog
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC, Emitter, open_emitter
from leverloop.events import ActionLogged, Controls, encode

PARTITIONS = 4
SINGLE = 2_000
AWAITED = 300
MANY = 50_000


def action(number: int) -> ActionLogged:
    return ActionLogged(
        action_id=f"t{number:06d}/entry",
        trade_id=f"t{number:06d}",
        module="pm",
        pattern_key="pm.uptrend.S1.buy_flag",
        action_type="entry_immediate",
        event_at_ms=1_760_000_000_000 + number,
        scope={
            "macro_phase": "Dip",
            "meso_phase": "Good",
            "micro_phase": "Chop",
            "bucket": "micro",
            "timeframe": "15m",
        },
        controls=Controls(
            signals={"TS": 0.61, "OX": 0.2, "DX": 0.4, "EDX": 0.1},
            applied_knobs={"entry_delay_bars": 0.0, "phase1_frac": 0.4},
        ),
        size_frac=0.06,
        a_value=0.6,
        e_value=0.3,
    )


def report(name: str, took_s: list[float]) -> None:
    took_s.sort()
    shown = [took_s[int(len(took_s) * share)] * 1e6 for share in (0.5, 0.99, 0.999)]
    print(f"{name:48} p50 {shown[0]:9.1f} us   p99 {shown[1]:9.1f} us   p99.9 {shown[2]:9.1f} us", flush=True)


async def single(emitter: Emitter, *, rest_s: float) -> list[float]:
    took_s = []
    for number in range(SINGLE):
        event = action(number)
        begin_s = time.perf_counter()
        emitter.log_action(event)
        took_s.append(time.perf_counter() - begin_s)
        await asyncio.sleep(rest_s)
    return took_s


async def awaited(emitter: Emitter) -> list[float]:
    took_s = []
    for number in range(AWAITED):
        event = action(number)
        begin_s = time.perf_counter()
        emitter.log_action(event)
        await emitter.flush()
        took_s.append(time.perf_counter() - begin_s)
    return took_s


async def many(emitter: Emitter) -> None:
    events = [action(number) for number in range(MANY)]
    begin_s = time.perf_counter()
    took_s = []
    for number, event in enumerate(events):
        before_s = time.perf_counter()
        emitter.log_action(event)
        took_s.append(time.perf_counter() - before_s)
        if number % 100 == 99:
            await asyncio.sleep(0)
    logged_s = time.perf_counter() - begin_s
    await emitter.flush(120.0)
    all_s = time.perf_counter() - begin_s
    report("log_action, as fast as it goes", took_s)
    print(f"{MANY:,} actions: taken at {MANY / logged_s:,.0f}/s, delivered at {MANY / all_s:,.0f}/s", flush=True)


async def measure(emitter: Emitter) -> None:
    report("log_action, one a millisecond", await single(emitter, rest_s=0.001))
    await emitter.flush()
    report("log_action and flush, one after the other", await awaited(emitter))
    await many(emitter)


async def on_kafka(folder: Path) -> None:
    broker = DevBroker().start(folder / "kafka")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in (ACTIONS_TOPIC, TRADES_TOPIC)])
    await admin.close()
    try:
        async with open_emitter(f"kafka://{broker.bootstrap}", buffer_dir=folder / "buffer") as emitter:
            await measure(emitter)
            broker.stop()
            report("log_action, broker away, one a millisecond", await single(emitter, rest_s=0.001))
    finally:
        broker.kill()


async def on_embedded_log(folder: Path) -> None:
    path = folder / "log.db"
    with EmbeddedLog(path) as log:
        for topic in (ACTIONS_TOPIC, TRADES_TOPIC):
            log.create_topic(topic, PARTITIONS)
    async with open_emitter(f"embedded://{path}") as emitter:
        await measure(emitter)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedded", action="store_true")
    chosen = parser.parse_args()
    print(f"{len(encode(action(0)))} bytes an action")
    with tempfile.TemporaryDirectory() as name:
        asyncio.run((on_embedded_log if chosen.embedded else on_kafka)(Path(name)))


if __name__ == "__main__":
    main()
