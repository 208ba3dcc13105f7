"""Forward-only SQL migrations, with checksums and under a lock."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from leverloop.errors import BadConfig

__all__ = ["Migration", "migrate", "migrations"]

_LOCK: Final = 7_202_118  # any constant: the advisory lock of this project's migrations
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)"""


class Migration(msgspec.Struct, frozen=True):
    """One file of `migrations/`."""

    number: int
    name: str
    sql: str
    checksum: str


def migrations(folder: Path | None = None) -> list[Migration]:
    """Migrations in their order; BadConfig for a name that is none, or a number given twice."""
    folder = folder or _folder()
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise BadConfig(f"{path}: a migration is named NNNN_what_it_does.sql")
        sql = path.read_text()
        found.append(Migration(int(match[1]), path.name, sql, hashlib.sha256(sql.encode()).hexdigest()))
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise BadConfig(f"{folder}: migrations are numbered 0001, 0002, ... without a gap")
    return found


async def migrate(dsn: str, folder: Path | None = None) -> list[str]:
    """Apply what is missing, each migration in a transaction; return the names applied.

    Raises
    ------
    BadConfig
        If an applied migration has changed since, or the database knows one that we do not.
    """
    wanted = migrations(folder)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        rows: list[Any] = await connection.fetch("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
        for row in rows:
            known = next((m for m in wanted if m.number == row["number"]), None)
            if known is None or known.checksum != row["checksum"]:
                raise BadConfig(
                    f"migration {row['name']}: the database has another version of it; "
                    "migrations are never edited, add a new one (or rebuild the read model in an empty database)"
                )
        applied = []
        for migration in wanted[len(rows) :]:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
            applied.append(migration.name)
        return applied
    finally:
        await connection.close()


def _folder() -> Path:
    """`migrations/` of the checkout, or its copy in an installed wheel."""
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "migrations"
    return checkout if checkout.is_dir() else here.parent / "migrations"
