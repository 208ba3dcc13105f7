"""Latent factors: lessons that are about the same trades count once (spec section 9, v5.3).

Lessons of one module and category may be of different groups, which live in different partitions. So their
sets of trades are compared by sketches: the least few of all trades' mixed hashes. A sketch is small, is the
same in whatever order trades come, and the sketch of a union is made of two sketches.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

__all__ = ["FactorMember", "Sketch", "factors", "jaccard", "merged_sketch", "redundant_with", "shares", "trade_sketch"]

Sketch = tuple[int, ...]
"""Rising, below 2**53 (exact in any reader of JSON); with fewer than `_KEPT` of them, every trade is there."""

_KEPT: Final = 256
"""The error of a similarity J is sqrt(J (1 - J) / 256): 0.029 at 0.7, where it decides. Twice as sure costs 4 times."""
_BITS: Final = 53
_SIMILAR: Final = 0.7
_ROUNDING: Final = 1e-9
"""A similarity of 0.7 sharp is similar, however its complement was rounded."""
_ENDLESS: Final = 2**_BITS


class FactorMember(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson as it is compared with others of its module and category."""

    id: str
    created_at_ms: int
    sketch: Sketch

    @property
    def age(self) -> tuple[int, str]:
        """The oldest first; of equals, the first by name."""
        return self.created_at_ms, self.id


def trade_sketch(trades: npt.NDArray[np.int64]) -> Sketch:
    """Sketch of a set of trades: the 256 least of their mixed hashes, or all if there are fewer.

    Parameters
    ----------
    trades
        (n,) int64 hashes of the trades' ids, in any order, each any number of times.

    Notes
    -----
    Bottom-k sampling (Cohen and Kaplan, PODC 2007). Hashes are mixed by splitmix64 (Steele, Lea and
    Flood, OOPSLA 2014), so that nothing rests on how ids were hashed. Cost: O(n log n).

    Examples
    --------
    >>> sketch = trade_sketch(np.arange(1000))
    >>> len(sketch), len(trade_sketch(np.array([7, 7, 8]))), sketch == trade_sketch(np.arange(1000)[::-1])
    (256, 2, True)
    """
    x = trades.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return tuple(np.unique(x >> np.uint64(64 - _BITS))[:_KEPT].tolist())


def merged_sketch(a: Sketch, b: Sketch) -> Sketch:
    """Sketch of the union of two sets.

    Examples
    --------
    >>> low, high = trade_sketch(np.arange(400)), trade_sketch(np.arange(300, 700))
    >>> merged_sketch(low, high) == trade_sketch(np.arange(700))
    True
    """
    return tuple(sorted({*a, *b})[:_KEPT])


def jaccard(a: Sketch, b: Sketch) -> float:
    """Similarity of two sets of trades, those of both over those of either: exact for less than 256 trades each.

    Notes
    -----
    Of larger sets, the share among the 256 least of the union: unbiased, error sqrt(J (1 - J) / 256). Nothing is
    similar to nothing: 0. Source: spec section 9; Cohen and Kaplan, PODC 2007.

    Examples
    --------
    >>> jaccard(trade_sketch(np.arange(100)), trade_sketch(np.arange(20, 120)))
    0.6666666666666666
    """
    return float(_similarities(_table([a, b]))[0])


def redundant_with(candidate: Sketch, active: Iterable[FactorMember]) -> str | None:
    """Id of the active lesson that a new one repeats, similarity >= 0.7: the most similar one, of equals the oldest.

    Parameters
    ----------
    candidate
        Trades of the new lesson.
    active
        Active lessons of its module and category, itself not among them.

    Notes
    -----
    Source: spec section 9: such a lesson is not activated but recorded as absorbed.

    Examples
    --------
    >>> old = FactorMember(id="old", created_at_ms=1, sketch=trade_sketch(np.arange(100)))
    >>> redundant_with(trade_sketch(np.arange(80)), [old]), redundant_with(trade_sketch(np.arange(60)), [old])
    ('old', None)
    """
    found = [(-jaccard(candidate, other.sketch), *other.age) for other in active]
    best = min(found, default=None)
    return best[2] if best is not None and -best[0] >= _SIMILAR - _ROUNDING else None


