"""Snapshots: they come back as they were, and what must never be applied is refused by name."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.snapshot import (
    Override,
    Snapshot,
    content_hash,
    decode_snapshot,
    encode_snapshot,
    override_id,
    sealed,
    validate,
)
from leverloop.testing import make_override, make_snapshot

from .strategies import flags, snapshots

MICRO = make_override({"size_mult": 1.2}, {"bucket": "micro"})
TUNING = make_override({"entry_delay_bars": 2.0}, {"bucket": "micro"})
replace = msgspec.structs.replace


@given(snapshots(flags=flags))
def test_a_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


@given(snapshots(), st.randoms())
def test_the_hash_does_not_depend_on_the_order_of_overrides(snapshot: Snapshot, random: Any) -> None:
    shuffled = list(snapshot.pattern_strength_overrides)
    random.shuffle(shuffled)
    assert content_hash(replace(snapshot, pattern_strength_overrides=tuple(shuffled))) == snapshot.content_hash


@pytest.mark.parametrize(
    "change",
    [
        {"epoch_at_ms": 1},
        {"config_hash": "other"},
        {"flags": msgspec.convert({"learning_overrides_enabled": False}, type(make_snapshot().flags))},
        {"coefficients": {"chain": {"sol": 1.1}}},
        {"pattern_strength_overrides": ()},
        {"pattern_strength_overrides": (make_override({"size_mult": 1.21}, {"bucket": "micro"}),)},
    ],
)
def test_the_hash_covers_what_is_applied(change: dict[str, Any]) -> None:
    snapshot = make_snapshot(MICRO)
    assert content_hash(replace(snapshot, **change)) != snapshot.content_hash


@pytest.mark.parametrize("change", [{"version": 9}, {"published_at_ms": 9}, {"valid_until_ms": 9}])
def test_the_hash_leaves_out_when_it_was_published(change: dict[str, Any]) -> None:
    snapshot = make_snapshot(MICRO)
    assert content_hash(replace(snapshot, **change)) == snapshot.content_hash


def test_whole_numbers_survive_the_seal() -> None:
    snapshot = make_snapshot(make_override({"size_mult": 1, "entry_aggression_mult": 1}, {"bucket": "micro"}))
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def _broken(override: Override, **changes: Any) -> Override:
    return replace(override, **changes)


REFUSED: list[tuple[str, Snapshot, str]] = [
    ("a lever above its bound", make_snapshot(_broken(MICRO, levers={"size_mult": 1.31})), r"number in 0\.7\.\.1\.3"),
    ("a lever below its bound", make_snapshot(_broken(MICRO, levers={"size_mult": 0.69})), r"number in 0\.7\.\.1\.3"),
    ("a lever nobody knows", make_snapshot(_broken(MICRO, levers={"leverage": 2.0})), "a lever of pm_strength"),
    (
        "an execution lever among capital",
        make_snapshot(_broken(MICRO, levers={"entry_delay_bars": 1.0})),
        "a lever of pm_strength",
    ),
    (
        "a lever of another category",
        make_snapshot(_broken(MICRO, levers={"exit_aggression_mult": 1.1})),
        "a category of trim, exit",
    ),
    ("the same key twice", make_snapshot(MICRO, MICRO), "each override once"),
    ("no scope", make_snapshot(_broken(MICRO, scope={})), "at least one dimension"),
    ("a pattern of another module", make_snapshot(MICRO, module="dm"), "a key of module dm"),
    ("a pattern that is not canonical", make_snapshot(_broken(MICRO, pattern_key="uptrend.S1.x")), "a canonical"),
    (
        "an override in the list of another type",
        sealed(replace(make_snapshot(), pattern_overrides=(MICRO,))),
        "the list of pm_strength",
    ),
    ("a hash of something else", replace(make_snapshot(MICRO), config_hash="other"), "content_hash"),
    ("no hash", replace(make_snapshot(MICRO), content_hash=""), "content_hash"),
]


WAITING = make_override({"signal_thresholds.wait_for_signal": 0.6}, {"bucket": "micro"})


def test_a_bound_on_any_signal_says_on_which_and_nothing_else_does() -> None:
    named = replace(WAITING, signals={"signal_thresholds.wait_for_signal": "DX"})
    assert decode_snapshot(encode_snapshot(make_snapshot(named))).pattern_overrides == (named,)
    assert b"signals" not in encode_snapshot(make_snapshot(WAITING)).replace(b"signal_thresholds", b"")
    assert make_snapshot(named).content_hash != make_snapshot(WAITING).content_hash
    for override in (replace(TUNING, signals={"entry_delay_bars": "TS"}), replace(TUNING, signals=named.signals)):
        with pytest.raises(BadInput, match="levers of the override that bound any signal"):
            validate(make_snapshot(override))


@pytest.mark.parametrize(("snapshot", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_must_not_be_applied_is_refused(snapshot: Snapshot, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        validate(snapshot)
    with pytest.raises(BadInput, match=message):
        decode_snapshot(encode_snapshot(snapshot))


@pytest.mark.parametrize("field", ["edge_raw", "variance", "half_life_days"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_of_a_snapshot_may_be_none(field: str, number: float) -> None:
    override = _broken(MICRO, stats=replace(MICRO.stats, **{field: number}))
    with pytest.raises(BadInput, match="snapshot"):
        make_snapshot(override)  # JSON would turn it into null
    with pytest.raises(BadInput, match="a finite number"):
        validate(replace(make_snapshot(), pattern_strength_overrides=(override,)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", -1),
        ("module", "xx"),
        ("schema_version", 2),
        ("valid_until_ms", None),
        ("pattern_strength_overrides", [{}]),
        ("flags", {"learning_overrides_enabled": "yes"}),
    ],
)
def test_bytes_that_are_no_snapshot_are_refused(path: str, value: Any) -> None:
    document = msgspec.json.decode(encode_snapshot(make_snapshot(MICRO))) | {path: value}
    with pytest.raises(BadInput, match="a snapshot of schema version 1"):
        decode_snapshot(msgspec.json.encode(document))


@given(st.binary(max_size=100))
def test_no_bytes_whatever_raise_anything_but_bad_input(raw: bytes) -> None:
    with pytest.raises(BadInput, match="a snapshot"):
        decode_snapshot(raw)


_DEEP = b"[" * 30_000 + b"]" * 30_000
_WHOLE = encode_snapshot(make_snapshot(MICRO))


@pytest.mark.parametrize(
    "raw",
    [
        _WHOLE[:-1] + b',"z_later":' + _DEEP + b"}",
        _WHOLE.replace(b'"scope":{', b'"later":' + _DEEP + b',"scope":{', 1),
        _DEEP,
    ],
    ids=["in the envelope", "in an override", "alone"],
)
def test_a_record_that_is_nested_too_deeply_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInput, match="a snapshot of schema version 1"):
        decode_snapshot(raw)


def test_a_half_life_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="half_life_days"):
        make_snapshot(_broken(MICRO, stats=replace(MICRO.stats, half_life_days=0.0)))


def test_unknown_fields_of_a_newer_publisher_are_ignored() -> None:
    snapshot = make_snapshot(MICRO, TUNING)
    newer = msgspec.json.decode(encode_snapshot(snapshot)) | {"signed_by": "k1"}
    assert decode_snapshot(msgspec.json.encode(newer)) == snapshot


def test_type_pattern_category_and_scope_make_the_id() -> None:
    assert override_id(MICRO) != override_id(TUNING)
    assert override_id(MICRO) == override_id(replace(MICRO, levers={"size_mult": 0.9}))
    assert override_id(MICRO) != override_id(replace(MICRO, scope={"bucket": "mid"}))
    assert override_id(MICRO) != override_id(replace(MICRO, action_category="add"))
