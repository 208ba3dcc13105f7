"""The book: laws that hold for any snapshot, and each reason it can give."""

import random
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from leverloop.book import OverrideBook
from leverloop.errors import BadConfig, InvariantBroken
from leverloop.holdout import DRAWS, draw
from leverloop.levers import LEVERS
from leverloop.resolution import Resolution
from leverloop.snapshot import Flags, Override, Snapshot, override_id
from leverloop.testing import AT_MS, make_override, make_snapshot

from .strategies import KEY, LIVE, flags, ids, matching_scopes, overrides, snapshots

categories = st.sampled_from(["entry", "add", "trim", "exit"])
MICRO = make_override({"size_mult": 1.2}, {"bucket": "micro"})
DELAY = make_override({"entry_delay_bars": 2.0}, {"bucket": "micro"})
replace = msgspec.structs.replace


def resolve(book: OverrideBook, category: Any = "entry", trade_id: str = "t1", **how: Any) -> Resolution:
    return book.resolve(KEY, category, how.pop("scope", LIVE), trade_id, how.pop("at_ms", AT_MS), **how)


def all_in(snapshot: Snapshot, **how: Any) -> OverrideBook:
    """Book that holds nobody out."""
    return OverrideBook(snapshot, holdout_share=0.0, **how)


@given(snapshots(flags=flags), categories, st.randoms(use_true_random=False))
def test_the_order_of_overrides_changes_not_one_bit(snapshot: Snapshot, category: Any, chance: random.Random) -> None:
    strength, tuning = list(snapshot.pattern_strength_overrides), list(snapshot.pattern_overrides)
    chance.shuffle(strength)
    chance.shuffle(tuning)
    shuffled = replace(snapshot, pattern_strength_overrides=tuple(strength), pattern_overrides=tuple(tuning))
    assert resolve(all_in(shuffled), category) == resolve(all_in(snapshot), category)


@given(
    snapshots(flags=flags),
    categories,
    ids,
    st.integers(AT_MS - 10**9, AT_MS + 10**12),
    st.sampled_from(["blended", "strict"]),
)
def test_every_lever_is_within_its_bounds_and_of_its_category(
    snapshot: Snapshot, category: Any, trade_id: str, at_ms: int, profile: Any
) -> None:
    resolution = resolve(OverrideBook(snapshot, profile=profile), category, trade_id, at_ms=at_ms)
    assert resolution.problem is None
    for name, value in resolution.levers.items():
        assert LEVERS[name].holds(value)
        assert category in LEVERS[name].categories


@given(
    snapshots(flags=flags),
    categories,
    ids,
    st.floats(0.0, 1.0),
    st.booleans(),
    st.sampled_from([None, AT_MS, AT_MS + 10**10]),
)
def test_anything_but_a_match_is_neutral(
    snapshot: Snapshot, category: Any, trade_id: str, share: float, killed: bool, now_ms: int | None
) -> None:
    book = OverrideBook(snapshot, holdout_share=share, killed=killed)
    resolution = resolve(book, category, trade_id, now_ms=now_ms)
    if resolution.reason != "MATCHED":
        assert resolution.levers == {}
        assert all(
            resolution.lever(name, knob=0.5) == (lever.neutral if lever.neutral is not None else 0.5)
            for name, lever in LEVERS.items()
        )
    assert (resolution.arm, resolution.propensity) == {
        "MATCHED": ("treated", 1.0 - share),
        "HOLDOUT": ("holdout", share),
    }.get(resolution.reason, ("none", 1.0))
    assert resolution.snapshot_version == snapshot.version


strength = {"kinds": ("pm_strength",), "category": "entry", "scopes": matching_scopes}


