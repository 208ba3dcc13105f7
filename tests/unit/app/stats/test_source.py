"""A worker's tables and a replay of the same events answer the same."""

import shutil
from pathlib import Path

import msgspec
import pytest

from app.settings import Settings
from app.stats.source import Held, held_by_replay, held_by_worker
from app.topic_admin import Replication, create_topics
from app.topics import deployment_topics
from leverloop.errors import BadConfig, BadInput, InvariantBroken, Unavailable
from tests.unit.app.stats.sources import GROUP, deployed, replayed
from tests.unit.app.test_replay import PARAMETERS, STREAM


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed(tmp_path_factory.mktemp("replay"))


def numbers(held: Held, group: str, *, now: bool = False) -> list[object]:
    queries = held.queries(group, now=now)
    return [queries.epoch_at_ms, queries.point({}), queries.point({"bucket": "xl"}), queries.top(10**6, "n")]


async def test_a_worker_and_a_replay_say_the_same(replay: Path, tmp_path: Path) -> None:
    settings, by_replay = await deployed(tmp_path), held_by_replay(replay)
    by_worker = await held_by_worker(settings)
    assert sorted(by_worker.groups) == sorted(by_replay.groups)
    assert sum(cells.n for cells in by_worker.groups.values()) == len(STREAM[0])
    assert by_replay.decided is not None
    for group in by_replay.groups:
        wanted = numbers(by_replay, group)
        assert numbers(by_worker, group) == wanted
        now = numbers(by_replay, group, now=True)[1:]
        for one in (await held_by_worker(settings, group), held_by_replay(replay, group)):
            assert list(one.groups) == [group]
            assert numbers(one, group) == wanted
            assert numbers(one, group, now=True)[1:] == now
    assert by_replay.parameters == by_worker.parameters == PARAMETERS


async def test_one_group_costs_one_partition(tmp_path: Path) -> None:
    settings = await deployed(tmp_path)
    one, everybody = await held_by_worker(settings, GROUP), await held_by_worker(settings)
    assert GROUP in one.groups
    assert list(one.groups) == [GROUP]
    assert one.groups[GROUP].n == everybody.groups[GROUP].n > 0
    assert one.decided == everybody.decided
    assert "partitions 0 to 2 of leverloop-outcomes-changelog" in everybody.source


async def test_a_group_that_is_not_there_is_told_which_are_near(replay: Path, tmp_path: Path) -> None:
    wrong = "pm.uptrend.S1.buyflag|entry"
    by_worker = await held_by_worker(await deployed(tmp_path), wrong)
    for held in (held_by_replay(replay), held_by_replay(replay, wrong), by_worker):
        with pytest.raises(
            BadInput, match=r"GROUP: expected one of the 6 groups .*such as pm\.uptrend\.S1\.buy_flag\|entry, "
        ):
            held.queries("pm.uptrend.S1.buyflag|entry", now=False)


async def test_before_the_first_decision_only_now_is_answered(tmp_path: Path) -> None:
    settings = Settings(broker_url=f"embedded://{tmp_path}/log.db")
    await create_topics(
        settings.broker_url, deployment_topics(settings), replication=Replication(factor=1, min_insync=1)
    )
    empty = await held_by_worker(settings)
    with pytest.raises(Unavailable, match="no epoch has been decided yet; --now counts"):
        empty.epoch_at_ms(now=False)
    assert (empty.epoch_at_ms(now=True), dict(empty.groups)) == (0, {})
    with pytest.raises(BadInput, match="a group that has outcomes: `leverloop stats --now` lists them"):
        empty.queries(GROUP, now=True)


def test_now_counts_the_outcomes_of_the_open_epoch(replay: Path) -> None:
    held = held_by_replay(replay)
    assert held.decided is not None
    cells = held.groups[GROUP]
    counts_from = sorted(set(cells.column("counts_from_ms", cells.counted(2**60)).tolist()))
    middle = counts_from[len(counts_from) // 2]
    earlier = msgspec.structs.replace(held, decided=msgspec.structs.replace(held.decided, epoch_at_ms=middle))
    as_of, now = (earlier.queries(GROUP, now=flag) for flag in (False, True))
    later = earlier.open_outcomes(cells, middle)
    assert later > 0
    assert as_of.point({}).stats.n_actions + later == now.point({}).stats.n_actions == cells.n
    assert earlier.open_outcomes(cells, now.epoch_at_ms) == 0


async def test_a_log_without_tables_says_what_makes_them(tmp_path: Path) -> None:
    settings = Settings(broker_url=f"embedded://{tmp_path}/log.db", app_id="other")
    await create_topics(
        settings.broker_url,
        deployment_topics(Settings(app_id="leverloop")),
        replication=Replication(factor=1, min_insync=1),
    )
    with pytest.raises(BadConfig, match=r"other-outcomes-changelog: no such topic.*leverloop topics create"):
        await held_by_worker(settings)
    with pytest.raises(Unavailable, match="it is not there"):
        await held_by_worker(Settings(broker_url=f"embedded://{tmp_path}/none.db"))


def test_records_of_another_release_are_refused(replay: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(replay, tmp_path / "copy"))
    path = damaged / "outcomes.records"
    raw = bytearray(path.read_bytes())
    header = raw.index(b"\n") + 1
    key_bytes = int.from_bytes(raw[header : header + 4], "little")
    raw[header + 8 + key_bytes] = 250  # the version of the first value
    path.write_bytes(raw)
    with pytest.raises(BadConfig, match="run the replay again with this release") as refused:
        held_by_replay(damaged)
    assert isinstance(refused.value.__cause__, InvariantBroken)
