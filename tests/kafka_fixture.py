"""A real Kafka broker for tests marked `kafka`: LEVERLOOP_TEST_KAFKA if it names one, else our own.

Without Java or Maven the test is skipped with the reason; LEVERLOOP_REQUIRE_KAFKA=1 makes that a failure.
"""

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.devbroker import DevBroker
from leverloop.errors import BadConfig, Unavailable


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a broker that all tests of the session share: use `unique_id` in every name."""
    named = os.environ.get("LEVERLOOP_TEST_KAFKA")
    if named:
        yield named
        return
    with _started(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


@pytest.fixture
def own_kafka_broker(tmp_path: Path) -> Iterator[DevBroker]:
    """Broker of this test alone: to kill it, to stop it, or to use the topic names of production (1.1 s)."""
    with _started(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def unique_id(request: pytest.FixtureRequest) -> str:
    """Name that no other test has: an app id, a group, or the prefix of a topic."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")
    return f"{test[:40]}-{uuid.uuid4().hex[:8]}"


def _started(data_dir: Path) -> DevBroker:
    try:
        return DevBroker().start(data_dir)
    except (BadConfig, Unavailable) as error:
        reason = f"no Kafka broker: {error}"
    if os.environ.get("LEVERLOOP_REQUIRE_KAFKA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
