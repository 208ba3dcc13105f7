"""The tracked subsets of a group, kept exact with every outcome (spec section 6).

Between two enumerations (`learning.cube`) an outcome touches the tracked subsets that it lies in and no
other: the subsets are a tree, in which each extends its parent by a higher dimension, and a descent from
the root meets them all. Sums are integers, so what is added can be taken back to the last bit.

A trade counts once in a subset, with the first of its actions there. All actions of a trade have its rr,
but while a revision arrives action by action they differ, so which one is first is decided each time.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.cube import Enumeration, enumerate_group, n_min_by_dims
from learning.parameters import Parameters
from learning.vocabulary import OTHER

__all__ = ["Lattice", "Sums"]

_NODE: Final = np.dtype(
    [
        ("rr_q", "<i8"),
        ("rr_q2", "<i8"),
        ("payback_ms", "<i8"),
        ("n", "<i4"),
        ("n_actions", "<i4"),
        ("wins", "<i4"),
    ]
)
"""Sums of a node, together: an outcome touches hundreds of nodes, each a line of the cache or two."""

_ROOT_PIN: Final = 0xFFFFFFFF
_MANY: Final = 16  # dimensions, past which a row could lie in more subsets than memory has room for
_FEW: Final = 64  # children that are sooner compared one after another than searched


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a subset with every outcome; all over distinct trades but n_actions."""

    n: int
    n_actions: int
    wins: int
    rr_q: int
    rr_q2: int
    payback_ms: int


class Lattice:
    """Tracked subsets of one group: those of the last enumeration, with sums as of now.

    Nodes stand level by level, the children of one parent together, by dimension and code. Node 0 is the
    group itself. `first_child[i]` to `first_child[i + 1]` are the children of node i.

    Parameters
    ----------
    cells
        The group; every outcome it holds is counted.
    parameters
        For n_min.
    max_dims
        Most dimensions of a subset.

    Notes
    -----
    44 bytes a subset. Source: spec section 6; design: outcomes are the state, subset statistics are a view.
    """

    def __init__(self, cells: GroupCells, parameters: Parameters, max_dims: int) -> None:
        self.cells = cells
        self.nodes: npt.NDArray[Any]
        """(n_nodes,): sums of each node."""
        self.pins: npt.NDArray[np.uint32]
        """(n_nodes,): dimension << 16 | code by which each node extends its parent."""
        self.first_child: npt.NDArray[np.int32]
        """(n_nodes + 1,): where the children of each node begin."""
        self._parameters = parameters
        self._limit = min(max_dims, len(cells.dimensions))
        self._trades_then = 0
        self.enumerate()

    def __len__(self) -> int:
        """Subsets with at least n_min trades now."""
        level = self.levels()
        n_min = n_min_by_dims(self._parameters, self._limit)
        return int((self.nodes["n"][1:] >= n_min[level[1:]]).sum())

    @property
    def trades(self) -> int:
        """Distinct trades of the group."""
        return int(self.nodes["n"][0])

    @property
    def grown(self) -> bool:
        """Whether the group has changed by 2 % or 20 trades since the enumeration (spec section 10)."""
        return self._parameters.has_grown(self._trades_then, self.trades)

    def enumerate(self) -> None:
        """Find the tracked subsets anew: newly frequent ones come in, rare ones go.

        Notes
        -----
        Cost: that of `learning.cube`. Promotion happens here only: a subset that grows past n_min between
        two enumerations is not tracked before the next.
        """
        cells = self.cells
        rows = cells.counted(np.iinfo(np.int64).max)
        trade, rr_q, payback_ms = cells.column("trade", rows), cells.column("rr_q", rows), cells.payback_ms(rows)
        tree = enumerate_group(cells, rows, self._parameters, self._limit)
        first = np.flatnonzero(np.diff(trade, prepend=trade[:1] + 1)) if len(rows) else rows
        self._grow(tree)
        self._set_root(len(rows), rr_q[first], payback_ms[first])
        self._trades_then = self.trades

    def levels(self) -> npt.NDArray[np.uint8]:
        """Dimensions pinned by each node: (n_nodes,) uint8."""
        return _levels(self.first_child)

    def codes(self) -> npt.NDArray[np.int32]:
        """Codes of each node, 0 where a dimension is free: (n_nodes, n_dimensions) int32."""
        return _codes(self.pins, self.first_child, len(self.cells.dimensions))

    def find(self, codes: npt.NDArray[np.int32]) -> Sums | None:
        """Sums of a subset by its codes, None if it is not tracked."""
        node = int(_find(codes, self.pins, self.first_child))
        return None if node < 0 else self._sums(node)

    def add(self, row: int) -> None:
        """Count an outcome that the cells hold since just now."""
        self._apply(row, 1)

    def take_back(self, row: int) -> None:
        """Uncount an outcome that the cells still hold."""
        self._apply(row, -1)

    def _apply(self, row: int, sign: int) -> None:
        _apply(sign, row, *self.cells.of_trades(), self.pins, self.first_child, self.nodes)

    def _sums(self, node: int) -> Sums:
        return Sums(**{name: self.nodes[name][node].item() for name in Sums.__struct_fields__})

    def _set_root(self, n_actions: int, rr_q: npt.NDArray[np.int64], payback_ms: npt.NDArray[np.int64]) -> None:
        for name, value in (
            ("n", len(rr_q)),
            ("n_actions", n_actions),
            ("wins", (rr_q > 0).sum()),
            ("rr_q", rr_q.sum()),
            ("rr_q2", (rr_q * rr_q).sum()),
            ("payback_ms", payback_ms.sum()),
        ):
            self.nodes[name][0] = value

    def _grow(self, tree: Enumeration) -> None:
        """Nodes of an enumeration, level by level: its order within a level is already by parent."""
        order = np.argsort(tree.level, kind="stable")
        self.pins = np.empty(len(order) + 1, dtype=np.uint32)
        self.pins[0] = _ROOT_PIN
        self.pins[1:] = (tree.dim.astype(np.uint32) << np.uint32(16) | tree.code)[order]
        self.first_child = _first_children(tree.level, order)
        self.nodes = np.zeros(len(order) + 1, dtype=_NODE)
        for name in Sums.__struct_fields__:
            self.nodes[name][1:] = getattr(tree, name)[order]


