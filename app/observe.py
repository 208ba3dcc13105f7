"""How a worker tells what it does: structured log lines on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from app.settings import Settings

__all__ = ["configure_logging"]

# The last two: what mode says in the name of our subclasses. We speak as `leverloop.transport` there.
_LOUD_LIBRARIES = ("faust", "mode", "aiokafka", "asyncio", "app.transport", "tables.partitioned")


class _StandardError:
    """Standard error as it is now: a bar that is on it takes its place, and lets lines pass above itself."""

    @staticmethod
    def write(text: str) -> int:
        return sys.stderr.write(text)

    @staticmethod
    def flush() -> None:
        sys.stderr.flush()

    @staticmethod
    def isatty() -> bool:
        return sys.stderr.isatty()


def configure_logging(settings: Settings, stream: Any = None) -> None:
    """Send our log events and the libraries' warnings to one place, in one form.

    Parameters
    ----------
    settings
        Level and format.
    stream
        Where to; standard error if None.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    out = stream or _StandardError()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    colors = settings.log_format == "console" and hasattr(out, "isatty") and out.isatty()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
