"""An operator at the command line, and a worker that obeys: on both logs, through crashes."""

import json
import signal
from typing import Any

from leverloop.book import OverrideBook
from leverloop.heartbeat import decode_heartbeat
from leverloop.partitions import partition_of
from leverloop.snapshot import Snapshot, decode_snapshot
from leverloop.testing import make_override, make_snapshot
from streams.codec import Draft, encode
from streams.topics import ACTIONS, CONTROL_EVENTS, DRAFTS, LESSONS, OVERRIDES, TRADES
from tests.acceptance.deployment import Deployment
from tests.laws.examples import DAY_MS, START_MS
from tests.laws.streams import Stream, small_stream

SIGNED = ("--who", "jane", "--reason", "a test")
DAYS = 12
HALF_MS = START_MS + DAYS // 2 * DAY_MS


async def write(deployment: Deployment, stream: Stream, *, second_half: bool, half_ms: int = HALF_MS) -> None:
    for topic, documents in ((ACTIONS, stream[0]), (TRADES, stream[1])):
        chosen = [d for d in documents if (d["event_at_ms"] >= half_ms) is second_half]
        await deployment.write(topic, [(d["trade_id"], json.dumps(d).encode()) for d in chosen])


async def told(deployment: Deployment, *words: str) -> list[dict[str, Any]]:
    """What a command prints with --json."""
    code, out, err = await deployment.leverloop(*words, "--json")
    assert (code, err) == (0, ""), (out, err)
    return [json.loads(line) for line in out.splitlines()]


async def standing(deployment: Deployment, module: str = "pm") -> Snapshot | None:
    found = [r.value for r in await deployment.read(OVERRIDES) if r.key == module.encode() and r.value]
    return decode_snapshot(found[-1]) if found else None


async def announced_as(deployment: Deployment, version: int) -> Snapshot:
    """Snapshot that clients saw under a version; epochs may have followed it."""
    found = [decode_snapshot(r.value) for r in await deployment.read(OVERRIDES) if r.key == b"pm" and r.value]
    return next(snapshot for snapshot in found if snapshot.version == version)


async def version_of(deployment: Deployment) -> int:
    now = await standing(deployment)
    return 0 if now is None else now.version


async def last_epoch_ms(deployment: Deployment) -> int:
    now = await standing(deployment)
    return 0 if now is None else now.epoch_at_ms


async def outcomes(deployment: Deployment, outcome: str) -> list[dict[str, Any]]:
    events = [json.loads(r.value) for r in await deployment.read(CONTROL_EVENTS) if r.value]
    return [event for event in events if (event["module"], event["outcome"]) == ("pm", outcome)]


async def test_what_an_operator_commands_is_what_clients_see(deployment: Deployment) -> None:
    stream = small_stream(trades=200, days=DAYS)
    await write(deployment, stream, second_half=False)
    worker = deployment.start_worker()

    async def announced() -> bool:
        return await version_of(deployment) >= 5

    await deployment.until(announced, "five versions")

    versions = {row["version"]: row for row in await told(deployment, "overrides", "list", "--module", "pm", "--all")}
    (event,) = await told(deployment, "overrides", "pin", "2", "--module", "pm", *SIGNED)
    assert (event["outcome"], event["of_version"], event["who"], event["why"]) == ("announced", 2, "jane", "a test")
    pinned = await announced_as(deployment, event["version"])
    assert pinned.content_hash == versions[2]["content_hash"]
    assert pinned.command is not None
    assert (pinned.command.command, pinned.command.of_version) == ("pin", 2)

    worker.kill()
    assert worker.wait() == -signal.SIGKILL
    deployment.start_worker()
    await write(deployment, stream, second_half=True)

    async def held() -> bool:
        return len(await outcomes(deployment, "held")) >= 3

    await deployment.until(held, "three epochs held")
    now = await standing(deployment)
    assert now is not None
    assert (now.version, now.content_hash) == (pinned.version, pinned.content_hash)

    (event,) = await told(deployment, "overrides", "unpin", "--module", "pm", *SIGNED)
    newest = await announced_as(deployment, event["version"])
    assert newest.version > pinned.version
    assert newest.epoch_at_ms > pinned.epoch_at_ms
    inputs = {f"{topic}/{n}" for topic in (ACTIONS, TRADES) for n in range(deployment.settings.partitions)}
    assert newest.input_offsets.keys() == inputs
    assert all(newest.input_offsets[name] >= pinned.input_offsets[name] for name in inputs)

    events = await told(deployment, "overrides", "kill", *SIGNED)
    assert {event["module"]: event["outcome"] for event in events} == {"pm": "announced", "dm": "announced"}
    killed = await standing(deployment)
    assert killed is not None
    found = OverrideBook(killed, holdout_share=0.0).resolve("pm.uptrend.S1.buy_flag", "entry", {}, "t", HALF_MS)
    assert found.reason == "DISABLED"
    code, out, _ = await deployment.leverloop("status")
    assert (code, "killed" in out) == (0, True)
    assert {e["outcome"] for e in await told(deployment, "overrides", "revive", *SIGNED)} == {"announced"}

    (event,) = await told(deployment, "overrides", "rollback", "2", "--module", "pm", *SIGNED)
    back = await announced_as(deployment, event["version"])
    assert back.content_hash == pinned.content_hash
    rows = await told(deployment, "overrides", "list", "--module", "pm", "--all")
    (stands,) = [row["version"] for row in rows if row["outcome"] == "stands"]
    assert stands >= back.version
    assert [row["version"] for row in rows] == list(range(1, rows[-1]["version"] + 1))


