"""Bytes read eight at a time are the bytes."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from learning.octets import are_equal, hash_of, word_at


def buffer(text: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text, dtype=np.uint8)


@given(st.binary(max_size=20), st.binary(min_size=8, max_size=8), st.binary(max_size=20))
def test_a_word_is_eight_bytes_little_endian(before: bytes, word: bytes, behind: bytes) -> None:
    found = word_at(buffer(before + word + behind), np.uint64(len(before)))
    assert int(found) == int.from_bytes(word, "little")


@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(max_size=20), st.data())
def test_equal_bytes_have_equal_hashes_wherever_they_stand(
    part: bytes, before: bytes, behind: bytes, data: st.DataObject
) -> None:
    one, other = buffer(part), buffer(before + part + behind)
    assert hash_of(one, 0, len(part)) == hash_of(other, len(before), len(part)) >= 0
    assert are_equal(one, 0, other, len(before), len(part))
    if part:
        at = data.draw(st.integers(0, len(part) - 1))
        changed = part[:at] + bytes((part[at] ^ data.draw(st.integers(1, 255)),)) + part[at + 1 :]
        assert not are_equal(buffer(before + changed + behind), len(before), one, 0, len(part))


@given(st.sets(st.binary(min_size=1, max_size=24), min_size=100, max_size=200))
def test_hashes_of_different_bytes_differ(parts: set[bytes]) -> None:
    assert len({hash_of(buffer(part), 0, len(part)) for part in parts}) == len(parts)