@given(snapshots(**strength))
def test_the_blend_lies_between_the_smallest_and_the_largest_matched_lever(snapshot: Snapshot) -> None:
    resolution = resolve(all_in(snapshot))
    weights = resolution.weights
    for name, value in resolution.levers.items():
        matched = [
            o.levers[name] for o in snapshot.overrides() if name in o.levers and weights.get(override_id(o), 0.0) > 0.0
        ]
        assert min(matched) <= value <= max(matched)


@given(snapshots(**strength))
def test_what_is_reported_is_what_matched_and_what_moved(snapshot: Snapshot) -> None:
    resolution = resolve(all_in(snapshot))
    enabled = {override_id(o): o for o in snapshot.overrides() if o.lesson.enabled}
    assert set(resolution.weights) == set(enabled)
    moved = {name for told in resolution.overrides for name in told.levers}
    assert moved == set(resolution.levers)
    for told in resolution.overrides:
        assert told.levers == (enabled[told.id].levers if told.weight > 0.0 else {})


@given(st.lists(overrides(category="entry"), max_size=12, unique_by=override_id), st.sampled_from(sorted(LIVE)))
def test_matches_are_the_enabled_overrides_whose_scope_is_a_subset(found: list[Override], missing: str) -> None:
    scope = {name: value for name, value in LIVE.items() if name != missing}
    resolution = resolve(all_in(make_snapshot(*found)), scope=scope)
    expected = {override_id(o) for o in found if o.lesson.enabled and o.scope.items() <= scope.items()}
    assert set(resolution.weights) == expected
    assert resolution.reason == ("MATCHED" if expected else "NO_MATCH")


@given(
    st.lists(
        overrides(kinds=("pm_tuning",), category="trim", scopes=matching_scopes),
        min_size=1,
        max_size=10,
        unique_by=override_id,
    )
)
def test_an_execution_lever_is_that_of_the_most_specific_match_that_is_strong_enough(found: list[Override]) -> None:
    resolution = resolve(all_in(make_snapshot(*found)), "trim")
    for name in {name for o in found for name in o.levers}:
        strong = [o for o in found if o.lesson.enabled and o.lesson.strength >= 0.2 and name in o.levers]
        if not strong:
            assert name not in resolution.levers
        else:
            most = max(len(o.scope) for o in strong)
            assert resolution.levers[name] in {o.levers[name] for o in strong if len(o.scope) == most}


def test_ties_of_execution_levers_go_to_the_larger_weight_then_to_the_smaller_id() -> None:
    weak = make_override({"entry_delay_bars": 1.0}, {"bucket": "micro"}, n=20)
    heavy = make_override({"entry_delay_bars": 3.0}, {"timeframe": "1h"}, n=200)
    assert resolve(all_in(make_snapshot(weak, heavy))).levers == {"entry_delay_bars": 3.0}
    same = make_override({"entry_delay_bars": 4.0}, {"macro_phase": "Dip"}, n=200)
    first = min((heavy, same), key=override_id)
    assert resolve(all_in(make_snapshot(weak, heavy, same))).levers == first.levers


def test_execution_levers_of_one_action_may_come_from_several_lessons() -> None:
    broad = make_override({"entry_delay_bars": 1.0, "phase1_frac_mult": 0.8}, {"bucket": "micro"})
    narrow = make_override({"entry_delay_bars": 3.0}, {"bucket": "micro", "timeframe": "1h"})
    resolution = resolve(all_in(make_snapshot(broad, narrow)))
    assert resolution.levers == {"entry_delay_bars": 3.0, "phase1_frac_mult": 0.8}
    told = {o.id: (o.weight, o.levers) for o in resolution.overrides}
    assert told == {
        override_id(broad): (1.0, {"phase1_frac_mult": 0.8}),
        override_id(narrow): (1.0, {"entry_delay_bars": 3.0}),
    }