@numba.njit(cache=True, nogil=True)
def _first_children(level: Any, order: Any) -> Any:
    """Where the children of each node begin, level by level; one more entry for the end of the last ones."""
    n = len(level)
    place = np.empty(n, dtype=np.int64)  # of a node of the enumeration
    for i in range(n):
        place[order[i]] = i + 1
    children = np.zeros(n + 2, dtype=np.int64)
    path = np.zeros(256, dtype=np.int64)  # node of each level on the way to the present one; 0 is the root
    for i in range(n):
        path[level[i]] = place[i]
        children[path[level[i] - 1] + 1] += 1
    first = np.empty(n + 2, dtype=np.int32)
    total = 1
    for i in range(n + 2):
        total += children[i]
        first[i] = total
    return first


@numba.njit(cache=True, nogil=True)
def _levels(first_child: Any) -> Any:
    levels = np.zeros(len(first_child) - 1, dtype=np.uint8)
    for node in range(len(levels)):
        for child in range(first_child[node], first_child[node + 1]):
            levels[child] = levels[node] + 1
    return levels


@numba.njit(cache=True, nogil=True)
def _codes(pins: Any, first_child: Any, n_dims: int) -> Any:
    codes = np.zeros((len(pins), n_dims), dtype=np.int32)
    for node in range(len(pins)):
        for child in range(first_child[node], first_child[node + 1]):
            codes[child] = codes[node]
            codes[child, pins[child] >> 16] = pins[child] & 0xFFFF
    return codes


@numba.njit(cache=True, nogil=True)
def _child(pins: Any, first: int, last: int, wanted: int) -> int:
    """Where a pin stands among the children first .. last - 1, or where it would."""
    while first < last:
        middle = (first + last) // 2
        if pins[middle] < wanted:
            first = middle + 1
        else:
            last = middle
    return first


@numba.njit(cache=True, nogil=True)
def _find(codes: Any, pins: Any, first_child: Any) -> int:
    node = 0
    for d in range(len(codes)):
        if codes[d] != 0:
            wanted = d << 16 | codes[d]
            end = first_child[node + 1]
            child = _child(pins, first_child[node], end, wanted)
            if child == end or pins[child] != wanted:
                return -1
            node = child
    return node


@numba.njit(cache=True, nogil=True)
def _shared(codes: Any, one: int, other: int) -> Any:
    """Dimensions in which two rows have the same value, as a mask."""
    mask = np.int64(0)
    for d in range(codes.shape[1]):
        if 0 < codes[one, d] < OTHER and codes[one, d] == codes[other, d]:
            mask |= np.int64(1) << d
    return mask


@numba.njit(cache=True, nogil=True)
def _others(row: int, heads: Any, following: Any, trade: Any, action: Any, action_at_ms: Any) -> Any:
    """The other rows of a row's trade in the order of their actions, and how many stand before it."""
    others = np.empty(4, dtype=np.int64)
    n, before = 0, 0
    at = heads[trade[row] & (len(heads) - 1)]
    while at >= 0:
        if at != row and trade[at] == trade[row]:
            if n == len(others):
                others = np.concatenate((others, np.empty_like(others)))
            place = n
            while place > 0 and _before(at, others[place - 1], action, action_at_ms):
                others[place] = others[place - 1]
                place -= 1
            others[place] = at
            n += 1
            before += _before(at, row, action, action_at_ms)
        at = following[at]
    return others[:n], before


