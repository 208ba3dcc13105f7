"""What differs between two versions, lever by lever; and versions as they are shown, whatever traders name things."""

import asyncio
from pathlib import Path

import pytest

from app.operator.overrides import changes, diff_versions, show_version
from app.topic_admin import Replication, create_topics
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.snapshot import encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot
from streams.topics import OVERRIDES, SNAPSHOTS, layout

MICRO, NANO = {"bucket": "micro"}, {"bucket": "nano"}


def test_every_lever_that_differs_is_listed_once() -> None:
    before = make_snapshot(
        make_override({"size_mult": 1.1, "entry_aggression_mult": 1.05}, MICRO), make_override({"size_mult": 0.9}, NANO)
    )
    after = make_snapshot(
        make_override({"size_mult": 1.2, "entry_aggression_mult": 1.05}, MICRO),
        make_override({"size_mult": 1.0}, {"bucket": "mid"}),
    )
    found = {(each.scope["bucket"], each.lever): (each.before, each.after) for each in changes(before, after)}
    assert found == {
        ("micro", "size_mult"): (1.1, 1.2),
        ("nano", "size_mult"): (0.9, None),
        ("mid", "size_mult"): (None, 1.0),
    }
    assert list(changes(before, before)) == []


@pytest.mark.parametrize("name", ["[/x]", "[bold]", "a[0]", "\\\\[red]"])
def test_a_scope_is_shown_as_it_is_called(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"embedded://{tmp_path}/log.db"
    asyncio.run(
        create_topics(url, layout(app_id="test", partitions=1), replication=Replication(factor=1, min_insync=1))
    )
    versions = [make_snapshot(make_override({"size_mult": 1.0 + n / 10}, {"curator": name}), version=n) for n in (1, 2)]
    with EmbeddedLog(tmp_path / "log.db") as log:
        for each in versions:
            for topic, key in ((SNAPSHOTS, f"pm/{each.version}"), (OVERRIDES, "pm")):
                value = encode_snapshot(each)
                log.append([NewRecord(topic=topic, partition=0, key=key.encode(), value=value, timestamp_ms=AT_MS)])
    assert show_version(url, "pm", None, as_json=False) == 0
    assert f"curator={name}" in capsys.readouterr().out
    assert diff_versions(url, "pm", 1, 2, as_json=False) == 0
    assert f"curator={name}" in capsys.readouterr().out
