"""The Kafka of docker-compose.yml: every setting is one that this version of the broker has."""

from pathlib import Path

import pytest
import yaml
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.integration.kafka.topics import admin_of

pytestmark = pytest.mark.kafka
COMPOSE = Path(__file__).parents[3] / "docker-compose.yml"


async def test_kafka_knows_every_setting(kafka_broker: str) -> None:
    service = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]
    # The image makes a property of every variable: KAFKA_NODE_ID is node.id.
    wanted = {name.removeprefix("KAFKA_").replace("_", ".").lower() for name in service["environment"]}
    async with admin_of(kafka_broker) as admin:
        (broker, *_) = (await admin.describe_cluster())["brokers"]
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, str(broker["node_id"]))])
    known = {entry[0] for resource in answer.resources for entry in resource[4]}
    assert wanted - known == set()