async def test_what_cannot_be_done_says_what_can(deployment: Deployment) -> None:
    await write(deployment, small_stream(trades=60, days=DAYS), second_half=False)
    code, _, err = await deployment.leverloop("overrides", "kill", "--timeout", "1", *SIGNED)
    assert code == 75
    assert "nobody has answered within 1 s: is a worker running?" in err
    deployment.start_worker()

    async def killed() -> bool:
        heard = [*await outcomes(deployment, "accepted"), *await outcomes(deployment, "announced")]
        return any(event["command"] == "kill" for event in heard) and bool(await outcomes(deployment, "held"))

    await deployment.until(killed, "the kill that was written before the worker ran")
    (event,) = await told(deployment, "overrides", "kill", "--module", "pm", *SIGNED)
    assert (event["outcome"], event["reason"]) == ("unchanged", "pm is killed already")
    code, _, err = await deployment.leverloop("overrides", "pin", "999", "--module", "pm", *SIGNED)
    assert (code, "version 999 of pm is not kept: kept are 1 to" in err) == (78, True)
    code, _, err = await deployment.leverloop("overrides", "rollback", "1", "--module", "pm", *SIGNED)
    assert (code, "pm is killed: `pin 1`, then `revive`" in err) == (78, True)
    code, _, err = await deployment.leverloop("lessons", "disable", "ls_0", *SIGNED)
    assert (code, "no lesson ls_0" in err) == (78, True)
    code, _, err = await deployment.leverloop("overrides", "revive", "--reason", "  ")
    assert (code, "--reason: say why" in err) == (78, True)


async def propose(deployment: Deployment, size_mult: float, number: int, overrides: int = 1) -> None:
    """Lay a draft on its topic, as the book would."""
    snapshot = make_snapshot(
        *(
            make_override(
                {"size_mult": size_mult, "entry_aggression_mult": 1.0 + (size_mult - 1.0) / 2}, {"curator": n}
            )
            for n in range(overrides)
        ),
        epoch_at_ms=START_MS + number,
    )
    draft = Draft(module="pm", epoch_at_ms=START_MS + number, size_bytes=1, snapshot=snapshot)
    to_the_only_partition = next(f"k{n}" for n in range(99) if partition_of(f"k{n}".encode(), 4) == 0)
    await deployment.write(DRAFTS, [(to_the_only_partition, encode(draft))])


