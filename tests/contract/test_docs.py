"""What the documents say is what the code does: settings, topics, tables, commands, examples, links."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

import app.settings
import streams
from app.cli import app as cli
from app.settings import Settings
from app.topic_admin import Replication, create_topics
from learning.commands import ControlEvent
from learning.lessons import Lesson, LessonEvent
from learning.parameters import Parameters
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.events import parse_action, parse_trade
from leverloop.heartbeat import decode_heartbeat
from leverloop.live import LiveBook
from leverloop.partitions import partition_of
from leverloop.snapshot import decode_snapshot, encode_snapshot
from leverloop.testing import AT_MS, MemoryEmitter, MemoryFeed, make_override, make_snapshot
from streams import topics
from streams.codec import DeadLetter, decode_control, decode_drafts, decode_findings, decode_outcomes
from streams.topics import TopicSpec, layout
from tables.catalogue import TABLES
from tests.contract.markdown import DOCUMENTS, ROOT, anchors, bare, blocks, links, prose, rows, sections, text_of

SETTINGS = sections(text_of("docs/settings.md"))
PARTITIONS = 7  # unlike every other number in the layout
SPECS = {spec.name: spec for spec in layout(app_id="<app id>", partitions=PARTITIONS)}
OURS = [name for name in SPECS if not name.endswith("-changelog")]
COMMANDS = typer.main.get_command(cli)
EXAMPLE_NAMES = {"enter", "run"}

document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


# settings


def test_every_setting_has_a_row_with_its_default() -> None:
    said = {bare(row[0]): bare(row[1]) for row in rows(SETTINGS["Environment (`app/settings.py`)"]) if len(row) == 3}
    readers = {"the client", "the tests"}
    said = {name: default for name, default in said.items() if default not in readers}
    wanted = {f"LEVERLOOP_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    assert said == {name: "not set" if default is None else str(default) for name, default in wanted.items()}


def test_every_other_variable_of_ours_has_a_row() -> None:
    table = rows(SETTINGS["Environment (`app/settings.py`)"])
    said = {bare(row[0]) for row in table if row[1] in {"the client", "the tests"}}
    assert said == app.settings._NOT_OURS


def test_every_parameter_has_a_row_with_its_default() -> None:
    said = {bare(row[0]): json.loads(bare(row[1])) for row in rows(SETTINGS["Parameters"])}
    assert said == msgspec.json.decode(msgspec.json.encode(Parameters()))


@document
def test_every_variable_that_is_named_exists(path: Path) -> None:
    known = {f"LEVERLOOP_{name.upper()}" for name in Settings.model_fields} | app.settings._NOT_OURS
    assert set(re.findall(r"LEVERLOOP_[A-Z_]*[A-Z]", path.read_text())) <= known


# topics and tables


def test_the_layout_is_as_the_table_says() -> None:
    said = {bare(row[0]): row[1:5] for row in rows(sections(text_of("docs/topics.md"))[""])}
    assert said == {name: _told(spec) for name, spec in SPECS.items()}


def _told(spec: TopicSpec) -> tuple[str, ...]:
    days = f"{spec.retention_ms // 86_400_000} days" if spec.retention_ms > 0 else "for ever"
    largest = spec.max_message_bytes
    return (
        {PARTITIONS: "P", 1: "1"}[spec.partitions],
        spec.cleanup,
        "last of each key" if spec.cleanup == "compact" else days,
        "broker's default" if largest is None else f"{largest // 2**20} MiB",
    )


@pytest.mark.parametrize("topic", OURS)
def test_the_examples_of_a_topic_are_read_by_its_reader(topic: str) -> None:
    examples = blocks(sections(text_of("docs/topics.md"))[topic], "json")
    for example in examples:
        assert READERS[topic](example.encode()) is not None
    assert bool(examples) == (topic != topics.SNAPSHOTS)  # which are shown where they are announced


READERS: dict[str, Any] = {
    topics.ACTIONS: lambda raw: parse_action(raw, received_at_ms=AT_MS),
    topics.TRADES: lambda raw: parse_trade(raw, received_at_ms=AT_MS),
    topics.OUTCOMES: decode_outcomes,
    topics.FINDINGS: decode_findings,
    topics.LESSONS: msgspec.json.Decoder(Lesson).decode,
    topics.LESSON_EVENTS: msgspec.json.Decoder(LessonEvent).decode,
    topics.DRAFTS: decode_drafts,
    topics.SNAPSHOTS: decode_snapshot,
    topics.OVERRIDES: lambda raw: decode_heartbeat(raw) if b'"hash"' in raw else decode_snapshot(raw),
    topics.CONTROL_EVENTS: msgspec.json.Decoder(ControlEvent).decode,
    topics.CONTROL: lambda raw: decode_control(raw, received_at_ms=AT_MS),
    topics.DEAD_LETTERS: msgspec.json.Decoder(DeadLetter).decode,
}


def test_the_outcomes_topic_has_an_example_of_each_kind() -> None:
    examples = blocks(sections(text_of("docs/topics.md"))[topics.OUTCOMES], "json")
    assert [json.loads(example)["kind"] for example in examples] == ["outcome", "voided", "watermark", "decided"]


def test_every_table_has_a_row() -> None:
    said = {bare(row[0]): row[2] for row in rows(sections(text_of("docs/architecture.md"))["Tables"])}
    assert said == {table.name: "P" if table.scales else "1" for table in TABLES}


def test_every_stage_has_a_row() -> None:
    said = [bare(row[0]) for row in rows(sections(text_of("docs/architecture.md"))["The flow"])]
    in_code = [row[0] for row in rows(streams.__doc__ or "")]
    assert sorted(said) == sorted(in_code)
    assert {*said} <= {path.stem for path in (ROOT / "streams").glob("*.py")}


def test_names_are_made_of_glossary_words() -> None:
    defined = {word for term in re.findall(r"\*\*(.+?)\*\*", text_of("docs/glossary.md")) for word in term.split()}
    names = [*OURS, *(table.name for table in TABLES)]
    words = {word for name in names for word in re.split(r"[.-]", name.removeprefix("leverloop."))}
    assert {word for word in words if not {word, word.removesuffix("s")} & defined} == set()


# commands


def _leaves(command: Any, name: str) -> dict[str, Any]:
    """Commands below a command, by their full names; typer carries its own copy of click, hence no type."""
    if not hasattr(command, "commands"):
        return {name: command}
    return {
        path: leaf
        for word, child in command.commands.items()
        for path, leaf in _leaves(child, f"{name} {word}").items()
    }


LEAVES = _leaves(COMMANDS, "leverloop")


def test_readme_lists_every_command() -> None:
    said = [bare(row[0]) for row in rows(sections(text_of("README.md"))["The command"])]
    assert sorted(said) == sorted(LEAVES)


@document
def test_every_command_that_is_shown_exists(path: Path) -> None:
    shown = [
        line for language in ("sh", "") for block in blocks(path.read_text(), language) for line in block.split("\n")
    ]
    shown += re.findall(r"`([^`\n]+)`", prose(path.read_text()))
    for line in shown:
        words = (
            shlex.split(line, comments=True) if line.strip().startswith(("leverloop ", ".venv/bin/leverloop ")) else []
        )
        if words:
            _understood([Path(words[0]).name, *words[1:]])


def _understood(words: list[str]) -> None:
    bare_words = [word for word in words if not word.startswith("-")]
    found = [leaf for name, leaf in LEAVES.items() if bare_words[: len(name.split())] == name.split()]
    groups = {" ".join(name.split()[:n]) for name in LEAVES for n in range(1, len(name.split()))}
    assert found or " ".join(bare_words) in groups, words
    asked = found if len(bare_words) > 1 else [COMMANDS]
    options = {option for leaf in asked for parameter in leaf.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options | {"--help"}, words


@document
def test_every_make_target_and_option_that_is_named_exists(path: Path) -> None:
    makefile = text_of("Makefile")
    for named in re.findall(r"(?:^|`)make ([a-z]+(?: [A-Z]+=\S+?)*)(?=[`\s])", path.read_text(), flags=re.MULTILINE):
        target, *options = named.split()
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), named
        for option in options:
            assert re.search(rf"^{option.partition('=')[0]} \?=", makefile, re.MULTILINE), named


def test_readme_lists_the_options_of_the_demo() -> None:
    said = {bare(row[0]).partition("=")[0] for row in rows(sections(text_of("README.md"))["Two commands"])}
    options = re.search(r"# Options of `make demo`\n((?:.*\?=.*\n)+)", text_of("Makefile"))
    assert options is not None
    assert said == set(re.findall(r"^([A-Z]+) \?=", options[1], re.MULTILINE))


# links


@document
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(path.read_text()):
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


# the client's example


@pytest.fixture
def example() -> dict[str, Any]:
    (code,) = blocks(text_of("README.md"), "python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names.keys() >= EXAMPLE_NAMES
    return names


SCOPE = {"bucket": "micro", "timeframe": "1h"}
SNAPSHOT = make_snapshot(make_override({"size_mult": 1.2}, {"bucket": "micro"}), valid_until_ms=2**50)


async def test_the_example_enters_by_what_was_learned(example: dict[str, Any]) -> None:
    feed, emitter = MemoryFeed(), MemoryEmitter()
    live = LiveBook(feed, "pm", holdout_share=0.0)
    assert example["enter"](live, emitter, "t1", SCOPE, AT_MS, 0.1) == pytest.approx(0.1)  # nothing learned yet
    feed.publish(SNAPSHOT)
    following = asyncio.create_task(live.run())
    await live.wait_ready(timeout_s=10)
    assert example["enter"](live, emitter, "t2", SCOPE, AT_MS, 0.1) == pytest.approx(0.12)
    await feed.close()
    await following
    decisions = [action.decision for action in emitter.actions]
    assert [decision and decision.reason for decision in decisions] == ["NOT_READY", "MATCHED"]


async def test_the_example_runs_against_a_log(example: dict[str, Any], tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/log.db"
    await create_topics(url, layout(app_id="test", partitions=4), replication=Replication(factor=1, min_insync=1))
    with EmbeddedLog(tmp_path / "log.db") as log:
        value = encode_snapshot(SNAPSHOT)
        log.append([NewRecord(topic=topics.OVERRIDES, partition=0, key=b"pm", value=value, timestamp_ms=AT_MS)])

    async def trade(live: LiveBook, emitter: Any) -> None:
        await live.wait_ready(timeout_s=10)
        example["enter"](live, emitter, "t1", SCOPE, AT_MS, 0.1)

    await asyncio.wait_for(example["run"](url, trade), 30)
    with EmbeddedLog(tmp_path / "log.db") as log:
        (record,) = log.read(topics.ACTIONS, partition_of(b"t1", 4), 0)
    action = parse_action(record.value or b"", received_at_ms=AT_MS)
    assert action.decision is not None
    assert (action.decision.reason, action.size_frac) == ("MATCHED", pytest.approx(0.12))
