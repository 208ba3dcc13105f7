"""A worker to be killed: ``python -m tests.integration.transport.killed URL APP_ID DATA_DIR``; SIGTERM ends it well.

Every two hundredth changelog record stalls, while the outputs go on: a commit that does not wait overtakes it.
"""

import asyncio
import signal
import sys
from pathlib import Path

from app.transport import exit_process, running
from tests.integration.transport.faults import Faults, faulty
from tests.integration.transport.pipeline import Pipeline
from tests.integration.transport.world import world_of

STALL_S = 0.1


class Stalls(Faults):
    def __init__(self) -> None:
        super().__init__()
        self._sends = 0

    def stalls(self, topic: str) -> bool:
        if not topic.endswith("-changelog"):
            return False
        self._sends += 1
        if self.open.is_set() and self._sends % 200 == 0:
            self.open.clear()
            asyncio.get_running_loop().call_later(STALL_S, self.open.set)
        return not self.open.is_set()


async def main(url: str, app_id: str, data_dir: str) -> None:
    pipeline = Pipeline(world_of(url), app_id, Path(data_dir))
    worker = pipeline.worker(
        fail_stop=exit_process,
        commit_interval_s=0.05,
        transport_class=faulty(url, Stalls()),
        broker_session_timeout=3.0,
        broker_heartbeat_interval=0.5,
    )
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with running(worker.app):
        await told.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
