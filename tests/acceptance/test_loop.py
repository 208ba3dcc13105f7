"""From events to outcomes to snapshots, through a worker that is killed in the middle."""

import json
import signal

import msgspec

from learning.attribution import EMPTY, close_trade, log_action, outcomes
from learning.outcome import Outcome
from learning.parameters import Parameters
from leverloop.events import parse_action, parse_trade
from leverloop.snapshot import decode_snapshot
from streams.topics import ACTIONS, DEAD_LETTERS, OUTCOMES, OVERRIDES, TRADES
from tests.acceptance.deployment import Deployment
from tests.laws.streams import Stream, small_stream

LATER_MS = 2**53


def expected(stream: Stream) -> dict[str, Outcome]:
    """Outcomes by the core alone, trade by trade."""
    trades = {}
    actions, closed = stream
    for document in actions:
        action = parse_action(json.dumps(document).encode(), received_at_ms=LATER_MS)
        trades[action.trade_id] = log_action(trades.get(action.trade_id, EMPTY), action, Parameters())
    for document in closed:
        close = parse_trade(json.dumps(document).encode(), received_at_ms=LATER_MS)
        trades[close.trade_id] = close_trade(trades.get(close.trade_id, EMPTY), close)
    return {o.outcome_id: o for t in trades.values() for o in outcomes(t, Parameters()) if isinstance(o, Outcome)}


def records(documents: list[dict]) -> list[tuple[str, bytes]]:
    return [(document["trade_id"], json.dumps(document).encode()) for document in documents]


async def found(deployment: Deployment) -> dict[str, Outcome]:
    """Newest outcome of each id on the topic: a reader counts ids, whatever was delivered twice."""
    newest = {}
    for record in await deployment.read(OUTCOMES):
        document = json.loads(record.value)
        if document["kind"] == "outcome":
            outcome = msgspec.convert(document, Outcome)
            newest[outcome.outcome_id] = outcome
    return newest


async def test_every_outcome_once_though_the_worker_is_killed(deployment: Deployment) -> None:
    stream = small_stream(trades=400, days=8)
    actions, closed = stream
    half = len(actions) // 2
    await deployment.write(ACTIONS, records(actions[:half]))
    await deployment.write(TRADES, records(closed[: len(closed) // 2]))
    worker = deployment.start_worker()
    await deployment.until(lambda: _some_outcomes(deployment, 50), "50 outcomes")
    worker.kill()
    assert worker.wait() == -signal.SIGKILL
    await deployment.write(ACTIONS, records(actions[half:]))
    await deployment.write(TRADES, records(closed[len(closed) // 2 :]))
    deployment.start_worker()
    wanted = expected(stream)

    async def complete() -> bool:
        return (await found(deployment)).keys() >= wanted.keys()

    await deployment.until(complete, f"{len(wanted)} outcomes")
    assert await found(deployment) == wanted
    assert await deployment.read(DEAD_LETTERS) == []


async def test_epochs_end_in_announced_snapshots(deployment: Deployment) -> None:
    actions, closed = small_stream(trades=200, days=4)
    await deployment.write(ACTIONS, records(actions))
    await deployment.write(TRADES, records(closed))
    deployment.start_worker()

    async def announced() -> bool:
        return any(record.key == b"pm" for record in await deployment.read(OVERRIDES))

    await deployment.until(announced, "a snapshot")
    found = [decode_snapshot(r.value) for r in await deployment.read(OVERRIDES) if r.key in (b"pm", b"dm") and r.value]
    versions = [snapshot.version for snapshot in found if snapshot.module == "pm"]
    assert versions == sorted(versions)
    assert all(snapshot.valid_until_ms > 0 for snapshot in found)


async def _some_outcomes(deployment: Deployment, n: int) -> bool:
    return len(await found(deployment)) >= n