@pytest.mark.parametrize(("strength", "levers"), [(0.2, {"entry_delay_bars": 2.0}), (0.19, {})])
def test_a_weak_lesson_moves_no_execution_lever(strength: float, levers: dict[str, float]) -> None:
    override = make_override({"entry_delay_bars": 2.0}, {"bucket": "micro"}, strength=strength)
    resolution = resolve(all_in(make_snapshot(override)))
    assert (resolution.reason, resolution.levers) == ("MATCHED", levers)
    assert resolution.weights == {override_id(override): float(bool(levers))}


def test_values_are_typed() -> None:
    override = make_override({"size_mult": 1.2}, {"bucket_rank_position": 2})
    book = all_in(make_snapshot(override))
    assert resolve(book, scope={"bucket_rank_position": 2}).reason == "MATCHED"
    assert resolve(book, scope={"bucket_rank_position": "2"}).reason == "NO_MATCH"


@pytest.mark.parametrize("key", [KEY, "uptrend.S1.buy_flag", "module=pm|pattern_key=uptrend.S1.buy_flag"])
def test_a_key_may_be_spelt_as_in_an_event(key: str) -> None:
    book = all_in(make_snapshot(MICRO))
    assert book.resolve(key, "entry", LIVE, "t1", AT_MS).levers == {"size_mult": 1.2}


REASONS: dict[str, tuple[OverrideBook, dict[str, Any]]] = {
    "MATCHED": (all_in(make_snapshot(MICRO)), {}),
    "NO_MATCH": (all_in(make_snapshot(MICRO)), {"scope": {"bucket": "xl"}}),
    "HOLDOUT": (OverrideBook(make_snapshot(MICRO), holdout_share=1.0), {}),
    "DISABLED": (all_in(make_snapshot(MICRO, flags=Flags(learning_overrides_enabled=False))), {}),
    "REGIME_DISABLED": (all_in(make_snapshot(MICRO, flags=Flags(learning_overrides_enabled_regimes=("Good",)))), {}),
    "BUCKET_DISABLED": (all_in(make_snapshot(MICRO, flags=Flags(learning_overrides_enabled_buckets=("xl",)))), {}),
    "KILLED": (all_in(make_snapshot(MICRO), killed=True), {}),
    "STALE": (all_in(make_snapshot(MICRO, valid_until_ms=AT_MS)), {"now_ms": AT_MS + 1}),
    "NOT_READY": (OverrideBook.empty(), {}),
    "ERROR": (all_in(make_snapshot(MICRO)), {"scope": {"bucket": ["micro"]}}),
}


@pytest.mark.parametrize(("reason", "case"), REASONS.items(), ids=REASONS)
def test_every_reason_can_be_had(reason: str, case: tuple[OverrideBook, dict[str, Any]]) -> None:
    book, how = case
    resolution = resolve(book, **how)
    assert resolution.reason == reason
    assert (resolution.levers == {"size_mult": 1.2}) == (reason == "MATCHED")
    assert resolution.decision().reason == reason


def test_a_snapshot_stands_until_its_time_and_a_replay_has_no_clock() -> None:
    book, _ = REASONS["STALE"]
    assert resolve(book, now_ms=AT_MS).reason == "MATCHED"
    assert resolve(book).reason == "MATCHED"


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"category": "E1"}, "BadInput: action_category: expected one of entry, add"),
        ({"scope": None}, "AttributeError"),
        ({"at_ms": "now"}, "TypeError"),
        ({"trade_id": 7}, "AttributeError"),
    ],
)
def test_what_fails_is_neutral_and_says_why(how: dict[str, Any], problem: str) -> None:
    resolution = resolve(all_in(make_snapshot(MICRO)), **how)
    assert (resolution.reason, resolution.levers) == ("ERROR", {})
    assert problem in str(resolution.problem)


def test_a_key_that_is_none_is_an_error_and_not_just_no_match() -> None:
    resolution = all_in(make_snapshot(MICRO)).resolve("buy the dip", "entry", LIVE, "t1", AT_MS)
    assert (resolution.reason, resolution.levers) == ("ERROR", {})


