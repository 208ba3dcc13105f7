"""Checksums of many records are those of one."""

from zlib import crc32

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tables.checksums import crc32_of_each


@given(st.lists(st.binary(max_size=70)))
def test_each_checksum_is_that_of_zlib(parts: list[bytes]) -> None:
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    begins = ends - np.array([len(part) for part in parts], dtype=np.int64)
    found = crc32_of_each(np.frombuffer(b"".join(parts), dtype=np.uint8), begins, ends)
    assert found.tolist() == [crc32(part) for part in parts]