async def test_what_must_not_be_applied_never_reaches_a_client_and_the_reason_does(deployment: Deployment) -> None:
    deployment.start_worker()
    for number, (size_mult, overrides) in enumerate([(1.02, 1), (1.4, 1), (1.3, 30), (1.04, 1)]):
        await propose(deployment, size_mult, number, overrides)

    async def all_read() -> bool:
        return len(await outcomes(deployment, "refused")) == 2 and len(await outcomes(deployment, "announced")) == 2

    await deployment.until(all_read, "two drafts refused, two announced")
    first, second = await outcomes(deployment, "refused")
    assert "size_mult: expected a number in 0.7..1.3, was 1.4" in first["reason"]
    assert "LEVERLOOP_SNAPSHOT_MAX_MOVEMENT" in second["reason"]
    seen = [decode_snapshot(r.value).version for r in await deployment.read(OVERRIDES) if r.key == b"pm" and r.value]
    assert sorted(set(seen)) == [1, 4]
    await propose(deployment, 1.4, 9)

    async def refused_again() -> bool:
        return len(await outcomes(deployment, "refused")) == 3

    await deployment.until(refused_again, "the last draft is refused")
    _, out, _ = await deployment.leverloop("status")
    assert "refused pm" in out
    assert "version 5" in out
    rows = await told(deployment, "overrides", "list", "--module", "pm")
    assert [row["outcome"] for row in rows] == ["announced", "refused", "refused", "stands", "refused"]
    code, _, err = await deployment.leverloop("overrides", "rollback", "2", *SIGNED)
    assert (code, "version 2 may not be published" in err) == (78, True)
    (event,) = await told(deployment, "overrides", "rollback", "3", *SIGNED)
    assert (event["outcome"], event["version"]) == ("announced", 6)


async def test_a_disabled_lesson_stays_so_until_enabled(deployment: Deployment) -> None:
    stream, half_ms = small_stream(trades=1_200, days=4 * DAYS, edge_rr=3.0), START_MS + 3 * DAYS * DAY_MS
    await write(deployment, stream, second_half=False, half_ms=half_ms)
    deployment.start_worker()

    async def state_of(lesson: str) -> str:
        lessons = [json.loads(r.value) for r in await deployment.read(LESSONS) if r.value]
        return str({each["id"]: each["state"] for each in lessons if lesson in ("", each["id"])}.get(lesson))

    async def settled() -> bool:
        return bool(await deployment.read(LESSONS)) and await last_epoch_ms(deployment) > half_ms - DAY_MS

    await deployment.until(settled, "a lesson")
    known = await told(deployment, "lessons", "list")
    lesson = next(each["id"] for each in known if each["state"] in ("candidate", "active"))
    (event,) = await told(deployment, "lessons", "disable", lesson, *SIGNED)
    assert (event["outcome"], event["lesson_id"]) == ("accepted", lesson)
    await write(deployment, stream, second_half=True, half_ms=half_ms)

    async def is_disabled() -> bool:
        return await state_of(lesson) == "disabled"

    await deployment.until(is_disabled, "the lesson is disabled")
    code, out, _ = await deployment.leverloop("lessons", "show", lesson)
    assert code == 0
    assert "-> disabled" in out
    assert "disable accepted, by jane" in out
    (event,) = await told(deployment, "lessons", "enable", lesson, *SIGNED)
    assert event["outcome"] in ("accepted", "unchanged")


async def test_one_worker_says_that_what_stands_stands(deployment: Deployment) -> None:
    await write(deployment, small_stream(trades=60, days=DAYS), second_half=False)
    workers = 1 if deployment.url.startswith("embedded") else 2
    first, *_ = [deployment.start_worker() for _ in range(workers)]
    enough = 36 * workers - 24  # 18 s are enough for the second worker to start and join

    async def beaten(times: int) -> bool:
        return len(await beats(deployment)) >= times

    await deployment.until(lambda: beaten(enough), "heartbeats, with all workers up")
    until_ms = [beat.valid_until_ms for beat in (await beats(deployment))[-12:]]
    beats_ms = 1_000 * deployment.settings.heartbeat_s
    # Two that beat would need half of the time; a partition that changes hands may have a beat of each.
    assert until_ms[-1] - until_ms[0] > 0.7 * beats_ms * (len(until_ms) - 1), until_ms
    first.kill()
    assert first.wait() == -signal.SIGKILL
    known = len(await beats(deployment))
    if workers == 1:
        deployment.start_worker()
    await deployment.until(lambda: beaten(known + 4), "four more, of the worker that is left")
    now = await standing(deployment)
    last = (await beats(deployment))[-1]
    assert now is not None
    assert last.version <= now.version


async def beats(deployment: Deployment) -> list[Any]:
    return [decode_heartbeat(r.value) for r in await deployment.read(OVERRIDES) if r.key == b"pm/heartbeat" and r.value]
