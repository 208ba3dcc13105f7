"""Feeds by URL."""

from pathlib import Path

import pytest

from leverloop.errors import BadConfig
from leverloop.feeds import open_feed
from leverloop.feeds.embedded import EmbeddedFeed
from leverloop.feeds.file import FileFeed


@pytest.mark.parametrize(
    ("url", "kind", "path"),
    [
        ("file:///var/lib/snapshot.json", FileFeed, Path("/var/lib/snapshot.json")),
        ("file:///with%20space/s.json", FileFeed, Path("/with space/s.json")),
        ("file://here/s.json", FileFeed, Path("here/s.json")),
        ("embedded:///var/lib/log.db", EmbeddedFeed, Path("/var/lib/log.db")),
        ("embedded://log.db", EmbeddedFeed, Path("log.db")),
    ],
)
def test_a_url_names_a_feed_and_its_file(url: str, kind: type[FileFeed | EmbeddedFeed], path: Path) -> None:
    feed = open_feed(url)
    assert isinstance(feed, kind)
    assert feed._path == path


def test_a_kafka_url_names_the_kafka_feed() -> None:
    assert type(open_feed("kafka://127.0.0.1:9092")).__name__ == "KafkaFeed"


@pytest.mark.parametrize("url", ["", "http://x/y", "log.db", "file://", "embedded://"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(BadConfig, match=r"(feed|broker) URL"):
        open_feed(url)
