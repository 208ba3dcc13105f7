"""Regimes: the signature of a trade's market, and the weights that an edge is given in it (spec section 9, v5.1).

What is read when edges are counted stands here; how weights are learned, in `learning.regime_weights`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.edge import NEUTRAL_WEIGHTS, EdgeWeights
from learning.postings import Inside
from leverloop.scope import ScopeValue

__all__ = [
    "NEUTRAL",
    "REGIME",
    "RegimeWeight",
    "RegimeWeights",
    "category_of",
    "levels",
    "mean_weights",
    "named",
    "regime_codes",
    "signature_of",
    "weights_of_rows",
]

REGIME: Final = (
    ("macro", "macro_phase"),
    ("meso", "meso_phase"),
    ("micro", "micro_phase"),
    ("bucket_rank", "bucket_rank_position"),
)
_PLACES: Final = 1 << np.array([48, 32, 16, 0])


class RegimeWeight(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Weights of one key, with the trades they were learned on. As an array: every decision tells hundreds of them."""

    weights: EdgeWeights
    n_samples: int
    confidence: float
    """Share of its own trades in it, n / (n + 20); the rest is the next level's."""


class RegimeWeights(msgspec.Struct, frozen=True, kw_only=True):
    """Regime weights as of a time."""

    at_ms: int
    of: dict[str, dict[str, RegimeWeight]] = {}
    """Group, or ``module|category`` -> signature, cut off from behind: "" is the whole -> what is known there."""

    def weights_of(self, group: str, signature: str) -> EdgeWeights:
        """Weights of a group in a regime, from the first level that is known; neutral if none is.

        The levels: bucket_rank is dropped first, then micro, meso, macro, then the pattern.

        Examples
        --------
        >>> dips = RegimeWeight(weights=EdgeWeights(variance=0.8), n_samples=60, confidence=0.75)
        >>> known = RegimeWeights(at_ms=0, of={"pm.up.S1.a|add": {"macro=Dip": dips}})
        >>> known.weights_of("pm.up.S1.a|add", "macro=Dip|meso=Good|micro=|bucket_rank=1").variance
        0.8
        >>> known.weights_of("pm.up.S1.a|add", "macro=Good|meso=Good|micro=|bucket_rank=1").variance
        1.0
        """
        for name, cut in levels(group, signature):
            known = self.of.get(name, {}).get(cut)
            if known is not None:
                return known.weights
        return NEUTRAL_WEIGHTS


NEUTRAL: Final = RegimeWeights(at_ms=0)
"""Before anything was learned."""


def signature_of(scope: Mapping[str, ScopeValue]) -> str:
    """Regime signature of a scope; a missing value is one of its own.

    Notes
    -----
    Source: spec section 9.

    Examples
    --------
    >>> signature_of({"macro_phase": "Dip", "micro_phase": "Good", "bucket_rank_position": 2, "bucket": "nano"})
    'macro=Dip|meso=|micro=Good|bucket_rank=2'
    """
    return _signature([str(scope.get(dimension, "")) for _, dimension in REGIME])


