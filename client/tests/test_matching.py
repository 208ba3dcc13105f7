"""The index: the same matches whether groups share their vocabulary or not, and tables that stay small."""

import pytest

from leverloop.matching import index
from leverloop.snapshot import override_id
from leverloop.testing import make_override

BUCKETS = ("micro", "mid")


@pytest.mark.parametrize(("groups_count", "shared"), [(100, True), (1_000, False)])
def test_groups_of_many_free_texts_have_tables_of_their_own(groups_count: int, shared: bool) -> None:
    """Two overrides a group, each with a curator of its own, and one that asks for the bucket alone."""
    found = [
        make_override({"size_mult": 1.1}, scope, pattern_key=f"pm.uptrend.S1.motif{group}")
        for group in range(groups_count)
        for scope in (
            {"bucket": "micro", "curator": f"curator {group}/0"},
            {"bucket": "mid", "curator": f"curator {group}/1"},
            {"bucket": "micro"},
        )
    ]
    groups = index({override_id(override): override for override in found}, "blended")
    assert len(groups) == groups_count
    assert (len({id(group.vocabulary) for group in groups.values()}) == 1) == shared
    assert sum(len(group.passing) for group in groups.values()) <= 300_000
    for number, group in enumerate(groups.values()):
        for bucket in BUCKETS:
            for curator in (f"curator {number}/0", f"curator {number}/1", "curator 7/0", "nobody", None):
                live = {"bucket": bucket, "curator": curator, "chain": "sol"}
                expected = {
                    override_id(override)
                    for override in found[3 * number : 3 * number + 3]
                    if override.scope.items() <= live.items()
                }
                capital, execution = group.matching(live)
                assert ({match.id for match in capital}, execution) == (expected, [])
