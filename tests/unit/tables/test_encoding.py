"""Encoding: a version byte and MessagePack; see tests/contract for the values of real tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import InvariantBroken
from tables.encoding import Encoding

NUMBERS = Encoding(3, dict[str, int])


@given(st.dictionaries(st.text(), st.integers(-(2**63), 2**63 - 1)))
def test_decode_of_encode_is_the_value(value: dict[str, int]) -> None:
    assert NUMBERS.decode(NUMBERS.encode(value)) == value
    assert NUMBERS.encode(value)[:1] == b"\x03"


@given(st.dictionaries(st.text(), st.integers(0, 9), min_size=2), st.randoms(use_true_random=False))
def test_the_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, int], random: object) -> None:
    names = list(value)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert NUMBERS.encode({name: value[name] for name in names}) == NUMBERS.encode(value)


@pytest.mark.parametrize("damaged", [b"\x03", b"\x03\x81", b"\x03\x81\xa1\xff\x01", b"\x03\x90", b"\x03\x80\x00"])
def test_damage_of_every_kind_is_an_invariant_broken(damaged: bytes) -> None:
    with pytest.raises(InvariantBroken, match="a damaged value in the table"):
        NUMBERS.decode(damaged)


@pytest.mark.parametrize("version", [0, 2, 4])
def test_another_version_names_both(version: int) -> None:
    with pytest.raises(InvariantBroken, match=f"version 0{version} in the table, this engine reads 03"):
        NUMBERS.decode(bytes([version, 0x80]))