def weights_of_rows(weights: RegimeWeights, cells: GroupCells, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weights of the signature of each row of a group: (n_rows, 4) float64, in the order of `EdgeWeights`.

    Notes
    -----
    What is known is looked up in the rows and not each row in what is known, as every epoch asks for it. Source: spec
    section 9. Cost: O(n + keys of the group) at each level.
    """
    found = np.tile(np.array(msgspec.structs.astuple(weights.weights_of(cells.group, ""))), (len(rows), 1))
    if cells.group not in weights.of:
        return found
    codes, words = regime_codes(cells, rows), _words(cells)
    known: list[dict[int, RegimeWeight]] = [{} for _ in range(len(REGIME) + 1)]
    for signature, weight in weights.of[cells.group].items():
        values = [part.partition("=")[2] for part in signature.split("|")] if signature else []
        coded = [of_dimension.get(value, -1) for of_dimension, value in zip(words, values, strict=False)]
        if -1 not in coded:  # no row has what no row had
            known[len(coded)][_packed(np.array(coded, dtype=np.int64))] = weight
    for level in range(1, len(REGIME) + 1):  # the narrowest is written last
        if known[level]:
            keys = np.array(sorted(known[level]))
            table = np.array([msgspec.structs.astuple(known[level][key].weights) for key in keys.tolist()])
            packed = _packed(codes[:, :level])
            at = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
            hit = keys[at] == packed
            found[hit] = table[at[hit]]
    return found


def mean_weights(inside: Inside, of_rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean of the weights over the trades inside of each subset: (n_subsets, 4), neutral where there are none.

    Parameters
    ----------
    inside
        Trades of each subset.
    of_rows
        (n_rows, 4) weights of each row.

    Notes
    -----
    The n-weighted mean over the trades' signatures; it depends on no other subset. Source: spec section 9.

    Examples
    --------
    >>> both = Inside(start=np.array([0, 2, 2]), rows=np.array([0, 1], dtype=np.int32), n_actions=np.array([2, 0]))
    >>> mean_weights(both, np.array([[1.0, 1.0, 1.0, 1.0], [1.5, 0.5, 1.0, 0.8]])).tolist()
    [[1.25, 0.75, 1.0, 0.9], [1.0, 1.0, 1.0, 1.0]]
    """
    return _means(inside.start, inside.rows, of_rows)


def levels(group: str, signature: str) -> Iterator[tuple[str, str]]:
    """Yield keys of a group in a regime, the narrowest first."""
    while signature:
        yield group, signature
        signature = signature.rpartition("|")[0]
    yield group, ""
    yield category_of(group), ""


def category_of(group: str) -> str:
    """``module|category`` of a group."""
    pattern, _, category = group.rpartition("|")
    return f"{pattern.partition('.')[0]}|{category}"


def _signature(values: Iterable[str]) -> str:
    return "|".join([f"{name}={value}" for (name, _), value in zip(REGIME, values, strict=False)])


def regime_codes(cells: GroupCells, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Codes of the four regime dimensions, 0 where missing or no dimension of the module: (n_rows, 4)."""
    codes = cells.codes(rows)
    found = np.zeros((len(rows), len(REGIME)), dtype=np.int64)
    for i, (_, dimension) in enumerate(REGIME):
        if dimension in cells.dimensions:
            found[:, i] = codes[:, cells.dimensions.index(dimension)]
    return found


def named(cells: GroupCells, codes: npt.NDArray[np.int64]) -> str:
    """Signature of as many regime codes as there are, from the front."""
    pairs = zip(REGIME, codes.tolist(), strict=False)
    return _signature(
        [cells.value_name(cells.dimensions.index(name), code) if code else "" for (_, name), code in pairs]
    )


def _words(cells: GroupCells) -> list[dict[str, int]]:
    """Value -> code, for each of the four regime dimensions; a missing value is 0."""
    places = [cells.dimensions.index(name) if name in cells.dimensions else None for _, name in REGIME]
    sizes = cells.cardinalities().tolist()
    return [{"": 0} if d is None else {cells.value_name(d, code): code for code in range(sizes[d])} for d in places]


def _packed(codes: npt.NDArray[np.int64]) -> Any:
    """Codes of the last axis as one number; past 63 bits it wraps around, and stays one number each."""
    return codes @ _PLACES[: codes.shape[-1]]


@numba.njit(cache=True, nogil=True)
def _means(start: Any, rows: Any, of_rows: Any) -> Any:
    means = np.ones((len(start) - 1, of_rows.shape[1]))
    for s in range(len(start) - 1):
        n = start[s + 1] - start[s]
        for j in range(of_rows.shape[1] if n > 0 else 0):
            total = 0.0
            for i in range(start[s], start[s + 1]):
                total += of_rows[rows[i], j]
            means[s, j] = total / n
    return means
