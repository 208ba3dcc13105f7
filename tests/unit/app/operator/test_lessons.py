"""Lessons as they are listed and shown, whatever traders name things."""

import asyncio
from pathlib import Path

import pytest

from app.operator.lessons import list_lessons, show_lesson
from app.topic_admin import Replication, create_topics
from learning.lessons import nominated
from leverloop.embedded_log import EmbeddedLog, NewRecord
from streams.codec import encode
from streams.topics import LESSONS, layout
from tests.laws.examples import START_MS, some_evidence


@pytest.mark.parametrize("name", ["[/x]", "[bold]"])
def test_a_scope_is_shown_as_it_is_called(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"embedded://{tmp_path}/log.db"
    asyncio.run(
        create_topics(url, layout(app_id="test", partitions=1), replication=Replication(factor=1, min_insync=1))
    )
    lesson, _ = nominated(
        "pm_strength", "pm", "pm.up.S1.a|entry", {"curator": name}, some_evidence(), epoch_at_ms=START_MS, ordinal=1
    )
    with EmbeddedLog(tmp_path / "log.db") as log:
        key, value = lesson.id.encode(), encode(lesson)
        log.append([NewRecord(topic=LESSONS, partition=0, key=key, value=value, timestamp_ms=START_MS)])
    assert list_lessons(url, None, as_json=False) == 0
    assert f"curator={name}" in capsys.readouterr().out
    assert show_lesson(url, lesson.id, as_json=False) == 0
    assert f"curator={name}" in capsys.readouterr().out
