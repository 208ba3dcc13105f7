"""`leverloop stats` beside a worker that runs, on both logs: what it says is what the events say."""

import asyncio
import json
import statistics
import subprocess
from typing import Any

import pytest

from app.stats.source import held_by_worker
from streams.topics import ACTIONS, TRADES
from tests.acceptance.deployment import LEVERLOOP, Deployment
from tests.acceptance.test_loop import records
from tests.laws import brute_force
from tests.laws.streams import small_stream

GROUP = "pm.uptrend.S1.buy_flag|entry"


async def stats(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [LEVERLOOP, "stats", *arguments],
        env=deployment.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def rows(deployment: Deployment, *arguments: str) -> list[dict[str, Any]]:
    done = await stats(deployment, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_before_there_is_a_decision_it_says_so(deployment: Deployment) -> None:
    nothing = await stats(deployment)
    assert (nothing.returncode, nothing.stdout) == (75, "")
    assert "no epoch has been decided yet; --now counts every outcome held" in nothing.stderr


async def test_a_worker_is_asked_while_it_runs(deployment: Deployment) -> None:
    actions, closed = small_stream(trades=200, days=4)
    await deployment.write(ACTIONS, records(actions))
    await deployment.write(TRADES, records(closed))
    deployment.start_worker()

    async def all_held() -> bool:
        held = await held_by_worker(deployment.settings)
        return sum(cells.n for cells in held.groups.values()) == len(actions) and held.decided is not None

    await deployment.until(all_held, f"{len(actions)} outcomes and a decision")
    known = [row for row in brute_force.rows_of(actions, closed) if row.group == GROUP]
    found = await rows(deployment, GROUP, "--top", "3", "--by", "n", "--now")
    assert len(found) == 3
    for row in [*found, *await rows(deployment, GROUP, "--now")]:
        mine = [known_row for known_row in known if brute_force.inside(known_row, row["scope"])]
        rr = [one.rr / 100_000 for one in brute_force.first_of_each_trade(mine)]
        assert (row["n"], row["n_actions"]) == (len(rr), len(mine)), row["scope"]
        assert row["avg_rr"] == pytest.approx(statistics.fmean(rr))
        assert row["variance"] == pytest.approx(statistics.variance(rr))
    refused = await stats(deployment, "pm.uptrend.S1.buyflag|entry")
    assert refused.returncode == 78
    assert GROUP in refused.stderr
    assert all(worker.poll() is None for worker in deployment.workers), "the worker runs on"
