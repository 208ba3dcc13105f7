"""What a replay says on the terminal: the levers, what was refused and why, and every file it has written."""

from io import StringIO
from pathlib import Path

import msgspec
from rich.console import Console

from app.replay import Replay, ReplayReport
from app.replaying import run_replay, show_result
from app.settings import Settings
from learning.book import Book
from learning.lessons import Lesson
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.test_lessons import alive
from tests.unit.app.test_replay import BAD, PARAMETERS, STREAM, laid_out


def ran(folder: Path) -> str:
    (folder / "parameters.json").write_bytes(msgspec.json.encode(PARAMETERS))
    out = StringIO()
    settings = Settings(parameters_file=folder / "parameters.json")
    run_replay(folder, folder / "out", settings, Console(file=out, width=160))
    return out.getvalue()


def test_levers_are_listed_and_every_file_is_named(tmp_path: Path) -> None:
    text = ran(laid_out(tmp_path))
    assert "size_mult 1." in text
    assert "0 dead letters" in text
    written = next(line for line in text.splitlines() if line.startswith(f"Written to {tmp_path / 'out'}: "))
    named = {name.rstrip("/") for name in written.partition("out: ")[2].split(", ")}
    assert named == {path.name for path in (tmp_path / "out").iterdir()}


def test_dead_letters_are_told_by_reason(tmp_path: Path) -> None:
    text = ran(laid_out(tmp_path, [*BAD, *STREAM[0]], STREAM[1]))
    assert f"{len(BAD)} dead letters" in text
    assert "1 x trade_id: expected a value, the field is missing" in text


def shown(*lessons: Lesson, dead: dict[str, int] = {}) -> str:  # noqa: B006 - only read
    replay = Replay(PARAMETERS, DEFAULT_SCHEMA)
    replay.book = Book(epoch_at_ms=0, lessons={lesson.id: lesson for lesson in lessons})
    report = ReplayReport(
        actions=0, trades=0, outcomes=0, expired=0, epochs=0, seconds=1.0, outcomes_per_second=0.0,
        dead_letters=dead, lesson_events=(),
    )  # fmt: skip
    out = StringIO()
    show_result(replay, report, Console(file=out, width=160))
    return out.getvalue()


def test_a_lesson_without_a_lever_says_why_and_an_execution_lever_is_listed() -> None:
    tuned = alive(id="ls_2", lesson_type="pm_tuning", lever="trail_mult", levers={"trail_mult": 1.25}, scope={})
    text = shown(alive(), tuned, alive(id="ls_3", state="candidate", scope={"bucket": "unseen"}))
    assert "none: edge and effect differ" in text
    assert "trail_mult 1.250" in text
    assert "(the whole group)" in text
    assert "unseen" not in text
    assert "No lesson stands" in shown()


def test_the_most_frequent_reasons_come_first_and_the_rest_is_counted() -> None:
    text = shown(dead={f"field{n:02}: expected [x]": n for n in range(1, 13)})
    lines = [line.strip() for line in text.splitlines()]
    assert "78 dead letters" in lines
    assert "12 x field12: expected [x]" in lines
    assert "1 x field01: expected [x]" not in lines
    assert "and 2 reasons more in report.json" in lines
