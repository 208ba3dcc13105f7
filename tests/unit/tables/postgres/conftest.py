"""One embedded PostgreSQL for these tests, and a fresh database for each."""

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from app.embedded.postgres import EmbeddedPostgres

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for servers, not pytest's: every session that starts closes its own to other users, and a server
    that root starts runs as one."""
    with tempfile.TemporaryDirectory(prefix="leverloop-postgres-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(server_folder / "shared") as server:
        yield server


@pytest.fixture
async def empty_dsn(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """An empty database of its own."""
    name = f"test_{next(_NUMBERS)}"
    admin = await asyncpg.connect(postgres.dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    yield postgres.dsn.replace("/postgres?", f"/{name}?")
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
