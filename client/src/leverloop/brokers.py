"""What a broker URL names: addresses of Kafka brokers, or the file of an embedded log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from leverloop.errors import BadConfig

__all__ = ["broker_addresses", "embedded_path", "kafka_driver", "without_secrets"]

_PORT: Final = 9092
_FORM: Final = "kafka://host:port[;kafka://host:port]"


def broker_addresses(url: str) -> list[str]:
    """``host:port`` of every broker of a URL; a part without ``kafka://`` is an address, 9092 the port left out.

    Raises
    ------
    BadConfig
        For anything else, with what was expected; also for a URL with a user name or a password, which would
        be dropped: this client does not log in. They are never shown.

    Examples
    --------
    >>> broker_addresses("kafka://a;kafka://b:9093")
    ['a:9092', 'b:9093']
    >>> broker_addresses("127.0.0.1:19092")
    ['127.0.0.1:19092']
    """
    if "@" in url:
        raise BadConfig(
            f"broker URL {without_secrets(url)}: user name and password are not supported, expected {_FORM}; "
            "point it at a listener without authentication"
        )
    addresses = []
    for part in url.split(";"):
        parsed = urlsplit(part if "://" in part else f"kafka://{part}")
        try:
            port = parsed.port or _PORT
        except ValueError as error:
            raise BadConfig(f"broker URL {without_secrets(url)}: {error}") from error
        if parsed.scheme != "kafka" or not parsed.hostname or parsed.path.strip("/") or parsed.query:
            raise BadConfig(f"broker URL {without_secrets(url)}: expected {_FORM}")
        host = f"[{parsed.hostname}]" if ":" in parsed.hostname else parsed.hostname
        addresses.append(f"{host}:{port}")
    return addresses


@contextmanager
def kafka_driver() -> Iterator[None]:
    """Import what needs Kafka's driver; BadConfig with the way out where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "aiokafka":
            raise
        raise BadConfig("kafka:// needs aiokafka: pip install 'leverloop[kafka]'") from error


def without_secrets(url: str) -> str:
    """URL as it may be shown: what stands before an ``@`` or behind a ``?`` may be a password.

    Examples
    --------
    >>> without_secrets("kafka://user:p@ss@broker:9092?sasl=x")
    '…@broker:9092?…'
    >>> without_secrets("kafka://broker:9092")
    'kafka://broker:9092'
    """
    _, secret, shown = url.rpartition("@")
    shown, query, _ = shown.partition("?")
    return f"{'…@' if secret else ''}{shown}{'?…' if query else ''}"


def embedded_path(url: str) -> Path | None:
    """File of ``embedded://relative/log.db`` or ``embedded:///absolute/log.db``; None for a URL of another kind.

    Raises
    ------
    BadConfig
        If it names no file.

    Examples
    --------
    >>> str(embedded_path("embedded://.leverloop/log.db")), str(embedded_path("embedded:///srv/a%20b/log.db"))
    ('.leverloop/log.db', '/srv/a b/log.db')
    >>> embedded_path("kafka://a")
    """
    parts = urlsplit(url)
    if parts.scheme != "embedded":
        return None
    path = unquote(parts.netloc + parts.path)
    if not path:
        raise BadConfig(f"broker URL {without_secrets(url)}: expected embedded://path/log.db, it names no file")
    return Path(path)
