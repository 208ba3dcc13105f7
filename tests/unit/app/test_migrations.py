"""Migrations: numbered files, forward only; what is refused before a database is asked."""

from pathlib import Path

import pytest

from leverloop.errors import BadConfig
from tables.postgres.migrations import migrations


def written(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text(f"-- {name}\n")
    return folder


def test_they_come_in_their_order_with_a_checksum_of_their_text(tmp_path: Path) -> None:
    found = migrations(written(tmp_path, "0002_b.sql", "0001_a.sql", "0003_c_1.sql"))
    assert [(m.number, m.name) for m in found] == [(1, "0001_a.sql"), (2, "0002_b.sql"), (3, "0003_c_1.sql")]
    assert len({m.checksum for m in found}) == 3
    before = found[0].checksum
    (tmp_path / "0001_a.sql").write_text("-- edited\n")
    assert migrations(tmp_path)[0].checksum != before


@pytest.mark.parametrize("name", ["1_a.sql", "0001-a.sql", "0001_A.sql", "0001_.sql", "first.sql"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig, match="a migration is named NNNN_what_it_does"):
        migrations(written(tmp_path, name))


@pytest.mark.parametrize("names", [("0002_a.sql",), ("0001_a.sql", "0003_b.sql"), ("0001_a.sql", "0001_b.sql")])
def test_a_gap_or_a_number_twice_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(BadConfig, match=r"numbered 0001, 0002, \.\.\. without a gap"):
        migrations(written(tmp_path, *names))


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert migrations(tmp_path) == []


def test_the_projects_own_are_in_order() -> None:
    found = migrations()
    assert found[0].name == "0001_read_model.sql"
    for table in ("learning_lessons", "lesson_events", "learning_configs", "dead_letters", "sink_offsets"):
        assert f"CREATE TABLE {table}" in found[0].sql
