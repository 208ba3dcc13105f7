"""Every test here runs on both logs, each on topics of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.deployment import Deployment


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "embedded":
        return f"embedded://{tmp_path}/log.db"
    return f"kafka://{request.getfixturevalue('own_kafka_broker').bootstrap}"


@pytest.fixture
async def deployment(broker_url: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    deployment = await Deployment(broker_url, tmp_path).create()
    yield deployment
    deployment.stop()
