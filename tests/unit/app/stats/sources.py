"""The same stream twice: replayed into a folder, and through a worker's tables on an embedded log."""

from pathlib import Path
from random import Random

import msgspec

from app.replay import replay_files
from app.replay_output import write_output
from app.settings import Settings
from app.topic_admin import Replication, create_topics
from app.topics import deployment_topics
from leverloop.brokers import embedded_path
from leverloop.embedded_log import EmbeddedLog, NewRecord
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.pipeline import Pipeline
from tests.unit.app.test_replay import PARAMETERS, STREAM, laid_out

PARTITIONS = 3
GROUP = "pm.uptrend.S1.buy_flag|entry"


def replayed(folder: Path) -> Path:
    """Folder that a replay has written."""
    (folder / "in").mkdir(parents=True)
    replay, report = replay_files(laid_out(folder / "in"), parameters=PARAMETERS, schema=DEFAULT_SCHEMA)
    write_output(replay, report, folder / "out")
    return folder / "out"


async def deployed(folder: Path) -> Settings:
    """Settings of a deployment whose tables hold what the replay holds."""
    (folder / "parameters.json").write_bytes(msgspec.json.encode(PARAMETERS))
    settings = Settings(
        broker_url=f"embedded://{folder}/log.db",
        partitions=PARTITIONS,
        parameters_file=folder / "parameters.json",
        data_dir=folder,
    )
    await create_topics(
        settings.broker_url, deployment_topics(settings), replication=Replication(factor=1, min_insync=1)
    )
    pipeline = Pipeline(PARTITIONS, PARAMETERS, Random(1))
    pipeline.feed(STREAM)
    pipeline.run()
    write(settings, "outcomes", [table.changelog for table in pipeline.outcomes])
    write(settings, "epochs", [table.changelog for table in pipeline.epochs])
    return settings


def write(settings: Settings, table: str, changelogs: list[dict[bytes, bytes]]) -> None:
    """Write a table's changelog, partition by partition, each record behind one that it replaces and one taken back."""
    topic = f"{settings.app_id}-{table}-changelog"
    path = embedded_path(settings.broker_url)
    assert path is not None
    with EmbeddedLog(path) as log:
        for partition, changelog in enumerate(changelogs):
            some = next(iter(changelog.items()), None)
            before = [] if some is None else [(some[0], some[1]), (some[0], None)]
            log.append(
                [
                    NewRecord(topic=topic, partition=partition, key=key, value=value, timestamp_ms=1)
                    for key, value in (*before, *changelog.items())
                ]
            )
