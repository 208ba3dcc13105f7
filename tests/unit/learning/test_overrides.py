"""Overrides: what a lesson says to traders (laws with the book: tests/laws/test_book.py)."""

import msgspec
import pytest

from learning.lessons import Lesson, LessonState, nominated
from learning.levers import confidence
from learning.overrides import override, snapshot
from learning.parameters import Parameters
from leverloop.patterns import Module
from leverloop.snapshot import Snapshot, validate
from tests.laws.examples import START_MS, some_evidence, some_stats

PARAMETERS = Parameters()


def a_lesson(module: Module = "pm", *, state: LessonState = "active", name: str = "micro") -> Lesson:
    kind, group, lever = (
        ("pm_strength", "pm.up.S1.a|entry", "size_mult") if module == "pm" else ("dm_alloc", "dm.x.y.z|allocation", "alloc_mult")
    )  # fmt: skip
    lesson, _ = nominated(kind, module, group, {"bucket": name}, some_evidence(), epoch_at_ms=START_MS, ordinal=1)  # type: ignore[arg-type]
    return msgspec.structs.replace(lesson, levers={lever: 1.1}, state=state)


def published(*lessons: Lesson, module: Module = "pm", version: int = 2, epoch_at_ms: int = START_MS) -> Snapshot:
    return snapshot(
        module, lessons, version=version, epoch_at_ms=epoch_at_ms, config_hash="c", engine_version="e",
        parameters=PARAMETERS,
    )  # fmt: skip


def test_an_override_is_its_lesson() -> None:
    lesson = a_lesson()
    found = override(lesson, PARAMETERS)
    assert (found.type, found.pattern_key, found.action_category) == ("pm_strength", "pm.up.S1.a", "entry")
    assert (found.scope, found.levers) == ({"bucket": "micro"}, {"size_mult": 1.1})
    assert (found.stats.n, found.stats.edge_raw, found.stats.variance) == (100, 1.0, 1.0)
    assert (found.stats.half_life_days, found.lesson.decay_halflife_hours) == (30.0, 720.0)
    assert found.stats.updated_at_ms == lesson.evidence.stats.last_closed_at_ms
    assert (found.lesson.id, found.lesson.created_at_ms) == (lesson.id, START_MS)
    assert found.lesson.strength == confidence(lesson.evidence) > 0.99


def test_what_is_not_known_is_published_as_no_edge() -> None:
    stats = some_stats(n=1, variance=None, edge_raw=None)
    lesson = msgspec.structs.replace(a_lesson(), evidence=some_evidence(stats))
    assert (override(lesson, PARAMETERS).stats.edge_raw, override(lesson, PARAMETERS).stats.variance) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("state", "there"), [("active", True), ("dormant", True), ("candidate", False), ("retired", False), ("disabled", False)]
)  # fmt: skip
def test_only_what_lives_is_published(state: LessonState, there: bool) -> None:
    assert len(published(a_lesson(state=state)).pattern_strength_overrides) == there


def test_a_lesson_without_levers_says_nothing() -> None:
    assert published(msgspec.structs.replace(a_lesson(), levers={})).pattern_strength_overrides == ()


def test_each_type_stands_in_its_list() -> None:
    pm, dm = published(a_lesson("pm")), published(a_lesson("dm"), module="dm")
    assert [len(pm.pattern_strength_overrides), len(pm.alloc_overrides)] == [1, 0]
    assert [len(dm.pattern_strength_overrides), len(dm.alloc_overrides)] == [0, 1]
    validate(pm)
    validate(dm)


def a_tuning(lever: str, value: float, **fields: object) -> Lesson:
    lesson, _ = nominated(
        "pm_tuning", "pm", "pm.up.S1.a|entry", {}, some_evidence(), epoch_at_ms=START_MS, ordinal=1, lever=lever
    )
    return msgspec.structs.replace(lesson, **({"levers": {lever: value}, "state": "active"} | fields))


def test_a_bound_on_any_signal_says_on_which() -> None:
    lever = "signal_thresholds.wait_for_signal"
    waiting = a_tuning(lever, 0.6, lever_signal="DX", lever_basis="signal", lever_neutral=0.25)
    (found,) = published(a_tuning("entry_delay_bars", 1.0), waiting).pattern_overrides
    assert found.levers == {"entry_delay_bars": 1.0, lever: 0.6}
    assert found.signals == {lever: "DX"}
    assert (
        published(waiting).content_hash != published(msgspec.structs.replace(waiting, lever_signal="TS")).content_hash
    )
    (delayed,) = published(a_tuning("entry_delay_bars", 1.0)).pattern_overrides
    assert "signals" not in msgspec.to_builtins(delayed), "a snapshot without such a bound is as it always was"


@pytest.mark.parametrize(("version", "parent"), [(1, None), (2, 1), (9, 8)])
def test_a_snapshot_knows_its_parent(version: int, parent: int | None) -> None:
    assert published(version=version).parent_version == parent


def test_the_hash_is_over_what_is_applied() -> None:
    plain = published(a_lesson()).content_hash
    assert published(a_lesson(), version=7).content_hash == plain
    assert published(a_lesson(), epoch_at_ms=START_MS + 1).content_hash != plain
    assert published(msgspec.structs.replace(a_lesson(), levers={"size_mult": 1.1 + 1e-9})).content_hash != plain
    assert published(a_lesson(), a_lesson(name="mid")).content_hash != plain


def test_levers_of_one_place_are_one_override_of_the_oldest_lesson_and_the_least_strength() -> None:
    weak = some_evidence(shrunk_rr=0.02)
    one, other, elsewhere = (
        msgspec.structs.replace(
            nominated("pm_tuning", "pm", "pm.up.S1.a|entry", scope, evidence, epoch_at_ms=at_ms, ordinal=1, lever=lever)[0],
            levers={lever: value}, state="active",
        )
        for scope, evidence, at_ms, lever, value in (
            ({}, weak, START_MS + 1, "entry_delay_bars", 1.5),
            ({}, some_evidence(), START_MS, "phase1_frac_mult", 1.2),
            ({"bucket": "nano"}, some_evidence(), START_MS, "phase1_frac_mult", 0.9),
        )
    )  # fmt: skip
    found = published(one, other, elsewhere)
    validate(found)
    together = next(o for o in found.pattern_overrides if not o.scope)
    assert together.levers == {"entry_delay_bars": 1.5, "phase1_frac_mult": 1.2}
    assert (together.lesson.id, together.lesson.strength) == (other.id, confidence(weak))
    assert len(found.pattern_overrides) == 2
