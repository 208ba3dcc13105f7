"""Names that last: topics and tables are made of the glossary's words, and change only here and on purpose."""

import re

from streams.topics import layout
from tables.catalogue import TABLES
from tests.architecture.source import ROOT

TOPICS = [
    "leverloop.actions", "leverloop.control", "leverloop.control-events", "leverloop.dead-letters", "leverloop.drafts",
    "leverloop.findings", "leverloop.lesson-events", "leverloop.lessons", "leverloop.outcomes", "leverloop.overrides", "leverloop.snapshots", "leverloop.trades",
]  # fmt: skip
STATE = ["announced", "book", "epochs", "outcomes", "trades"]


def glossary() -> set[str]:
    text = (ROOT / "docs" / "glossary.md").read_text()
    return {word.lower() for term in re.findall(r"\*\*(.+?)\*\*", text) for word in re.findall(r"[\w]+", term)}


def test_there_are_these_topics_and_tables_and_no_others() -> None:
    changelogs = [f"leverloop-{name}-changelog" for name in STATE]
    assert sorted(spec.name for spec in layout(app_id="leverloop", partitions=3)) == sorted(TOPICS + changelogs)
    assert sorted(table.name for table in TABLES) == STATE


def test_names_of_topics_and_tables_are_words_of_the_glossary() -> None:
    known = glossary()
    words = {word for name in TOPICS for word in re.split(r"[.-]", name.removeprefix("leverloop."))} | set(STATE)
    assert {word for word in words if not {word, word.removesuffix("s")} & known} == set()


def test_the_glossary_has_the_words_that_the_flow_is_told_in() -> None:
    told = {
        "action", "trade", "outcome", "scope", "subset", "cell", "cube", "group", "edge", "effect", "baseline", "lesson",
        "lever", "override", "snapshot", "regime", "epoch", "watermark", "marker", "spell", "holdout", "companion",
        "dead", "letter", "findings", "book", "announced", "control",
    }  # fmt: skip
    assert told - glossary() == set()
