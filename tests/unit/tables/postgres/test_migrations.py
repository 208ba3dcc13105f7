"""Migrations against a database: what is missing is applied, once, and what was applied never changes."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from leverloop.errors import BadConfig
from tables.postgres.migrations import migrate, migrations

pytestmark = pytest.mark.postgres


def written(folder: Path, **sql: str) -> Path:
    for name, text in sql.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(text)
    return folder


async def tables(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_all_are_applied_and_then_none(empty_dsn: str) -> None:
    names = [m.name for m in migrations()]
    assert await migrate(empty_dsn) == names
    assert await migrate(empty_dsn) == []
    created = {name for m in migrations() for name in re.findall(r"^CREATE TABLE (\w+)", m.sql, re.MULTILINE)}
    assert await tables(empty_dsn) == created | {"schema_migrations"}


async def test_a_new_one_is_applied_to_a_database_that_has_the_others(empty_dsn: str, tmp_path: Path) -> None:
    written(tmp_path, m0001_a="CREATE TABLE a ()")
    await migrate(empty_dsn, tmp_path)
    written(tmp_path, m0002_b="CREATE TABLE b ()", m0003_c="CREATE TABLE c ()")
    assert await migrate(empty_dsn, tmp_path) == ["0002_b.sql", "0003_c.sql"]


async def test_one_that_fails_leaves_nothing_and_can_be_mended(empty_dsn: str, tmp_path: Path) -> None:
    written(tmp_path, m0001_a="CREATE TABLE a ()", m0002_b="CREATE TABLE b (); SELECT no_such_function()")
    with pytest.raises(asyncpg.UndefinedFunctionError, match="no_such_function"):
        await migrate(empty_dsn, tmp_path)
    assert await tables(empty_dsn) == {"a", "schema_migrations"}
    written(tmp_path, m0002_b="CREATE TABLE b ()")
    assert await migrate(empty_dsn, tmp_path) == ["0002_b.sql"]


async def test_one_that_was_edited_after_it_was_applied_is_refused(empty_dsn: str, tmp_path: Path) -> None:
    await migrate(empty_dsn, written(tmp_path, m0001_a="CREATE TABLE a ()"))
    written(tmp_path, m0001_a="CREATE TABLE a (x INTEGER)", m0002_b="CREATE TABLE b ()")
    with pytest.raises(BadConfig, match=r"0001_a\.sql: the database has another version of it"):
        await migrate(empty_dsn, tmp_path)
    assert await tables(empty_dsn) == {"a", "schema_migrations"}


async def test_a_database_of_a_newer_engine_is_refused(empty_dsn: str, tmp_path: Path) -> None:
    await migrate(empty_dsn, written(tmp_path, m0001_a="CREATE TABLE a ()", m0002_b="CREATE TABLE b ()"))
    (tmp_path / "0002_b.sql").unlink()
    with pytest.raises(BadConfig, match=r"0002_b\.sql: the database has another version of it"):
        await migrate(empty_dsn, tmp_path)


async def test_workers_that_start_together_apply_each_once(empty_dsn: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_dsn) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations())]
