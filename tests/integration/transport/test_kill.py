"""SIGKILL at any moment, while sends stall: the last record of every key is the one of its source."""

import random
import signal
from pathlib import Path

from app.transport import running
from tests.integration.transport.pipeline import Pipeline
from tests.integration.transport.processes import started_worker
from tests.integration.transport.world import last_values, until

KILLS = 4
RECORDS = 2000


async def test_nothing_is_lost_when_the_worker_is_killed(pipeline: Pipeline, tmp_path: Path) -> None:
    rng = random.Random(7)
    for _ in range(KILLS):
        await pipeline.feed(RECORDS, keys=RECORDS * KILLS)  # a key of its own for each: any loss shows
        async with started_worker(pipeline, tmp_path) as process:
            enough = await pipeline.world.ends(pipeline.out) + rng.randrange(50, RECORDS // 2)

            async def far_enough(enough: int = enough) -> bool:
                return await pipeline.world.ends(pipeline.out) >= enough

            await until(far_enough)
            process.kill()
            assert await process.wait() == -signal.SIGKILL
    async with started_worker(pipeline, tmp_path) as process:
        await until(pipeline.finished)
        process.terminate()
        assert await process.wait() == 0
    assert last_values(await pipeline.world.read(pipeline.changelog)) == pipeline.expected()
    again = pipeline.worker(bulk=True)
    async with running(again.app):
        assert again.rows == pipeline.expected()
    assert again.count("applied") == 0, "all of it was there in bulk"
    out = [seen.value for seen in await pipeline.world.read(pipeline.out)]
    assert set(out) == {record.value for record in pipeline.fed}
