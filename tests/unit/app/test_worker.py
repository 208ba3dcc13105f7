"""Worker: what it lays down for every snapshot, from its settings."""

import pytest

from app.settings import Settings
from app.worker import _terms
from leverloop.errors import BadConfig


def test_a_snapshot_outlives_its_heartbeats() -> None:
    found = _terms(Settings(heartbeat_s=60.0, snapshot_valid_hours=0.5, snapshot_max_overrides=7))
    assert (found.valid_ms, found.limits.max_overrides) == (1_800_000, 7)
    with pytest.raises(BadConfig, match=r"LEVERLOOP_HEARTBEAT_S 60: at most half of .*, which is 90 s"):
        _terms(Settings(heartbeat_s=60.0, snapshot_valid_hours=0.025))
