"""Which broker URLs are understood."""

import pytest

from leverloop.brokers import broker_addresses, embedded_path
from leverloop.errors import BadConfig


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


def test_an_embedded_log_without_a_file_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"broker URL embedded://: .* names no file"):
        embedded_path("embedded://")
