"""Every test here runs on both transports."""

from pathlib import Path

import pytest

from tests.integration.transport.pipeline import Pipeline
from tests.integration.transport.world import World, world_of


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def transport_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "embedded":
        return f"embedded://{tmp_path}/log.db"
    return f"kafka://{request.getfixturevalue('kafka_broker')}"


@pytest.fixture
def world(transport_url: str) -> World:
    return world_of(transport_url)


@pytest.fixture
async def pipeline(world: World, unique_id: str, tmp_path: Path) -> Pipeline:
    return await Pipeline(world, unique_id, tmp_path / "faust").create()
