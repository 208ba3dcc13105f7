"""A worker does not start on a wrong layout, and says what is wrong and what to do."""

import asyncio
import subprocess
from pathlib import Path

from app.topic_admin import create_topics
from app.topics import deployment_topics, replication
from tests.acceptance.deployment import LEVERLOOP, Deployment


async def refusal(deployment: Deployment) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [LEVERLOOP, "worker"],
        env=deployment.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_missing_topics(broker_url: str, tmp_path: Path) -> None:
    deployment = Deployment(broker_url, tmp_path)
    specs = [spec for spec in deployment_topics(deployment.settings) if spec.name != "leverloop.findings"]
    await create_topics(broker_url, specs, replication=replication(deployment.settings))
    refused = await refusal(deployment)
    assert refused.returncode == 78
    assert "leverloop.findings" in refused.stderr
    assert "leverloop topics create" in refused.stderr


async def test_another_number_of_partitions(deployment: Deployment) -> None:
    other = Deployment(deployment.url, deployment.folder, partitions=8)
    refused = await refusal(other)
    assert refused.returncode == 78
    assert "leverloop.actions: expected 8 partitions, found 4" in refused.stderr
