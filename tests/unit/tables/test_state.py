"""What a state gets from its base: many records at once are as many one by one."""

from hypothesis import given
from hypothesis import strategies as st

from tables.state import ChangelogRecord, PartitionState

RECORDS = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.none() | st.binary(min_size=1, max_size=2)), max_size=9)


class Heard(PartitionState):
    def __init__(self) -> None:
        self.records: list[ChangelogRecord] = []

    def __len__(self) -> int:
        return len(self.records)

    def apply(self, key: bytes, value: bytes | None) -> None:
        self.records.append((key, value))


@given(RECORDS, RECORDS)
def test_to_load_is_to_apply_one_by_one_and_leaves_nothing_for_later(
    first: list[ChangelogRecord], second: list[ChangelogRecord]
) -> None:
    state = Heard()
    state.load(first)
    state.load(second)
    state.recovered()
    assert state.records == first + second
