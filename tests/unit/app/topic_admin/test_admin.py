"""Which broker URLs are understood."""

import pytest

from app.topic_admin.admin import kafka_addresses
from leverloop.errors import BadConfig


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("kafka://127.0.0.1:9092", ["127.0.0.1:9092"]),
        ("kafka://b1;kafka://b2:19092", ["b1:9092", "b2:19092"]),
    ],
)
def test_kafka_urls_are_read(url: str, addresses: list[str]) -> None:
    assert kafka_addresses(url) == addresses


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9092", "http://b1:9092", "kafka://", "kafka://b1/topic", "kafka://b1;b2"]
)
def test_anything_else_is_refused_with_what_was_expected(url: str) -> None:
    with pytest.raises(BadConfig, match=r"broker_url: expected kafka://host:port\[;kafka://host:port\], was"):
        kafka_addresses(url)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadConfig, match="broker_url: kafka://b1:many: Port could not be cast"):
        kafka_addresses("kafka://b1:many")
