"""What Hypothesis draws for the core: evidence of every kind."""

from hypothesis import strategies as st

from learning.evidence import shrunk
from learning.lessons import Evidence, Forward
from tests.laws.examples import START_MS, some_evidence, some_stats

wild = st.floats(-1e9, 1e9) | st.floats(-3, 3) | st.just(0.0)
positive = st.floats(0, 1e9) | st.floats(0, 2)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Any evidence that the search can come to: finite, and nothing else is sure."""
    effect, error = draw(wild), draw(positive)
    n = draw(st.integers(1, 10**6))
    stats = some_stats(
        n=n,
        n_actions=n + draw(st.integers(0, 100)),
        variance=draw(st.none() | positive),
        delta_rr=draw(wild),
        edge_raw=draw(st.none() | wild),
        effect_rr=draw(st.none() | wild),
        last_closed_at_ms=START_MS - draw(st.integers(0, 10**10)),
    )
    return some_evidence(
        stats,
        effect_rr=effect,
        error_rr=error,
        shrunk_rr=shrunk(effect, error),
        p_value=draw(st.floats(0, 1)),
        n_clusters=draw(st.integers(1, 1000)),
        forward=draw(st.just(Forward()) | forwards()),
    )


@st.composite
def forwards(draw: st.DrawFn) -> Forward:
    """Any forward test."""
    n = draw(st.integers(1, 10**5))
    return Forward(n=n, n_clusters=draw(st.integers(1, 1000)), effect_rr=draw(wild), error_rr=draw(positive))
