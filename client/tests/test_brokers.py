"""Which broker URLs are understood."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from leverloop.brokers import broker_addresses, embedded_path
from leverloop.emit import open_emitter
from leverloop.errors import BadConfig
from leverloop.feeds import open_feed


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("kafka://127.0.0.1:9092", ["127.0.0.1:9092"]),
        ("kafka://b1;kafka://b2:19092", ["b1:9092", "b2:19092"]),
        ("b1:19092", ["b1:19092"]),
        ("b1;b2", ["b1:9092", "b2:9092"]),
        ("kafka://[::1]:19092", ["[::1]:19092"]),
    ],
)
def test_brokers_are_read(url: str, addresses: list[str]) -> None:
    assert broker_addresses(url) == addresses


@pytest.mark.parametrize("url", ["", "http://b1:9092", "kafka://", "kafka://b1/topic", "kafka://b1;http://b2", "b1;"])
def test_anything_else_is_refused_with_what_was_expected(url: str) -> None:
    with pytest.raises(BadConfig, match=r"expected kafka://host:port\[;kafka://host:port\]"):
        broker_addresses(url)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadConfig, match="broker URL kafka://b1:many: Port could not be cast"):
        broker_addresses("kafka://b1:many")


@pytest.mark.parametrize(
    "url",
    [
        "kafka://trader:s3cret@b1:9092",
        "kafka://b1;kafka://trader:s3cret@b2",
        "kafka://trader:s3/cr;e@t@b1",
        "trader:s3cret@b1:9092",
        "kafka://:s3cret@b1",
        "kafka://trader@b1:many",
        "kafka://b1?password=s3cret",
        "http://trader:s3cret@b1",
    ],
)
def test_a_password_is_refused_and_never_shown(url: str) -> None:
    expected = r"expected kafka://host:port" if "@" not in url else "user name and password are not supported"
    with pytest.raises(BadConfig, match=expected) as refused:
        broker_addresses(url)
    assert not any(secret in str(refused.value) for secret in ("trader", "s3", "e@t"))


@pytest.mark.parametrize("opened", [open_feed, open_emitter])
@pytest.mark.parametrize("url", ["kafka://trader:s3cret@b1:9092", "amqp://trader:s3cret@b1:9092"])
def test_nor_is_it_where_a_url_is_opened(opened: Callable[[str], object], url: str) -> None:
    with pytest.raises(BadConfig, match="…@b1:9092: ") as refused:
        opened(url)
    assert "s3cret" not in str(refused.value)


_WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
import leverloop
for opened in (leverloop.open_feed, leverloop.open_emitter, leverloop.open_blocking_emitter,
               lambda url: leverloop.open_blocking_book(url, "pm")):
    try:
        opened("kafka://b1:9092")
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("aiokafka", "BadConfig: kafka:// needs aiokafka: pip install 'leverloop[kafka]'"),
        ("leverloop.partitions", "ModuleNotFoundError: import of leverloop.partitions halted; None in sys.modules"),
    ],
)
def test_where_the_driver_is_missing_the_way_out_is_said(missing: str, said: str) -> None:
    ran = subprocess.run([sys.executable, "-c", _WITHOUT, missing], capture_output=True, text=True, check=True)
    assert set(ran.stdout.splitlines()) == {said}
    assert len(ran.stdout.splitlines()) == (4 if missing == "aiokafka" else 2)  # a feed has no use for partitions


def test_an_embedded_log_without_a_file_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"broker URL embedded://: .* names no file"):
        embedded_path("embedded://")
