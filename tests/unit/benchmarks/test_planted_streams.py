from hypothesis import given
from hypothesis import strategies as st

from benchmarks.planted_streams import Stream, numbers


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=4))
def test_seeds_are_read_as_they_are_written(ranges: list) -> None:
    text = ",".join(f"{first}-{first + more}" if more else f"{first}" for first, more in ranges)
    assert numbers(text) == [seed for first, more in ranges for seed in range(first, first + more + 1)]


@given(st.integers(0, 99), st.sampled_from([0.0, 0.6, 0.9]), st.booleans())
def test_streams_that_differ_have_folders_that_differ(seed: int, rho: float, null: bool) -> None:
    stream = Stream(seed=seed, shock_rho=rho, null=null)
    others = [Stream(seed=seed + 1, shock_rho=rho, null=null), Stream(seed=seed, shock_rho=rho, null=not null),
              Stream(seed=seed, shock_rho=rho + 0.1, null=null), Stream(seed=seed, shock_rho=rho, null=null, days=20)]  # fmt: skip
    assert stream.name not in {other.name for other in others}