def test_a_disabled_lesson_never_matches() -> None:
    off = make_override({"size_mult": 0.8}, {"timeframe": "1h"}, enabled=False)
    assert resolve(all_in(make_snapshot(MICRO, off))).levers == {"size_mult": 1.2}
    assert resolve(all_in(make_snapshot(off))).reason == "NO_MATCH"


@pytest.mark.parametrize(
    ("switches", "scope", "levers"),
    [
        (Flags(capital_levers_enabled=False), LIVE, {"entry_delay_bars": 2.0}),
        (Flags(execution_levers_enabled=False), LIVE, {"size_mult": 1.2}),
        (Flags(capital_levers_enabled_regimes=("Chop",)), LIVE, {"entry_delay_bars": 2.0}),
        (Flags(execution_levers_enabled_buckets=("xl", "mid")), LIVE, {"size_mult": 1.2}),
        (Flags(learning_overrides_enabled_regimes=("Dip",)), LIVE, {"size_mult": 1.2, "entry_delay_bars": 2.0}),
        (Flags(learning_overrides_enabled_regimes=("Dip",)), {"bucket": "micro"}, {}),
        (Flags(learning_overrides_enabled_regimes=("Dip",)), {"bucket": "micro", "macro_phase": "Unknown"}, {}),
    ],
)
def test_flags_hold_for_each_kind_and_leave_out_a_scope_without_the_dimension(
    switches: Flags, scope: dict[str, Any], levers: dict[str, float]
) -> None:
    assert resolve(all_in(make_snapshot(MICRO, DELAY, flags=switches)), scope=scope).levers == levers


def test_a_kind_that_is_switched_off_is_the_reason_where_it_alone_would_have_matched() -> None:
    book = all_in(make_snapshot(MICRO, flags=Flags(capital_levers_enabled=False)))
    assert resolve(book).reason == "DISABLED"
    assert resolve(book, scope={"bucket": "xl"}).reason == "NO_MATCH"


