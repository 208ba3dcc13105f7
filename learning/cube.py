"""The iceberg cube: every scope subset of a group that enough distinct trades fall into (spec section 6).

Supersets of a rare subset are rare, so subsets are enumerated bottom-up by recursive partition and cut
at n_min (Beyer and Ramakrishnan, "Bottom-up computation of sparse and iceberg CUBEs", SIGMOD 1999).
n_min does not fall with the number of dimensions, which makes the cut exact.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.cube_kernel import NEVER, codes_of_tree, enumerate_rows
from learning.parameters import Parameters

__all__ = ["Cube", "Enumeration", "enumerate_group", "enumerate_subsets", "enumerate_tree", "n_min_by_dims"]


class Enumeration(msgspec.Struct, frozen=True, kw_only=True):
    """Set-enumeration tree of a group's tracked subsets, depth first, each before what extends it.

    A subset extends its parent, the nearest one above it with one dimension less, by a higher dimension.
    Below one parent they come by dimension, then by code. The empty subset, the root, is not among them.
    Sums go over distinct trades, each with its first row inside the subset.

    level: (n_subsets,) uint8, how many dimensions are pinned. dim: (n_subsets,) uint8, the highest of
    them, and code: (n_subsets,) uint16, its value. n (distinct trades), n_actions, wins (trades with
    rr > 0), rr_q and rr_q2 (sums of rr and of its square, in 1e-5 R and its square) and payback_ms:
    (n_subsets,) int64.
    """

    level: npt.NDArray[np.uint8]
    dim: npt.NDArray[np.uint8]
    code: npt.NDArray[np.uint16]
    n: npt.NDArray[np.int64]
    n_actions: npt.NDArray[np.int64]
    wins: npt.NDArray[np.int64]
    rr_q: npt.NDArray[np.int64]
    rr_q2: npt.NDArray[np.int64]
    payback_ms: npt.NDArray[np.int64]

    def codes(self, n_dims: int) -> npt.NDArray[np.int32]:
        """Codes of each subset, 0 where a dimension is free: (n_subsets, n_dims) int32."""
        return codes_of_tree(self.level, self.dim, self.code, n_dims)


class Cube(msgspec.Struct, frozen=True, kw_only=True):
    """Tracked subsets of a group, in the order of their values: where two tie, every run takes the same one.

    codes: (n_subsets, n_dimensions) int32, 0 where a dimension is free. The sums are those of
    `Enumeration`: (n_subsets,) int64.
    """

    codes: npt.NDArray[np.int32]
    n: npt.NDArray[np.int64]
    n_actions: npt.NDArray[np.int64]
    wins: npt.NDArray[np.int64]
    rr_q: npt.NDArray[np.int64]
    rr_q2: npt.NDArray[np.int64]
    payback_ms: npt.NDArray[np.int64]

    @property
    def dims(self) -> npt.NDArray[np.int64]:
        """Dimensions pinned by each subset: (n_subsets,) int64."""
        return (self.codes != 0).sum(axis=1)


def enumerate_tree(
    codes: npt.NDArray[Any],
    trade: npt.NDArray[np.int64],
    rr_q: npt.NDArray[np.int64],
    payback_ms: npt.NDArray[np.int64],
    cardinalities: npt.NDArray[np.int64],
    n_min: npt.NDArray[np.int64],
    max_dims: int,
) -> Enumeration:
    """All subsets with 1 to max_dims dimensions and n >= n_min[dims], with their sums.

    Parameters
    ----------
    codes
        Scope codes, 0 where missing, which is never pinned: (n_dims, n_rows), any unsigned integer.
    trade
        Equal for rows of one trade, which are neighbours, its first action first: (n_rows,) int64.
    rr_q, payback_ms
        rr in 1e-5 R; time to payback, or the hold where there was none: (n_rows,) int64.
    cardinalities
        Codes per dimension, 0 included, at most 65,536; a code beyond them is an error: (n_dims,) int64.
    n_min
        Distinct trades from which a subset of k dimensions is tracked, at k, not falling: (max_dims + 1,) int64.
    max_dims
        Most dimensions of a subset.

    Notes
    -----
    Cost: O(rows x dimensions x subsets that survive), however many codes a dimension has. Releases the
    interpreter: groups can run in threads. Source: spec section 6; Beyer and Ramakrishnan 1999.

    Examples
    --------
    >>> codes = np.array([[1, 1, 2], [3, 3, 3]], dtype=np.uint16)
    >>> trade, rr_q, payback_ms = np.array([7, 8, 9]), np.array([100, -50, 10]), np.array([1, 1, 1])
    >>> tree = enumerate_tree(codes, trade, rr_q, payback_ms, np.array([3, 4]), np.array([0, 2, 2]), 2)
    >>> [*zip(tree.level.tolist(), tree.dim.tolist(), tree.code.tolist(), tree.n.tolist(), tree.rr_q.tolist())]
    [(1, 0, 1, 2, 50), (2, 1, 3, 2, 50), (1, 1, 3, 3, 60)]
    """
    largest = codes.max(axis=1, initial=0)
    if (largest >= cardinalities).any():
        raise ValueError(f"codes below the cardinalities {cardinalities.tolist()}, were {largest.tolist()}")
    limit = min(max_dims, len(codes))
    least = np.full(limit + 3, NEVER, dtype=np.int64)
    least[: limit + 1] = n_min[: limit + 1]
    where, sums = enumerate_rows(codes, trade, rr_q, payback_ms, cardinalities, least)
    n, n_actions, wins, rr, rr2, payback = (np.ascontiguousarray(column) for column in sums.T)
    return Enumeration(
        level=where[:, 0].astype(np.uint8),
        dim=where[:, 1].astype(np.uint8),
        code=where[:, 2].copy(),
        n=n,
        n_actions=n_actions,
        wins=wins,
        rr_q=rr,
        rr_q2=rr2,
        payback_ms=payback,
    )


def enumerate_group(
    cells: GroupCells, rows: npt.NDArray[np.int64], parameters: Parameters, max_dims: int
) -> Enumeration:
    """Set-enumeration tree of some rows of a group, sorted by trade; parameters as of `enumerate_subsets`.

    Notes
    -----
    Source: spec section 6. Cost: that of `enumerate_tree`.
    """
    limit = min(max_dims, len(cells.dimensions))
    return enumerate_tree(
        cells.codes(rows).T,
        cells.column("trade", rows),
        cells.column("rr_q", rows),
        cells.payback_ms(rows),
        cells.cardinalities(),
        n_min_by_dims(parameters, limit),
        limit,
    )


def n_min_by_dims(parameters: Parameters, limit: int) -> npt.NDArray[np.int64]:
    """Distinct trades from which a subset of k dimensions is tracked, at k; 0 for the group: (limit + 1,) int64.

    Examples
    --------
    >>> n_min_by_dims(Parameters(), 3).tolist()
    [0, 10, 10, 20]
    """
    return np.array([0, *(parameters.n_min(k) for k in range(1, limit + 1))], dtype=np.int64)


def enumerate_subsets(cells: GroupCells, rows: npt.NDArray[np.int64], parameters: Parameters, max_dims: int) -> Cube:
    """All subsets of a group with 1 to max_dims dimensions and n >= n_min(dims), in the order of their values.

    Parameters
    ----------
    cells
        The group.
    rows
        Rows to count, sorted by trade (`GroupCells.counted`).
    parameters
        For n_min.
    max_dims
        Most dimensions of a subset.

    Notes
    -----
    Source: spec section 6. Cost: that of `enumerate_tree`, and a sort of the subsets.
    """
    tree = enumerate_group(cells, rows, parameters, max_dims)
    found = tree.codes(len(cells.dimensions))
    order = cells.ordered(found)
    return Cube(
        codes=found[order],
        n=tree.n[order],
        n_actions=tree.n_actions[order],
        wins=tree.wins[order],
        rr_q=tree.rr_q[order],
        rr_q2=tree.rr_q2[order],
        payback_ms=tree.payback_ms[order],
    )
