"""What `leverloop replay jsonl` writes: lessons, snapshots, statistics, report, and outcomes to be asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.outcome_file import LastDecision, write_decision, write_records
from app.replay import Replay, ReplayReport
from app.version import ENGINE_VERSION
from learning.baseline import Baselines
from learning.book import decision
from learning.lessons import LIVE, Lesson
from learning.overrides import snapshot
from learning.parameters import config_hash
from learning.statistics import missed_bucket, tracked_stats
from leverloop.errors import InvariantBroken
from leverloop.levers import LEVERS
from leverloop.patterns import MODULES, Module
from leverloop.snapshot import Snapshot, encode_snapshot
from tables.outcomes import OutcomesState

__all__ = ["snapshots_of", "write_output"]


def write_output(
    replay: Replay, report: ReplayReport, out: Path, on_group: Callable[[int, int], None] = lambda _done, _of: None
) -> dict[Module, Snapshot]:
    """Write what a replay leaves in its folder (README: Replay); return the snapshots.

    Parameters
    ----------
    replay, report
        A finished replay.
    out
        Folder, made if it is not there.
    on_group
        Called with (groups done, groups) while the statistics are written.
    """
    (out / "snapshots").mkdir(parents=True, exist_ok=True)
    lessons = [] if replay.book is None else list(replay.book.lessons.values())
    live = [
        {
            "pattern_key": lesson.pattern_key,
            "action_category": lesson.action_category,
            "scope": lesson.scope,
            "direction": lesson.direction,
            "n": lesson.evidence.stats.n,
            "edge_raw": lesson.evidence.stats.edge_raw,
        }
        for lesson in lessons
        if lesson.state in LIVE and not lesson.lever
    ]
    _write(out / "lessons.json", live)
    _write(out / "levers.json", [_tuned(lesson) for lesson in lessons if lesson.state in LIVE and lesson.lever])
    snapshots = snapshots_of(replay)
    for module, found in snapshots.items():
        _write(out / "snapshots" / f"{module}.json", msgspec.json.decode(encode_snapshot(found)))
    with (out / "stats.jsonl").open("wb") as file:
        for row in _stats(replay, on_group):
            file.write(msgspec.json.encode(row) + b"\n")
    write_records(out, OutcomesState(replay.partition).records())
    last = None if replay.book is None else decision(replay.book)
    write_decision(out, LastDecision(parameters=replay.parameters, scope_schema=replay.schema, decided=last))
    _write(out / "report.json", report)
    return snapshots


def _tuned(lesson: Lesson) -> dict[str, Any]:
    """An execution lever with its evidence (spec section 8): of the n trades that tell of it, the interval of 95 %."""
    found = lesson.evidence.lever
    if found is None:
        raise InvariantBroken(f"{lesson.id}: {lesson.lever} stands without evidence of its own")
    return {
        "pattern_key": lesson.pattern_key,
        "action_category": lesson.action_category,
        "scope": lesson.scope,
        "lever": lesson.lever,
        "target": lesson.lever_target,
        "value": lesson.levers.get(lesson.lever),
        "signal": lesson.lever_signal or None,
        "neutral": lesson.lever_neutral if lesson.lever_neutral is not None else LEVERS[lesson.lever].neutral,
        "n": found.n,
        "effect_rr": found.effect_rr,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
    }


def _write(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def snapshots_of(replay: Replay) -> dict[Module, Snapshot]:
    """Snapshot of each module that has groups, as of the last epoch."""
    book = replay.book
    if book is None or not book.version:
        return {}
    modules = {group.split(".", 1)[0] for group in replay.partition.groups}
    return {
        module: snapshot(
            module,
            [book.lessons[name] for name in sorted(book.lessons) if book.lessons[name].module == module],
            version=book.version,
            epoch_at_ms=book.epoch_at_ms,
            config_hash=config_hash(replay.parameters, replay.schema),
            engine_version=ENGINE_VERSION,
            parameters=replay.parameters,
            factors=book.factors,
            size_scale=book.size_scale,
        )
        for module in MODULES
        if module in modules
    }


def _stats(replay: Replay, on_group: Callable[[int, int], None]) -> Iterator[dict[str, Any]]:
    book = replay.book
    if book is None:
        return
    baselines = Baselines(book.baselines)
    names = sorted(replay.partition.groups)
    for done, name in enumerate(names):
        on_group(done, len(names))
        cells = replay.partition.groups[name]
        stats = tracked_stats(cells, book.epoch_at_ms, baselines, replay.parameters, replay.schema, book.regime_weights)
        for codes, row in zip(stats.codes, stats.rows(), strict=True):
            yield {
                "module": cells.module,
                "pattern_key": name.rpartition("|")[0],
                "action_category": cells.action_category,
                "scope": cells.scope_of(codes),
                **msgspec.structs.asdict(row),
                "missed_entry_bucket": missed_bucket(row.missed_entry_rr),
                "missed_exit_bucket": missed_bucket(row.missed_exit_rr),
            }
    on_group(len(names), len(names))
