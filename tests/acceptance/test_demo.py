"""The demo as a person runs it: it shows outcomes, stops at Ctrl-C, and goes on where it was."""

import asyncio
import json
import re
import signal
import time
from pathlib import Path

from app.status import read_status
from app.topic_reader import read_topic
from streams.topics import ACTIONS
from tests.acceptance.deployment import LEVERLOOP

STOP_S = 5.0


async def demo(folder: Path, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        LEVERLOOP, "demo", "--data-dir", str(folder), *options, stdout=asyncio.subprocess.PIPE, stderr=None
    )


async def line_with(process: asyncio.subprocess.Process, pattern: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(90):
        async for line in process.stdout:
            if re.search(pattern, line.decode()):
                return line.decode()
    raise AssertionError(f"the demo ended without a line with {pattern}")


async def test_interrupted_and_started_again(tmp_path: Path) -> None:
    first = await demo(tmp_path)
    await line_with(first, r"outcomes=[1-9]\d\d")
    first.send_signal(signal.SIGINT)
    told_at = time.monotonic()
    told, _ = await first.communicate()
    assert time.monotonic() - told_at <= STOP_S
    assert first.returncode == 0
    assert "What the loop did" in told.decode()
    before = json.loads((tmp_path / "summary.json").read_text())

    second = await demo(tmp_path, "--for", "8s")
    await second.communicate()
    assert second.returncode == 0
    after = json.loads((tmp_path / "summary.json").read_text())
    assert after["at_ms"] > before["at_ms"]
    assert after["trades"] > before["trades"]
    assert after["epochs"] > before["epochs"]

    url = f"embedded://{tmp_path}/log.db"
    status = await read_status(url)
    assert status.dead_letters == {}
    # A batch that was logged and not known to be safe is logged again: the same ids, not new ones.
    ids = {json.loads(record.value or b"{}")["action_id"] async for record in read_topic(url, ACTIONS)}
    assert len(ids) == after["actions"]
    assert status.modules["pm"].standing is not None
    assert not re.search(r"\[(error|critical)", (tmp_path / "worker.log").read_text())
