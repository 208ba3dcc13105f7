"""All statistics of subsets of a group, at an epoch or when asked (spec section 6, docs/statistics.md).

Arrays over subsets; one subset is an array of one. What is found of a subset depends on no other subset
that was asked for, so one, some and all of them give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from learning.baseline import LEVELS, Baselines, segment_names
from learning.cells import RR_SCALE, GroupCells
from learning.clusters import ClusteredGroup
from learning.counting import Counts, Trades, counted
from learning.cube import enumerate_subsets
from learning.decay import DECAYING, IMPROVING, UNKNOWN_HALF_LIFE_HOURS, Decays, TradedDays, decays, traded_days
from learning.edge import edges_raw
from learning.emergence import Lineage, emergence
from learning.evidence import Effects
from learning.parameters import DAY_MS, Parameters
from learning.regimes import NEUTRAL, RegimeWeights, mean_weights, weights_of_rows
from leverloop.scope import ScopeSchema

__all__ = [
    "GroupStats",
    "GroupView",
    "SubsetStats",
    "group_stats",
    "group_view",
    "missed_bucket",
    "subset_stats",
    "tracked_stats",
    "view_stats",
]

Trend = Literal["decaying", "stable", "improving"]
MissedBucket = Literal["none", "small", "medium", "large"]

_TREND: Final[dict[int, Trend]] = {DECAYING: "decaying", 0: "stable", IMPROVING: "improving"}
_MISSED_RR: Final[tuple[tuple[MissedBucket, float], ...]] = (
    ("none", 0.5),
    ("small", 1.0),
    ("medium", 2.0),
    ("large", math.inf),
)
"""Buckets of a missed rr, each with the bound it stays below (spec section 6)."""


class SubsetStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics over the distinct trades of a subset; None is "not known", never 0.

    Fields with a default were added later: a book that was written before reads as not knowing them.
    """

    n: int
    n_actions: int
    avg_rr: float | None
    variance: float | None
    win_rate: float | None
    rr_baseline: float | None
    """Mean over the trades of the baseline of their segment."""
    rr_baseline_level: str
    """The level most trades took their baseline from."""
    delta_rr: float | None
    time_efficiency: float | None
    field_coherence: float | None
    segments_tested: int
    segments_positive: int
    recurrence_raw: float | None
    recurrence_score: float | None
    edge_raw: float | None
    last_closed_at_ms: int
    effect_rr: float | None = None
    effect_error_rr: float | None = None
    n_clusters: int = 0
    emergence_score: float | None = None
    decay_rr_per_day: float | None = None
    decay_error_rr_per_day: float | None = None
    trend: Trend = "stable"
    half_life_hours: float = UNKNOWN_HALF_LIFE_HOURS
    missed_entry_n: int = 0
    missed_entry_rr: float | None = None
    missed_exit_n: int = 0
    missed_exit_rr: float | None = None


class GroupStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of many subsets of a group, as docs/statistics.md defines them; NaN is "not known".

    codes: (n_subsets, n_dimensions) int32, 0 where free. Everything else is (n_subsets,): counts and times int64,
    trend int8 (-1 decaying, 0 stable, 1 improving), rr_baseline_level int64, an index into `levels`.
    """

    codes: npt.NDArray[np.int32]
    n: npt.NDArray[np.int64]
    n_actions: npt.NDArray[np.int64]
    n_clusters: npt.NDArray[np.int64]
    segments_tested: npt.NDArray[np.int64]
    segments_positive: npt.NDArray[np.int64]
    last_closed_at_ms: npt.NDArray[np.int64]
    avg_rr: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    win_rate: npt.NDArray[np.float64]
    effect_rr: npt.NDArray[np.float64]
    effect_error_rr: npt.NDArray[np.float64]
    rr_baseline: npt.NDArray[np.float64]
    rr_baseline_level: npt.NDArray[np.int64]
    levels: tuple[str, ...]
    delta_rr: npt.NDArray[np.float64]
    time_efficiency: npt.NDArray[np.float64]
    field_coherence: npt.NDArray[np.float64]
    recurrence_raw: npt.NDArray[np.float64]
    recurrence_score: npt.NDArray[np.float64]
    emergence_score: npt.NDArray[np.float64]
    edge_raw: npt.NDArray[np.float64]
    decay_rr_per_day: npt.NDArray[np.float64]
    decay_error_rr_per_day: npt.NDArray[np.float64]
    trend: npt.NDArray[np.int8]
    half_life_hours: npt.NDArray[np.float64]
    missed_entry_n: npt.NDArray[np.int64]
    missed_entry_rr: npt.NDArray[np.float64]
    missed_exit_n: npt.NDArray[np.int64]
    missed_exit_rr: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.n)

    def row(self, i: int) -> SubsetStats:
        """Statistics of one subset; of one that nothing falls into, n is 0 and no number is known."""
        return self._stats([getattr(self, name)[i].item() for name in _NUMBERS])

    def rows(self) -> Iterator[SubsetStats]:
        """Statistics of one subset after another, as `row` gives them."""
        for values in zip(*(getattr(self, name).tolist() for name in _NUMBERS), strict=True):
            yield self._stats(values)

    def _stats(self, values: Iterable[float]) -> SubsetStats:
        fields: dict[str, Any] = {
            name: None if value != value else value  # noqa: PLR0124 - NaN alone is unlike itself
            for name, value in zip(_NUMBERS, values, strict=True)
        }
        fields["trend"] = _TREND[fields["trend"]]
        fields["rr_baseline_level"] = self.levels[fields["rr_baseline_level"]]
        return SubsetStats(**fields)


_NUMBERS: Final = SubsetStats.__struct_fields__


class GroupView:
    """Counted rows of a group at an epoch: rows of a trade together, by time within it.

    What statistics need beyond the rows is read when the first of them is asked for: before the group changes.

    Parameters
    ----------
    cells
        The group.
    epoch_at_ms
        Outcomes that count later are left out.
    baselines
        As of the decision of the epoch before.
    segment
        The two dimensions of a segment.
    weights
        Regime weights of the factors of an edge.
    """

    def __init__(
        self,
        cells: GroupCells,
        epoch_at_ms: int,
        baselines: Baselines,
        segment: tuple[str, str],
        weights: RegimeWeights = NEUTRAL,
    ) -> None:
        self.epoch_at_ms = epoch_at_ms
        self.rows = cells.counted(epoch_at_ms)
        """(n_rows,) int64."""
        self.rr_q = cells.column("rr_q", self.rows)
        """(n_rows,) int64, in 1e-5 R."""
        self._cells, self._baselines, self._segment, self._weights = cells, baselines, segment, weights

    @cached_property
    def clustered(self) -> ClusteredGroup:
        """The same rows with their clusters."""
        return ClusteredGroup(self._cells, self.rows)

    @cached_property
    def traded(self) -> TradedDays:
        """Days of the group."""
        return traded_days(self.clustered.day, self.clustered.first, self.rr_q / RR_SCALE)

    @cached_property
    def weights(self) -> npt.NDArray[np.float64]:
        """Regime weights of each row: (n_rows, 4) float64."""
        return weights_of_rows(self._weights, self._cells, self.rows)

    @cached_property
    def trades(self) -> Trades:
        """What is known of the trade of each row."""
        cells, rows = self._cells, self.rows
        segment_of_row, segment_rr, segment_level = _segments(cells, rows, self._baselines, self._segment)
        return Trades(
            rr_q=self.rr_q,
            closed_at_ms=cells.column("closed_at_ms", rows),
            payback_days=cells.payback_ms(rows) / DAY_MS,
            segment=segment_of_row,
            missed_entry_rr=cells.measure("missed_entry_rr", rows),
            missed_exit_rr=cells.measure("missed_exit_rr", rows),
            segment_rr=segment_rr,
            segment_level=segment_level,
        )


def group_stats(
    cells: GroupCells,
    codes: npt.NDArray[Any],
    epoch_at_ms: int,
    baselines: Baselines,
    parameters: Parameters,
    schema: ScopeSchema,
    weights: RegimeWeights = NEUTRAL,
) -> GroupStats:
    """Statistics of any subsets of a group, tracked or not, in the order given.

    Parameters
    ----------
    cells
        The group.
    codes
        (n_subsets, n_dimensions), 0 where free (`GroupCells.codes_of`); all 0 is the group itself.
    epoch_at_ms
        Outcomes that count later are left out.
    baselines
        As of the decision of the epoch before.
    parameters, schema
        The rules.
    weights
        Regime weights, as of the same decision.

    Notes
    -----
    Source: spec section 6. Cost: O(rows log rows), and of each subset O(rows of its rarest value + clusters).
    """
    return view_stats(
        group_view(cells, epoch_at_ms, baselines, schema.modules[cells.module].segment, weights), codes, parameters
    )


def tracked_stats(
    cells: GroupCells,
    epoch_at_ms: int,
    baselines: Baselines,
    parameters: Parameters,
    schema: ScopeSchema,
    weights: RegimeWeights = NEUTRAL,
) -> GroupStats:
    """Statistics of every tracked subset of a group, n >= n_min(dims) up to the module's max_dims, by their values.

    Notes
    -----
    Source: spec section 6.
    """
    module = schema.modules[cells.module]
    view = group_view(cells, epoch_at_ms, baselines, module.segment, weights)
    return view_stats(view, enumerate_subsets(cells, view.rows, parameters, module.max_dims).codes, parameters)


def subset_stats(view: GroupView, codes: npt.NDArray[Any], parameters: Parameters) -> SubsetStats | None:
    """Statistics of one subset, (n_dimensions,) codes, or None if nothing falls into it.

    Notes
    -----
    Source: spec section 6.
    """
    found = view_stats(view, codes[None, :], parameters).row(0)
    return found if found.n else None


def group_view(
    cells: GroupCells,
    epoch_at_ms: int,
    baselines: Baselines,
    segment: tuple[str, str],
    weights: RegimeWeights = NEUTRAL,
) -> GroupView:
    """Rows of a group that count by an epoch, each with the baseline of its segment.

    Notes
    -----
    Cost: O(n log n) in the group's rows. Source: spec section 6.
    """
    return GroupView(cells, epoch_at_ms, baselines, segment, weights)


def view_stats(view: GroupView, codes: npt.NDArray[Any], parameters: Parameters) -> GroupStats:
    """Statistics of any subsets of a group, (n_subsets, n_dimensions) codes, in the order given."""
    lineage = Lineage(np.asarray(codes).reshape(-1, view.clustered.codes.shape[1]))
    wanted = lineage.codes[: lineage.n_subsets]
    rr_q = view.rr_q.astype(np.float64)  # whole numbers: their sums are exact, whatever the order
    effect = view.clustered.effects(lineage.codes, rr_q, rr_q)
    effect_rr = effect.effect_rr / RR_SCALE
    postings = view.clustered.postings
    counts: list[Counts] = []
    decay: list[Decays] = []
    weights: list[npt.NDArray[np.float64]] = []
    n_actions = np.zeros(len(wanted), dtype=np.int64)
    for batch in postings.batches(wanted):
        inside = postings.inside(wanted[batch])
        n_actions[batch] = inside.n_actions
        counts.append(counted(inside, view.trades, parameters.recurrence_tau_days * DAY_MS))
        weights.append(mean_weights(inside, view.weights))
        decay.append(decays(inside, view.traded, effect_rr[: len(wanted)][batch]))
    return _assembled(
        lineage, effect, n_actions, _joined(Counts, counts), _joined(Decays, decay), np.concatenate(weights)
    )


def missed_bucket(missed_rr: float | None) -> MissedBucket | None:
    """Name of how much was missed on average, None where it is not known. Shown only: it is a maximum.

    Notes
    -----
    Source: spec section 6, counterfactual.

    Examples
    --------
    >>> [missed_bucket(rr) for rr in (None, 0.49, 0.5, 1.99, 2.0)]
    [None, 'none', 'small', 'medium', 'large']
    """
    return None if missed_rr is None else next(name for name, bound in _MISSED_RR if missed_rr < bound)


def _assembled(
    lineage: Lineage,
    effect: Effects,
    n_actions: npt.NDArray[np.int64],
    counts: Counts,
    decay: Decays,
    weights: npt.NDArray[np.float64],
) -> GroupStats:
    n_subsets = lineage.n_subsets
    n = effect.n[:n_subsets]
    effect_rr = effect.effect_rr / RR_SCALE
    return GroupStats(
        codes=lineage.codes[:n_subsets],
        n=n,
        n_actions=n_actions,
        n_clusters=effect.n_clusters[:n_subsets],
        effect_rr=effect_rr[:n_subsets],
        effect_error_rr=effect.error_rr[:n_subsets] / RR_SCALE,
        levels=LEVELS,
        emergence_score=emergence(lineage, effect_rr, n, counts.variance),
        edge_raw=edges_raw(
            delta_rr=counts.delta_rr,
            variance=counts.variance,
            n=n,
            time_efficiency=counts.time_efficiency,
            field_coherence=counts.field_coherence,
            recurrence_score=counts.recurrence_score,
            weights=weights,
        ),
        decay_rr_per_day=decay.rr_per_day,
        decay_error_rr_per_day=decay.error_rr_per_day,
        trend=decay.trend,
        half_life_hours=decay.half_life_hours,
        **{name: getattr(counts, name) for name in Counts.__struct_fields__},
    )


def _joined(kind: Any, parts: list[Any]) -> Any:
    return kind(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in kind.__struct_fields__})


def _segments(
    cells: GroupCells, rows: npt.NDArray[np.int64], baselines: Baselines, segment: tuple[str, str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Segment of each row; baseline of each segment, and the index of its level. Segments by name, not by code."""
    dims = [cells.dimensions.index(name) for name in segment]
    codes = cells.codes(rows)[:, dims].astype(np.int64)
    packed, inverse = np.unique(codes[:, 0] << 16 | codes[:, 1], return_inverse=True)
    of_packed = [segment_names(cells, dims, (int(code) >> 16, int(code) & 0xFFFF)) for code in packed]
    names = sorted(set(of_packed))
    category = f"{cells.module}|{cells.action_category}"
    known = [baselines.value(category, cells.group, name) for name in names]
    place = {name: i for i, name in enumerate(names)}
    return (
        np.array([place[name] for name in of_packed], dtype=np.int64)[inverse],
        np.array([value for value, _ in known], dtype=np.float64),
        np.array([LEVELS.index(level) for _, level in known], dtype=np.int64),
    )
