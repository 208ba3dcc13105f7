"""Workers in processes of their own, to be killed or put to sleep."""

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.transport.pipeline import Pipeline

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def started_worker(pipeline: Pipeline, data_dir: Path) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.transport.killed",
        pipeline.world.url,
        pipeline.app_id,
        str(data_dir / "faust"),
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