def factors(lessons: Iterable[FactorMember], previous: Mapping[str, str]) -> dict[str, str]:
    """Lesson id -> factor id, for the lessons of one module and category.

    Parameters
    ----------
    lessons
        In any order.
    previous
        What this gave the last time: factors keep their ids.

    Notes
    -----
    Average linkage over the Jaccard similarity of the sets of trades, cut at 0.7 (Sokal and Michener, 1958). A new
    factor's id is a hash of its oldest member. A factor keeps its id while any member lives: where it falls apart, with
    its oldest member; where two become one, that of the older is kept. Source: spec section 9. Cost: O(m**2) in m
    lessons, 10 ms for 200.

    Examples
    --------
    >>> lessons = [FactorMember(id=name, created_at_ms=at, sketch=trade_sketch(np.arange(*trades)))
    ...     for name, at, trades in (("a", 1, (0, 100)), ("b", 2, (5, 105)), ("c", 3, (90, 190)))]
    >>> first = factors(lessons, {})
    >>> first["a"] == first["b"] != first["c"]
    True
    >>> factors(lessons[1:], first) == {"b": first["a"], "c": first["c"]}  # the oldest is gone, the factor is not
    True
    """
    members = sorted(lessons, key=lambda lesson: lesson.age)
    cluster = _clusters([member.sketch for member in members])
    id_of: dict[int, str] = {}
    for member, own in zip(members, cluster, strict=True):  # the oldest has the first word
        known = previous.get(member.id)
        if known is not None and own not in id_of and known not in id_of.values():
            id_of[own] = known
    for member, own in zip(members, cluster, strict=True):
        if own not in id_of:
            id_of[own] = _fresh(member.id, set(id_of.values()))
    return {member.id: id_of[own] for member, own in zip(members, cluster, strict=True)}


def shares(factor_of: Mapping[str, str]) -> dict[str, float]:
    """Share of each lesson in the weight of its factor: those of one factor add up to 1.

    Notes
    -----
    Source: spec section 9: within a factor the weights are shared, so that overlapping lessons count once.

    Examples
    --------
    >>> shares({"a": "lf_1", "b": "lf_1", "c": "lf_2"})
    {'a': 0.5, 'b': 0.5, 'c': 1.0}
    """
    members = Counter(factor_of.values())
    return {lesson: 1.0 / members[factor] for lesson, factor in factor_of.items()}


def _clusters(sketches: Sequence[Sketch]) -> list[int]:
    """Cluster of each sketch."""
    if len(sketches) <= 1:
        return list(range(len(sketches)))
    # A fifth of a second that no start has to wait for: factors are found once a week.
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415

    tree = linkage(1.0 - _similarities(_table(sketches)), method="average")
    found: list[int] = fcluster(tree, 1.0 - _SIMILAR + _ROUNDING, criterion="distance").tolist()
    return found


def _fresh(oldest: str, taken: set[str]) -> str:
    """Id of a new factor; another one where a lesson has come back and its old factor lives on without it."""
    for again in range(len(taken) + 1):
        name = f"lf_{hashlib.blake2b(f'{oldest}|{again}'.encode(), digest_size=8).hexdigest()}"
        if name not in taken:
            break
    return name


def _table(sketches: Sequence[Sketch]) -> npt.NDArray[np.int64]:
    """Sketches as rows, filled up with what is no hash: (n, 257)."""
    table = np.full((len(sketches), _KEPT + 1), _ENDLESS, dtype=np.int64)
    for i, sketch in enumerate(sketches):
        table[i, : len(sketch)] = sketch
    return table


@numba.njit(cache=True, nogil=True)
def _similarities(table: Any) -> Any:
    """Similarity of every two rows, in the order of SciPy's condensed distances."""
    n = len(table)
    found = np.zeros(n * (n - 1) // 2)
    k = 0
    for a in range(n):
        for b in range(a + 1, n):
            # With every trade there on both sides the whole union is seen, else what is sure of it.
            whole = table[a, _KEPT - 1] == _ENDLESS and table[b, _KEPT - 1] == _ENDLESS
            most = 2 * _KEPT if whole else _KEPT
            i, j, union, both = 0, 0, 0, 0
            while union < most and (table[a, i] != _ENDLESS or table[b, j] != _ENDLESS):
                least = min(table[a, i], table[b, j])
                in_a, in_b = table[a, i] == least, table[b, j] == least
                i, j = i + in_a, j + in_b
                union, both = union + 1, both + (in_a and in_b)
            found[k] = both / union if union > 0 else 0.0
            k += 1
    return found
