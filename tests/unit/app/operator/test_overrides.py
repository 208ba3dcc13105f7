"""What differs between two versions: lever by lever, and nothing else."""

from app.operator.overrides import changes
from leverloop.testing import make_override, make_snapshot

MICRO, NANO = {"bucket": "micro"}, {"bucket": "nano"}


def test_every_lever_that_differs_is_listed_once() -> None:
    before = make_snapshot(
        make_override({"size_mult": 1.1, "entry_aggression_mult": 1.05}, MICRO), make_override({"size_mult": 0.9}, NANO)
    )
    after = make_snapshot(
        make_override({"size_mult": 1.2, "entry_aggression_mult": 1.05}, MICRO),
        make_override({"size_mult": 1.0}, {"bucket": "mid"}),
    )
    found = {(each.scope["bucket"], each.lever): (each.before, each.after) for each in changes(before, after)}
    assert found == {
        ("micro", "size_mult"): (1.1, 1.2),
        ("nano", "size_mult"): (0.9, None),
        ("mid", "size_mult"): (None, 1.0),
    }
    assert list(changes(before, before)) == []
