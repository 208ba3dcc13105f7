"""How far the book moves sizes: the same over however many partitions, and whatever came too late for the epoch."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from learning.book import Book, close_epoch
from learning.cells import GroupCells
from learning.findings import AcceptedLesson, Decided
from learning.mining import mine
from learning.parameters import Parameters
from leverloop.scope import DEFAULT_SCHEMA
from tests.laws.examples import DAY_MS, EPOCH_MS, HOUR_MS, START_MS, an_outcome

PARAMETERS = Parameters()
NAMES = tuple(f"pm.up.S1.{method}|entry" for method in "abcdef")
AT_MS = START_MS + 3 * DAY_MS
Trade = tuple[str, int, bool]
"""Group, hours from the close to the epoch, and whether it came after the epoch."""

trades = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 36), st.booleans()), max_size=60)
sizes = st.lists(st.floats(0.7, 1.3), min_size=len(NAMES), max_size=len(NAMES))


def closed(found: Iterable[Trade], mults: list[float], where: list[int]) -> Book:
    """Book after an epoch; each group is in a partition of its own choice."""
    partitions: list[dict[str, GroupCells]] = [{} for _ in range(max(where) + 1)]
    for i, (name, hours, is_late) in enumerate(found):
        groups = partitions[where[NAMES.index(name)]]
        cells = groups.setdefault(name, GroupCells(name, "pm", DEFAULT_SCHEMA))
        closed_at_ms = AT_MS - hours * HOUR_MS
        outcome = an_outcome(f"{i}", f"{i}", group=name, closed_at_ms=closed_at_ms)
        cells.put(outcome, AT_MS + EPOCH_MS if is_late else -(-closed_at_ms // EPOCH_MS) * EPOCH_MS)
    lessons = tuple(
        AcceptedLesson(id=name, group=name, scope={"bucket": "micro"}, effect_rr=0.0, size_mult=mult)
        for name, mult in zip(NAMES, mults, strict=True)
    )
    told = Decided(epoch_at_ms=AT_MS - EPOCH_MS, lessons=lessons)
    parts = [
        mine(groups, AT_MS, told, partition=i, parameters=PARAMETERS, schema=DEFAULT_SCHEMA)
        for i, groups in enumerate(partitions)
    ]
    return close_epoch(Book(epoch_at_ms=AT_MS - EPOCH_MS), parts, PARAMETERS)


@given(trades, sizes, st.lists(st.integers(0, 4), min_size=len(NAMES), max_size=len(NAMES)))
def test_neither_partitions_nor_late_rows_change_how_far_sizes_are_scaled_back(
    found: list[Trade], mults: list[float], where: list[int]
) -> None:
    told = closed(found, mults, where).size_scale
    assert told == closed(found, mults, [0] * len(NAMES)).size_scale
    assert told == closed([each for each in found if not each[2]], mults, where).size_scale
    moved = [abs(mults[NAMES.index(name)] - 1.0) for name, hours, is_late in found if hours < 24 and not is_late]
    mean = sum(moved) / len(moved) if moved else 0.0
    assert abs(told * mean - min(mean, PARAMETERS.size_cap)) < 1e-8