@numba.njit(cache=True, nogil=True)
def _before(one: int, other: int, action: Any, action_at_ms: Any) -> bool:
    if action_at_ms[one] != action_at_ms[other]:
        return action_at_ms[one] < action_at_ms[other]
    return action[one] < action[other]


@numba.njit(cache=True, nogil=True)
def _amounts(rows: Any, rr_q: Any, hold_ms: Any, payback_ms: Any) -> Any:
    """What each row adds where it stands for its trade: win, rr, its square, payback or hold."""
    amounts = np.empty((len(rows), 4), dtype=np.int64)
    for i in range(len(rows)):
        rr = np.int64(rr_q[rows[i]])
        amounts[i, 0], amounts[i, 1], amounts[i, 2] = rr > 0, rr, rr * rr
        amounts[i, 3] = payback_ms[rows[i]] if payback_ms[rows[i]] >= 0 else hold_ms[rows[i]]
    return amounts


@numba.njit(cache=True, nogil=True)
def _apply(
    sign: int,
    row: int,
    heads: Any,
    following: Any,
    columns: Any,
    codes: Any,
    rr_q: Any,
    pins: Any,
    first_child: Any,
    nodes: Any,
) -> None:
    """Count (sign 1) or uncount (-1) a row in every node it lies in.

    Its action counts always; its trade where no earlier action of it lies in the node too, and in the
    place of the first later one that does.
    """
    trade, action, action_at_ms, hold_ms, payback_ms = columns
    others, before = _others(row, heads, following, trade, action, action_at_ms)
    amounts = _amounts(others, rr_q, hold_ms, payback_ms)
    own = _amounts(np.array([row]), rr_q, hold_ms, payback_ms)[0]
    shared = np.empty(len(others), dtype=np.int64)
    for i in range(len(others)):
        shared[i] = _shared(codes, row, others[i])
    met, masks = _met(codes[row], pins, first_child)
    for m in range(len(met)):  # apart from the descent: the sums are far apart, and fetched side by side so
        first = 0
        while first < len(shared) and masks[m] & ~shared[first] != 0:
            first += 1
        node = nodes[met[m]]
        node.n_actions += sign
        if first >= before:
            later = first < len(shared)
            node.n += 0 if later else sign
            node.wins += sign * (own[0] - (amounts[first, 0] if later else 0))
            node.rr_q += sign * (own[1] - (amounts[first, 1] if later else 0))
            node.rr_q2 += sign * (own[2] - (amounts[first, 2] if later else 0))
            node.payback_ms += sign * (own[3] - (amounts[first, 3] if later else 0))


@numba.njit(cache=True, nogil=True)
def _met(codes: Any, pins: Any, first_child: Any) -> Any:
    """Nodes that a row lies in, the root first, and the dimensions that each pins, as masks."""
    n_dims = len(codes)
    wanted = np.empty(n_dims, dtype=np.uint32)  # the only pin of each dimension that the row shows
    for d in range(n_dims):
        code = np.uint32(codes[d]) if codes[d] != OTHER else np.uint32(0)
        wanted[d] = np.uint32(d) << np.uint32(16) | code
    most = len(pins) if n_dims > _MANY else min(len(pins), 1 << n_dims)
    met, masks, n = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int64), 1
    met[0], masks[0] = 0, 0
    at = np.empty(n_dims + 2, dtype=np.int64)  # next node to look at, on each level
    end = np.empty(n_dims + 2, dtype=np.int64)
    path = np.zeros(n_dims + 2, dtype=np.int64)  # mask of each level
    at[0], end[0], level = first_child[0], first_child[1], 0
    while level >= 0:
        node = _next(pins, at[level], end[level], wanted)
        if node == end[level]:
            level -= 1
            continue
        at[level] = node + 1
        mask = path[level] | np.int64(1) << np.int64(pins[node] >> 16)
        met[n], masks[n] = node, mask
        n += 1
        if first_child[node] < first_child[node + 1]:
            level += 1
            at[level], end[level], path[level] = first_child[node], first_child[node + 1], mask
    return met[:n], masks[:n]


@numba.njit(cache=True, nogil=True)
def _next(pins: Any, child: Any, end: Any, wanted: Any) -> Any:
    """Return the next child that a row lies in, or the end: few are looked at in turn, of many most are passed over."""
    while child < end:
        pin = pins[child]
        own = wanted[pin >> 16]
        if pin == own:
            return child
        if end - child <= _FEW:
            child += 1
        else:  # a dimension of many values: on to the row's own, or to the next dimension
            child = _child(pins, child + 1, end, own if pin < own else (pin >> 16) + 1 << 16)
    return end
