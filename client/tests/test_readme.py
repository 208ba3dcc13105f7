"""The examples run: that of the README against an embedded log with a snapshot in it, the first override by itself."""

import asyncio
import contextlib
import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

import leverloop
from leverloop.book import OverrideBook
from leverloop.clock import now_ms
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.emit import ACTIONS_TOPIC, TRADES_TOPIC
from leverloop.errors import Unavailable
from leverloop.events import ActionLogged, Decision, parse_action
from leverloop.feeds.embedded import EmbeddedFeed
from leverloop.feeds.file import FileFeed
from leverloop.feeds.kafka import KafkaFeed
from leverloop.live import LiveBook
from leverloop.regime import PhaseRecord
from leverloop.resolution import Reason
from leverloop.scope import DEFAULT_SCHEMA
from leverloop.snapshot import encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot

CLIENT = Path(__file__).parents[1]
README = CLIENT / "README.md"
FIRST_OVERRIDE = CLIENT / "examples" / "first_override.py"


def empty_log(path: Path) -> None:
    """Embedded log as on the first day: topics, and nothing in them."""
    with EmbeddedLog(path) as log:
        for topic in (ACTIONS_TOPIC, TRADES_TOPIC, "leverloop.overrides"):
            log.create_topic(topic, 1)


def log_with_snapshot(path: Path) -> None:
    """Embedded log with one snapshot in it."""
    empty_log(path)
    override = make_override({"size_mult": 1.2}, {"bucket": "micro"}, updated_at_ms=now_ms())
    snapshot = make_snapshot(override, valid_until_ms=2**50)
    with EmbeddedLog(path) as log:
        value = encode_snapshot(snapshot)
        log.append([NewRecord(topic="leverloop.overrides", partition=0, key=b"pm", value=value, timestamp_ms=0)])


def replaced(code: str, **by: str) -> str:
    """The code with some of its text replaced, all of which is there."""
    for old, new in by.items():
        assert OF_THE_READER[old] in code
        code = code.replace(OF_THE_READER[old], new)
    return code


OF_THE_READER = {"state": "/var/lib/leverloop", "patience": "timeout_s=10", "url": "kafka://broker:9092"}


async def run_example(state: Path, patience: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(replaced(example, state=str(state), patience=patience), names)
    try:
        await names["trade"]()
    finally:
        assert asyncio.all_tasks() == {asyncio.current_task()}  # nothing runs on, whatever happened


def the_decision(path: Path) -> tuple[ActionLogged, Decision]:
    with EmbeddedLog(path) as log:
        (record,) = log.read(ACTIONS_TOPIC, 0, 0)
    action = parse_action(record.value or b"", received_at_ms=now_ms())
    assert action.decision is not None
    return action, action.decision


async def test_the_example_trades_on_what_was_learned(tmp_path: Path) -> None:
    log_with_snapshot(tmp_path / "log.db")
    await run_example(tmp_path, "timeout_s=10")
    action, decision = the_decision(tmp_path / "log.db")
    assert (decision.reason, decision.after, action.size_frac) == ("MATCHED", {"size_mult": 1.2}, 0.06)


async def test_the_example_trades_and_logs_on_the_first_day(tmp_path: Path) -> None:
    empty_log(tmp_path / "log.db")
    await run_example(tmp_path, "timeout_s=0.05")
    action, decision = the_decision(tmp_path / "log.db")
    assert (decision.reason, decision.after, action.size_frac) == ("NOT_READY", {}, 0.05)


async def test_the_example_ends_where_there_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"log\.db.* not there"):
        await run_example(tmp_path, "timeout_s=0.05")


def test_the_example_with_a_thread_resolves_on_the_first_day(tmp_path: Path) -> None:
    empty_log(tmp_path / "log.db")
    (code,) = short_examples("open_blocking_book")
    names: dict[str, Any] = {
        "leverloop": leverloop,
        "contextlib": contextlib,
        "state": tmp_path,
        "scope": {"bucket": "micro"},
        "at_ms": AT_MS,
    }
    exec(replaced(code, url=f"embedded://{tmp_path}/log.db", patience="timeout_s=0.05"), names)
    assert names["resolution"].reason == "NOT_READY"


def test_the_first_override_is_short() -> None:
    assert len(FIRST_OVERRIDE.read_text().splitlines()) < 60


def test_the_first_override_needs_nothing_but_the_client() -> None:
    ran = subprocess.run([sys.executable, FIRST_OVERRIDE], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "MATCHED: {'size_mult': 1.2}, size 0.05 -> 0.0600\n"


def test_the_first_override_logs_to_what_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log_with_snapshot(path)
    command = [sys.executable, FIRST_OVERRIDE, f"embedded://{path}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.startswith("MATCHED: ")
    assert the_decision(path)[1].reason == "MATCHED"


async def test_the_first_override_logs_on_the_first_day(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    empty_log(path)
    await runpy.run_path(str(FIRST_OVERRIDE))["main"](f"embedded://{path}", tmp_path, wait_s=0.05)
    assert the_decision(path)[1].reason == "NOT_READY"


def short_examples(about: str) -> list[str]:
    return [code for code in re.findall(r"```py\n(.*?)```", README.read_text(), re.DOTALL) if about in code]


def test_the_scope_builder_is_told_as_it_is() -> None:
    (code,) = short_examples("build_pm_scope")
    record = PhaseRecord(bucket="PORTFOLIO", horizon="macro", phase="Dip", score=0.1, at_ms=AT_MS)
    names: dict[str, Any] = {
        "leverloop": leverloop,
        "records": [record],
        "at_ms": AT_MS,
        "mcap_usd": 2e6,
        "a_value": 0.8,
        "e_value": 0.1,
    }
    exec(code, names)
    known = {"macro_phase": "Dip", "bucket": "micro", "timeframe": "1h", "A_mode": "aggressive", "E_mode": "patient"}
    assert names["scope"] == known
    assert DEFAULT_SCHEMA.normalise(known, "pm") == (known, ())


def test_the_builders_are_told_as_they_are() -> None:
    (code,) = short_examples("make_override")
    exec(
        code,
        {"AT_MS": AT_MS, "OverrideBook": OverrideBook, "make_override": make_override, "make_snapshot": make_snapshot},
    )


@pytest.mark.parametrize("kind", [LiveBook, OverrideBook, EmbeddedFeed, FileFeed, KafkaFeed])
def test_every_option_is_told(kind: type) -> None:
    text = README.read_text()
    options = [name for name, p in inspect.signature(kind).parameters.items() if p.kind is p.KEYWORD_ONLY]
    told = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    assert {name for name in options if name not in NOT_FOR_TRADERS} <= told


def test_every_reason_is_told() -> None:
    told = set(re.findall(r"^\| `([A-Z_]+)`", README.read_text(), re.MULTILINE))
    assert told == set(get_args(Reason))


NOT_FOR_TRADERS = {"clock_ms", "elapsed_ms", "overrides", "killed"}
"""For tests, and for the live book itself."""
