"""Topics: names, partitions, cleanup and retention are for ever; this is what they are."""

from streams.topics import INPUTS, layout

FOREVER = -1
NINETY_DAYS_MS = 90 * 86_400_000


def test_the_layout_of_a_deployment() -> None:
    found = [(s.name, s.partitions, s.cleanup, s.retention_ms) for s in layout(app_id="lever", partitions=8)]
    assert found == [
        ("leverloop.actions", 8, "delete", FOREVER),
        ("leverloop.trades", 8, "delete", FOREVER),
        ("leverloop.outcomes", 8, "delete", NINETY_DAYS_MS),
        ("leverloop.findings", 1, "delete", NINETY_DAYS_MS),
        ("leverloop.lessons", 1, "compact", FOREVER),
        ("leverloop.lesson-events", 1, "delete", FOREVER),
        ("leverloop.drafts", 1, "delete", NINETY_DAYS_MS),
        ("leverloop.snapshots", 1, "delete", NINETY_DAYS_MS),
        ("leverloop.overrides", 1, "compact", FOREVER),
        ("leverloop.control", 1, "delete", FOREVER),
        ("leverloop.control-events", 1, "delete", FOREVER),
        ("leverloop.dead-letters", 8, "delete", FOREVER),
        ("lever-trades-changelog", 8, "compact", FOREVER),
        ("lever-outcomes-changelog", 8, "compact", FOREVER),
        ("lever-epochs-changelog", 8, "compact", FOREVER),
        ("lever-book-changelog", 1, "compact", FOREVER),
        ("lever-announced-changelog", 1, "compact", FOREVER),
    ]


def test_what_traders_write_is_kept() -> None:
    """Replay is a promise: inputs and what operators said are never deleted by age."""
    kept = {s.name: s for s in layout(app_id="lever", partitions=2)}
    for name in (*INPUTS, "leverloop.control"):
        assert (kept[name].cleanup, kept[name].retention_ms) == ("delete", FOREVER)


def test_snapshots_fit_their_topics() -> None:
    sizes = {s.name: (s.max_message_bytes, s.compression) for s in layout(app_id="lever", partitions=2)}
    assert sizes["leverloop.overrides"] == (32 << 20, "zstd")
    assert sizes["leverloop.snapshots"] == (32 << 20, "producer")
    assert sizes["leverloop.actions"] == (None, "producer")