@given(ids, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_larger_holdout_only_adds_trades(trade_id: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    snapshot = make_snapshot(MICRO)
    if resolve(OverrideBook(snapshot, holdout_share=small), trade_id=trade_id).reason == "HOLDOUT":
        assert resolve(OverrideBook(snapshot, holdout_share=large), trade_id=trade_id).reason == "HOLDOUT"


def test_the_holdout_has_its_share_and_does_not_follow_the_partitions() -> None:
    draws = [draw(f"t{i:06d}") / DRAWS for i in range(20_000)]
    assert abs(sum(u < 0.05 for u in draws) / 20_000 - 0.05) < 4 * (0.05 * 0.95 / 20_000) ** 0.5
    assert abs(sum(draws) / 20_000 - 0.5) < 4 * (1 / 12 / 20_000) ** 0.5


def test_the_draw_of_a_trade_is_for_ever() -> None:
    assert f"{draw('t000001'):016x}" == "60667b615a56a676"
    assert f"{draw('Ünïcode'):016x}" == "61b4e7918b7fe4d3"


def test_all_actions_of_a_trade_are_in_one_arm() -> None:
    book = OverrideBook(
        make_snapshot(MICRO, make_override({"size_mult": 1.1}, {"bucket": "micro"}, action_category="add")),
        holdout_share=0.5,
    )
    for i in range(50):
        assert resolve(book, "entry", f"t{i}").arm == resolve(book, "add", f"t{i}").arm


def test_the_holdout_knows_what_it_was_spared() -> None:
    snapshot = make_snapshot(MICRO, DELAY)
    held_out, treated = resolve(OverrideBook(snapshot, holdout_share=1.0)), resolve(all_in(snapshot))
    assert held_out.overrides == treated.overrides
    assert len(held_out.overrides) == 2
    assert held_out.decision().after == {}
    assert treated.decision().after == {"size_mult": 1.2, "entry_delay_bars": 2.0}
    assert treated.decision().before == {"size_mult": 1.0, "entry_delay_bars": 0.0}


def test_a_decision_maker_has_its_own_lever() -> None:
    override = make_override(
        {"alloc_mult": 0.8}, {"chain": "sol"}, pattern_key="dm.curator.x.y", action_category="allocation"
    )
    book = all_in(make_snapshot(override, module="dm"))
    assert book.resolve("curator.x.y", "allocation", {"chain": "sol"}, "t1", AT_MS).levers == {"alloc_mult": 0.8}


def test_threads_may_share_a_book() -> None:
    snapshot = make_snapshot(MICRO, DELAY, make_override({"size_mult": 0.9}, {"timeframe": "1h"}))
    book, expected = all_in(snapshot), resolve(all_in(snapshot))
    wrong: list[Resolution] = []
    start = threading.Barrier(4)

    def ask() -> None:
        start.wait()
        wrong.extend(found for _ in range(500) if (found := resolve(book)) != expected)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_neither_an_answer_nor_the_snapshot_can_be_used_to_change_the_book() -> None:
    snapshot = make_snapshot(MICRO, DELAY)
    book = all_in(snapshot)
    first = resolve(book)
    spoilt = [first.levers, *(o.levers for o in first.overrides), *(o.levers for o in snapshot.overrides())]
    for levers in spoilt:
        levers.update(dict.fromkeys(levers, 99.0))
    assert resolve(book).levers == {"size_mult": 1.2, "entry_delay_bars": 2.0}
    assert [o.levers for o in resolve(book).overrides] == [{"size_mult": 1.2}, {"entry_delay_bars": 2.0}]


def test_overrides_of_a_factor_share_their_weight() -> None:
    scopes: list[dict[str, Any]] = [{"bucket": "micro"}, {"timeframe": "1h"}]
    apart = [make_override({"size_mult": 1.2}, scope) for scope in scopes]
    together = [make_override({"size_mult": 1.2}, scope, factor_id="f") for scope in scopes]
    (w, same) = resolve(all_in(make_snapshot(*apart))).weights.values()
    assert w == same
    assert list(resolve(all_in(make_snapshot(*together))).weights.values()) == pytest.approx(
        [(w + 0.02) / 2 - 0.02] * 2
    )


@pytest.mark.parametrize(
    "override",
    [
        replace(MICRO, levers={"size_mult": 1.5}),
        replace(MICRO, levers={"size_mult": float("nan")}),
        replace(MICRO, levers={"leverage": 1.0}),
        replace(MICRO, scope={}),
        replace(MICRO, stats=replace(MICRO.stats, edge_raw=float("nan"))),
        replace(MICRO, stats=replace(MICRO.stats, half_life_days=0.0)),
    ],
)
def test_a_book_is_not_made_of_what_no_publisher_may_announce(override: Override) -> None:
    with pytest.raises(InvariantBroken):
        OverrideBook(replace(make_snapshot(), pattern_strength_overrides=(override,)))


@pytest.mark.parametrize("how", [{"profile": "loose"}, {"holdout_share": -0.1}, {"holdout_share": float("nan")}])
def test_a_book_is_not_made_of_what_cannot_be_configured(how: dict[str, Any]) -> None:
    with pytest.raises(BadConfig, match="expected"):
        OverrideBook(make_snapshot(), **how)


@given(snapshots(**strength), st.integers(0, 10**11))
def test_evidence_from_the_future_is_fresh_and_no_more(snapshot: Snapshot, earlier_ms: int) -> None:
    newest = max([o.stats.updated_at_ms for o in snapshot.overrides()], default=AT_MS)
    oldest = min([o.stats.updated_at_ms for o in snapshot.overrides()], default=AT_MS)
    assume(oldest - earlier_ms > 0)
    book = all_in(snapshot)
    assert resolve(book, at_ms=oldest - earlier_ms) == resolve(book, at_ms=oldest)
    assert newest >= oldest
