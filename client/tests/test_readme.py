"""The example of the README runs, against an embedded log with a snapshot in it."""

import asyncio
import re
from pathlib import Path
from typing import Any

from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC
from leverloop.events import parse_action
from leverloop.snapshot import encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot

README = Path(__file__).parents[1] / "README.md"


def test_the_example_trades_on_what_was_learned(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    snapshot = make_snapshot(make_override({"size_mult": 1.2}, {"bucket": "micro"}), valid_until_ms=2**50)
    with EmbeddedLog(path) as log:
        for topic in (ACTIONS_TOPIC, TRADES_TOPIC, "leverloop.overrides"):
            log.create_topic(topic, 1)
        log.append(
            [
                NewRecord(
                    topic="leverloop.overrides", partition=0, key=b"pm", value=encode_snapshot(snapshot), timestamp_ms=0
                )
            ]
        )
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    told = example.replace("embedded:///var/lib/leverloop/log.db", f"embedded://{path}")
    assert told != example
    names: dict[str, Any] = {}
    exec(told, names)
    asyncio.run(names["trade"]())
    with EmbeddedLog(path) as log:
        (record,) = log.read(ACTIONS_TOPIC, 0, 0)
    action = parse_action(record.value or b"", received_at_ms=AT_MS)
    assert action.decision is not None
    assert (action.decision.reason, action.decision.after, action.size_frac) == ("MATCHED", {"size_mult": 1.2}, 0.06)
