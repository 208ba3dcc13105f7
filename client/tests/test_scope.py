"""Scope: bits for ever, vocabularies kept, order and hash the same for everybody."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadConfig, BadInput
from leverloop.patterns import MODULES, Module
from leverloop.scope import DEFAULT_SCHEMA, scope_hash

from .strategies import scopes

# Spec section 3: the bits are stored, so they are written out here once more.
BITS = {
    "macro_phase": 0, "meso_phase": 1, "micro_phase": 2, "bucket_leader": 3, "bucket_rank_position": 4,
    "market_family": 5, "bucket": 6, "timeframe": 7, "A_mode": 8, "E_mode": 9, "curator": 10, "chain": 11,
    "mcap_bucket": 12, "vol_bucket": 13, "age_bucket": 14, "intent": 15, "mapping_confidence": 16,
    "mcap_vol_ratio_bucket": 17,
}  # fmt: skip


values = (
    st.sampled_from(["micro", "mikro", "Dip", "1m", "", "Unknown", "x" * 65, "a\n", None, True, False, 1.0, [1], {}])
    | st.integers(-1, 8)
    | st.text(max_size=3)
)


@given(
    scopes("dm").flatmap(lambda scope: st.just(scope) | st.dictionaries(st.sampled_from([*BITS, "x"]), values)),
    st.sampled_from(MODULES),
)
def test_what_is_ignored_is_known_without_normalising(scope: dict[str, Any], module: Module) -> None:
    def said(ask: Callable[[], tuple[str, ...]]) -> tuple[str, ...] | str:
        try:
            return ask()
        except BadInput as refused:
            return str(refused)

    fast, slow = (lambda: DEFAULT_SCHEMA.ignored(scope, module)), (lambda: DEFAULT_SCHEMA.normalise(scope, module)[1])
    assert said(fast) == said(slow)


def test_bits_are_for_ever() -> None:
    assert {d.name: d.bit for d in DEFAULT_SCHEMA.dimensions} == BITS


def test_a_pm_has_ten_dimensions_and_a_dm_fourteen() -> None:
    pm, dm = DEFAULT_SCHEMA.modules["pm"], DEFAULT_SCHEMA.modules["dm"]
    assert pm.dimensions == tuple(list(BITS)[:10])
    assert dm.dimensions == tuple(name for name, bit in BITS.items() if bit in {0, 1, 2, 3, 4, 6} or bit >= 10)
    assert (pm.max_dims, dm.max_dims, len(dm.dimensions)) == (10, 4, 14)
    assert (pm.segment, dm.segment) == (("bucket", "timeframe"), ("bucket", "chain"))


@given(scopes("pm") | scopes("dm"))
def test_normalising_twice_changes_nothing(scope: dict[str, Any]) -> None:
    module = "dm" if set(scope) - set(DEFAULT_SCHEMA.modules["pm"].dimensions) else "pm"
    normal, ignored = DEFAULT_SCHEMA.normalise(scope, module)  # type: ignore[arg-type]
    assert normal == scope
    assert ignored == ()
    assert DEFAULT_SCHEMA.mask(normal) == sum(1 << BITS[name] for name in scope)


@given(scopes("pm"), st.randoms())
def test_the_order_of_dimensions_never_matters(scope: dict[str, Any], random: Any) -> None:
    shuffled = list(scope.items())
    random.shuffle(shuffled)
    assert list(DEFAULT_SCHEMA.normalise(dict(shuffled), "pm")[0]) == sorted(scope, key=lambda name: BITS[name])
    assert scope_hash(dict(shuffled)) == scope_hash(scope)


@given(scopes("pm", min_size=1), scopes("pm", min_size=1))
def test_different_scopes_have_different_hashes(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (scope_hash(one) == scope_hash(other)) == (one == other)


def test_values_are_typed() -> None:
    assert scope_hash({"bucket_rank_position": 1}) != scope_hash({"bucket_rank_position": "1"})


@pytest.mark.parametrize("missing", [None, "", "Unknown", "unknown"])
def test_a_missing_dimension_forms_no_bit(missing: Any) -> None:
    assert DEFAULT_SCHEMA.normalise({"bucket": missing, "timeframe": "1h"}, "pm")[0] == {"timeframe": "1h"}


def test_what_the_schema_does_not_know_is_ignored_and_told() -> None:
    scope, ignored = DEFAULT_SCHEMA.normalise({"weather": [1], "chain": "sol", "bucket": "xl"}, "pm")
    assert (scope, ignored) == ({"bucket": "xl"}, ("chain", "weather"))


@pytest.mark.parametrize("value", ["x" * 65, "a\x00b", "a\n", 7, ["sol"], {"sol": 1}, True])
def test_free_text_is_short_text_without_control_characters(value: Any) -> None:
    with pytest.raises(BadInput, match=r"scope\.chain: expected") as refused:
        DEFAULT_SCHEMA.normalise({"chain": value}, "dm")
    assert refused.value.field == "scope.chain"
    assert DEFAULT_SCHEMA.normalise({"chain": "x" * 64}, "dm")[0] == {"chain": "x" * 64}


def _document() -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(DEFAULT_SCHEMA))
    return document


def _load(folder: Path, document: Any) -> Any:
    path = folder / "scope.json"
    path.write_bytes(msgspec.json.encode(document))
    return type(DEFAULT_SCHEMA).load(path)


def test_the_defaults_can_be_written_to_a_file_and_read(tmp_path: Path) -> None:
    assert _load(tmp_path, _document()) == DEFAULT_SCHEMA


def test_a_user_adds_dimensions_at_free_bits(tmp_path: Path) -> None:
    document = _document()
    document["dimensions"].append({"bit": 18, "name": "venue", "modules": ["pm"]})
    document["modules"]["pm"]["dimensions"].append("venue")
    schema = _load(tmp_path, document)
    scope, ignored = schema.normalise({"venue": "binance", "bucket": "xl"}, "pm")
    assert (list(scope.items()), ignored) == ([("bucket", "xl"), ("venue", "binance")], ())
    assert schema.mask(scope) == 1 << 6 | 1 << 18
    assert scope_hash(scope) == scope_hash({"bucket": "xl", "venue": "binance"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["dimensions"].append({"bit": 17, "name": "venue", "modules": ["pm"]}), "given twice"),
        (lambda d: d["dimensions"].append({"bit": 31, "name": "venue", "modules": ["pm"]}), "bits run from 0 to 30"),
        (lambda d: d["dimensions"][0].update(bit=18), "macro_phase must stay at bit 0"),
        (lambda d: d["modules"]["pm"].update(segment=["bucket", "venue"]), r"unknown dimensions \['venue'\]"),
        (lambda d: d.update(surprise=1), "unknown field"),
    ],
)
def test_a_schema_that_cannot_be_worked_with_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    document = _document()
    change(document)
    with pytest.raises(BadConfig, match=message):
        _load(tmp_path, document)


def test_a_schema_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"nowhere\.json"):
        type(DEFAULT_SCHEMA).load(tmp_path / "nowhere.json")
