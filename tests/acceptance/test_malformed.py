"""Poison never stops the stream: twenty malformed events of every kind between good ones (spec section 4)."""

import base64
import json
from typing import Any

from streams.topics import ACTIONS, DEAD_LETTERS, OUTCOMES, TRADES
from tests.acceptance.deployment import Deployment
from tests.acceptance.test_loop import expected, found, records
from tests.laws.streams import small_stream


def bad_actions(good: dict[str, Any]) -> list[tuple[str, bytes]]:
    """(field that the reason must name, record)."""

    def having(**changes: Any) -> bytes:
        return json.dumps({**good, "action_id": "bad", **changes}).encode()

    def lacking(field: str) -> bytes:
        return json.dumps({name: value for name, value in good.items() if name != field}).encode()

    return [
        ("$", b"not json"),
        ("$", b"\xff\xfe\x00"),
        ("$", b"[1, 2]"),
        ("$", having(note="x" * 70_000)),
        ("action_id", lacking("action_id")),
        ("event_at_ms", lacking("event_at_ms")),
        ("event_at_ms", having(event_at_ms="2025-01-01T00:00:00")),
        ("event_at_ms", having(event_at_ms=1_000_000_000_000)),
        ("event_at_ms", having(event_at_ms=4_000_000_000_000)),
        ("size_frac", having(size_frac="much")),
        ("controls.signals.TS", having(controls={"signals": {"TS": float("nan")}})),
        ("controls.signals.OX", having(controls={"signals": {"OX": 1.5}})),
        ("action_type", having(action_type="dance")),
        ("action_category", having(action_category="allocation")),
        ("scope.bucket", having(scope={"bucket": "gigantic"})),
        ("pattern_key", having(pattern_key="buy")),
        ("module", having(module="xx")),
    ]


def bad_trades(good: dict[str, Any]) -> list[tuple[str, bytes]]:
    def having(**changes: Any) -> bytes:
        return json.dumps({**good, "trade_id": "bad", **changes}).encode()

    return [
        ("rr", having(rr=None, return_frac=-0.1, max_drawdown_frac=0.1)),
        ("return_frac", having(return_frac=float("inf"))),
        ("max_drawdown_frac", having(max_drawdown_frac=-0.1)),
    ]


async def test_each_malformed_event_is_one_dead_letter_that_names_its_field(deployment: Deployment) -> None:
    actions, closed = stream = small_stream(trades=40, days=2)
    entry = next(action for action in actions if action["module"] == "pm")
    poison = [(ACTIONS, *bad) for bad in bad_actions(entry)] + [(TRADES, *bad) for bad in bad_trades(closed[0])]
    assert len(poison) == 20
    for topic, good in ((ACTIONS, actions), (TRADES, closed)):
        bad = [record for of, _, record in poison if of == topic]
        mixed = [r for i, r in enumerate(records(good)) for r in ([("bad", bad[i]), r] if i < len(bad) else [r])]
        await deployment.write(topic, mixed)
    deployment.start_worker()
    wanted = expected(stream)

    async def complete() -> bool:
        letters = await deployment.read(DEAD_LETTERS)
        return len(letters) >= len(poison) and (await found(deployment)).keys() >= wanted.keys()

    await deployment.until(complete, "twenty dead letters and every good outcome")
    letters = [json.loads(record.value) for record in await deployment.read(DEAD_LETTERS)]
    assert sorted((x["topic"], base64.b64decode(x["original_b64"])) for x in letters) == sorted(
        (topic, record) for topic, _, record in poison
    )
    by_original = {(x["topic"], base64.b64decode(x["original_b64"])): x for x in letters}
    for topic, field, record in poison:
        letter = by_original[topic, record]
        assert letter["field"] == field
        assert letter["reason"].startswith(f"{field}: expected ")
    assert await found(deployment) == wanted
    assert len(await deployment.read(OUTCOMES)) >= len(wanted)
