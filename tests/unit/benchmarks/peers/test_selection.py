import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.observations import Subsets
from benchmarks.peers.selection import METHODS, simplest

values = st.dictionaries(st.sampled_from("abc"), st.integers(1, 2), min_size=1, max_size=2)
subset = st.tuples(st.integers(0, 1), values, st.sampled_from([-1.0, 1.0]), st.booleans())


@given(st.lists(subset, max_size=12))
def test_what_goes_refines_what_stays_and_what_stays_refines_nothing(subsets: list) -> None:
    group = np.array([s[0] for s in subsets], dtype=np.int64)
    scope = [s[1] for s in subsets]
    sign = np.array([s[2] for s in subsets])
    kept = np.array([s[3] for s in subsets], dtype=np.bool_)
    left = simplest(kept, group, scope, sign)
    assert not (left & ~kept).any()
    for i in np.flatnonzero(kept):
        refined = [
            j for j in np.flatnonzero(left)
            if group[j] == group[i] and sign[j] == sign[i] and scope[j].items() < scope[i].items()
        ]  # fmt: skip
        assert bool(refined) != left[i]


def test_false_discovery_rates_by_hand() -> None:
    # Of 4 tests Benjamini-Hochberg allows the i-th smallest p to be i * 0.0125; Benjamini-Yekutieli 1 / 2.083 of it.
    found = Subsets(
        group=np.arange(4),
        scope=[{"bucket": "nano"}] * 4,
        n=np.array([40, 40, 40, 40]),
        effect_rr=np.array([1.0, -1.0, 1.0, 1.0]),
        p_days=np.array([0.011, 0.026, 0.04, 0.0059]),
    )
    by_name = {name: method([], found).tolist() for name, method in METHODS.items() if not name.startswith("t-test")}
    assert by_name["every subset with n >= 33"] == [True] * 4
    assert by_name["Benjamini-Hochberg, day clusters, simplest scope"] == [True, True, True, True]
    assert by_name["Benjamini-Yekutieli, day clusters, simplest scope"] == [True, False, False, True]
