"""Status: what it says of a snapshot that stands, and of a worker that is silent."""

import pytest

from app.operator.history import ModuleState
from app.status import _standing
from leverloop.heartbeat import Heartbeat
from leverloop.testing import AT_MS, make_override, make_snapshot

SNAPSHOT = make_snapshot(
    make_override({"size_mult": 1.1}, {"bucket": "micro"}), version=3, valid_until_ms=AT_MS + 1_000
)
MINUTE_MS = 60_000


def state(version: int = 3, **fields: object) -> ModuleState:
    beat = Heartbeat(version=version, content_hash=SNAPSHOT.content_hash, valid_until_ms=AT_MS + 9 * MINUTE_MS)
    return ModuleState(module="pm", standing=SNAPSHOT, heartbeat=beat, heard_at_ms=AT_MS, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "at_ms", "words", "missing"),
    [
        (state(), AT_MS, ["version 3", "1 overrides"], ["killed", "pinned", "stale", "heartbeat"]),
        (state(killed=True, pinned=2), AT_MS, ["killed", "version 2 is pinned"], ["stale"]),
        (state(), AT_MS + 2 * MINUTE_MS, [], ["stale", "heartbeat"]),
        (state(), AT_MS + 5 * MINUTE_MS, ["no heartbeat for 5 min: is a worker running?"], ["stale"]),
        (state(), AT_MS + 10 * MINUTE_MS, ["stale", "no heartbeat for 10 min"], []),
        (state(version=2), AT_MS + MINUTE_MS, ["stale"], ["no heartbeat"]),
    ],
)
def test_what_is_wrong_is_said_and_nothing_else(
    found: ModuleState, at_ms: int, words: list[str], missing: list[str]
) -> None:
    said = _standing(found, SNAPSHOT, at_ms, 60.0)
    assert all(word in said for word in words), said
    assert not any(word in said for word in missing), said
