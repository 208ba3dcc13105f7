"""The fixture itself: without Java it skips and says why, and LEVERLOOP_REQUIRE_KAFKA=1 makes that a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NEEDS_KAFKA = "tests/integration/kafka/test_devbroker.py::test_session_broker_takes_and_gives_records"


@pytest.mark.parametrize(("required", "outcome"), [({}, "1 skipped"), ({"LEVERLOOP_REQUIRE_KAFKA": "1"}, "1 error")])
def test_without_java_a_test_is_skipped_or_fails_with_the_reason(
    tmp_path: Path, required: dict[str, str], outcome: str
) -> None:
    ours = ("LEVERLOOP_TEST_KAFKA", "LEVERLOOP_REQUIRE_KAFKA", "JAVA_HOME")
    bare = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", NEEDS_KAFKA],
        cwd=ROOT,
        env=bare | {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)} | required,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "no Kafka broker: expected Java 17 or newer on PATH, there is none" in done.stdout
    assert done.returncode == (1 if required else 0)
