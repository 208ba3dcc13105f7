"""Thresholds on logged signals: the value that best separates outcomes, and what it is worth (spec section 8).

The best of many cuts looks good on the trades it was chosen on, always. So the trades are divided into
stretches of time; each is cut where those before it say, and only what that is worth counts as evidence.
Where later ones have a say too, two stretches that are alike by luck confirm each other, and the p of a
cross-validated mean is far too small in its tail, where it is needed (docs/execution.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from learning.cells import GroupCells
from learning.clusters import ClusteredGroup
from learning.evidence import shrunk
from learning.execution.findings import AcceptedLever, LeverCandidate, LeverEvidence, LeverSearch
from learning.execution.means import Means, interval, upper_p
from learning.execution.questions import PreparedRows
from learning.parameters import Parameters
from leverloop.levers import ANY_SIGNAL, LEVERS, UPPER_BOUNDS, levers_of
from leverloop.scope import Scope

__all__ = ["BARS_SINCE_TRIM", "GroupThresholds"]

BARS_SINCE_TRIM: Final = "bars_since_trim"
"""Signal that an add logs to be learned from as a re-add; there is no other trace of the gap in an outcome."""
_SIGNAL_OF: Final = {
    "signal_thresholds.min_ts_for_add": "TS",
    "signal_thresholds.min_dx_for_add": "DX",
    "signal_thresholds.max_edx_for_add": "EDX",
    "signal_thresholds.min_ox_for_trim": "OX",
    "wait_n_bars_after_trim": BARS_SINCE_TRIM,
}
_CUTS: Final = 20
"""Parts of equal weight that a signal is cut into: more would move the target by less than its error."""
_FOLDS: Final = 5
"""Stretches of time: a fifth of the trades is only chosen on, the last fifth is cut by four fifths."""


class _Test(NamedTuple):
    lever: str
    signal: str
    sign: float
    """-1 where the threshold is an upper bound: the signal is turned, and every bound is a lower one."""
    cuts: npt.NDArray[np.float64]
    """Rising, each within the lever's bounds and stricter than the neutral; of the signal times sign."""
    part: npt.NDArray[np.int64]
    """(n_rows,) cuts that a row passes, -1 where it is not asked."""


class GroupThresholds:
    """Some rows of a group, prepared for a search of thresholds.

    Parameters
    ----------
    cells
        The group.
    rows
        (n_rows,) rows, those of a trade together, its first action first.
    rr
        (n_rows,) what is compared, in R, the same for all rows of a trade: its residual beside the lessons.
    accepted
        Levers that stand; thresholds of this group stop the trades that a finer one could stop again.
    parameters
        By which rules.
    clustered
        The same rows, where they are prepared already.
    knobs
        (lever, signal) -> the trader's own value, where it is known from before an override moved it.

    Notes
    -----
    Only what is stricter than today is asked for, of trades that pass today: a threshold that lets more through
    has no evidence in trades, for those it would let through are not among them. Where the trader's value is not
    known there is nothing to be stricter than, and nothing is looked at.
    Source: spec section 8; validation of each stretch of time by what was known before it is prequential
    (Dawid, Journal of the Royal Statistical Society A 147, 1984). Cost: O(rows of each subset x signals).
    """

    def __init__(
        self,
        cells: GroupCells,
        rows: npt.NDArray[np.int64],
        rr: npt.NDArray[np.float64],
        accepted: Iterable[AcceptedLever],
        parameters: Parameters,
        clustered: ClusteredGroup | None = None,
        knobs: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        self._cells, self._rr, self._parameters = cells, rr, parameters
        self._prepared = PreparedRows(cells, rows, parameters.rr_cap, clustered)
        self._own = [each for each in accepted if each.group == cells.group and each.signal]
        self._knobs = knobs or {}

    @cached_property
    def _blocks(self) -> npt.NDArray[np.int64]:
        """Block of days of each row."""
        return self._prepared.clustered.blocks(self._rr)

    def discover(self, alpha: float) -> LeverSearch:
        """Best subset of each size for each lever, of those that pass within this group.

        Parameters
        ----------
        alpha
            As of `learning.execution.deltas.GroupDeltas.discover`.
        """
        rules = self._parameters
        tested = [0] * (rules.lesson_max_dims + 1)
        found: list[LeverCandidate] = []
        tests = list(self._tests())
        for codes in self._subsets() if tests else []:
            first = self._prepared.inside(codes).rows.astype(np.int64)
            for test in tests:
                evidence = self._validated(codes, first, test, alpha)
                if evidence is not None:
                    tested[int((codes != 0).sum())] += 1
                    found.append(LeverCandidate(scope=self._cells.scope_of(codes), evidence=evidence))
        best: dict[tuple[str, int], LeverCandidate] = {}
        for each in found:
            k = len(each.scope)
            key = (each.evidence.lever, k)
            if self._holds(each.evidence, alpha / (tested[k] * len(tested)), k) and (
                key not in best or each.evidence.p_value < best[key].evidence.p_value
            ):
                best[key] = each
        return LeverSearch(tested_by_dims=tuple(tested), candidates=tuple(best[key] for key in sorted(best)))

    def weigh(
        self, scope: Scope, lever: str, signal: str, target: float, neutral: float = -np.inf
    ) -> LeverEvidence | None:
        """Evidence of a threshold that was chosen before, beside those that stand but itself.

        Parameters
        ----------
        scope, lever, signal, target
            The finding, accepted or not. Only on rows that were not there when it was found is this honest.
        neutral
            What a trade had to reach before; without one all trades are asked.

        Returns
        -------
        LeverEvidence
            None where there are no trades on one of its sides, or a single cluster.
        """
        sign = -1.0 if lever in UPPER_BOUNDS else 1.0
        x = sign * self._cells.measure(f"signals.{signal}", self._prepared.rows)
        codes = self._cells.codes_of(scope)
        first = self._prepared.inside(codes).rows.astype(np.int64)
        floor = -np.inf if np.isinf(neutral) else sign * np.float32(neutral)
        itself = AcceptedLever(group=self._cells.group, scope=dict(scope), lever=lever, target=target, signal=signal)
        rows = first[self._asked(lever, x, float(floor), itself)[first]]
        passes = x[rows] >= sign * np.float32(target)
        return self._evidence(codes, lever, signal, target, rows, passes)

    def neutral(self, lever: str, signal: str) -> float | None:
        """Value of a lever on a signal without any override; None where it is not known.

        That of the lever where it has one, what was known before an override moved it, or the median of the knob
        that the trader logged: under an override that is the override's value, so whoever publishes keeps the first.
        """
        if LEVERS[lever].neutral is not None:
            return LEVERS[lever].neutral
        if (lever, signal) in self._knobs:
            return self._knobs[lever, signal]
        knob = f"knobs.{lever.rpartition('.')[2]}"
        by_signal = any(name.startswith(f"{knob}.") for name in self._cells.measure_names())
        # What an entry waits for may have a knob for each signal, as {"TS": 0.3}.
        logged = self._cells.measure(f"{knob}.{signal}" if by_signal else knob, self._prepared.rows)
        known = logged[self._prepared.clustered.first & ~np.isnan(logged)]
        return _shortest(np.quantile(known, 0.5, method="higher")) if len(known) else None

    def _tests(self) -> Iterator[_Test]:
        """Levers with a logged signal, and where it could be cut."""
        logged = [name.removeprefix("signals.") for name in self._cells.measure_names() if name.startswith("signals.")]
        for lever in levers_of(self._cells.action_category, "execution"):
            if lever.name == "wait_n_bars_after_trim" and self._cells.action_category != "add":
                continue  # what waits at a trim is the next add
            wanted = logged if lever.name in ANY_SIGNAL else [_SIGNAL_OF.get(lever.name, "")]
            for signal in [name for name in wanted if name in logged]:
                neutral = self.neutral(lever.name, signal)
                if neutral is None or not lever.holds(neutral):
                    continue
                sign = -1.0 if lever.name in UPPER_BOUNDS else 1.0
                x = sign * self._cells.measure(f"signals.{signal}", self._prepared.rows)
                floor = float(sign * np.float32(neutral))
                known = x[self._prepared.clustered.first & (x >= floor)]
                if len(known):
                    at = np.unique(np.quantile(known, np.arange(1, _CUTS) / _CUTS, method="higher"))
                    cuts = np.array([cut for cut in at.tolist() if cut > floor and lever.holds(sign * cut)])
                    part = np.searchsorted(cuts, x, side="right")
                    part[~self._asked(lever.name, x, floor)] = -1
                    yield _Test(lever.name, signal, sign, cuts, part)

    def _subsets(self) -> Iterator[npt.NDArray[np.int32]]:
        """The group, and each value that it shows, in the order of values.

        No finer ones: the cut is estimated besides, which takes trades that finer scopes do not have.
        """
        n_dims = len(self._cells.dimensions)
        yield np.zeros(n_dims, dtype=np.int32)
        shown = [np.unique(self._prepared.clustered.codes[:, d]).tolist() for d in range(n_dims)]
        pinned = [(d, code) for d in range(n_dims) for code in shown[d] if code]
        codes = np.zeros((len(pinned), n_dims), dtype=np.int32)
        for i, (d, code) in enumerate(pinned):
            codes[i, d] = code
        yield from codes[self._cells.ordered(codes)]

    def _validated(
        self, codes: npt.NDArray[np.int32], first: npt.NDArray[np.int64], test: _Test, alpha: float
    ) -> LeverEvidence | None:
        """Evidence of cuts that were chosen before; None where there are too few trades to choose.

        Errors are cautious where p is within alpha already.
        """
        rows = first[test.part[first] >= 0]
        n_min = self._n_min(int((codes != 0).sum()))
        if len(rows) < 2 * n_min or not len(test.cuts):
            return None
        part, fold = test.part[rows], self._fold[rows]
        shape = (_FOLDS, len(test.cuts) + 1)
        place = fold * shape[1] + part
        n = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
        rr = np.bincount(place, weights=self._rr[rows], minlength=shape[0] * shape[1]).reshape(shape)
        chosen = _best_cuts(n.cumsum(axis=0), rr.cumsum(axis=0), n_min)  # by all up to a stretch
        before = np.concatenate([[-1], chosen[:-1]])[fold]
        cut = before >= 0
        if not cut.any():
            return None
        target = _shortest(test.sign * test.cuts[chosen[-1]])
        asked = (codes, test.lever, test.signal, target, rows[cut], (part > before)[cut])
        found = self._evidence(*asked, cautious=False)
        return self._evidence(*asked) if found is not None and found.p_value <= alpha else found

    def _evidence(
        self,
        codes: npt.NDArray[np.int32],
        lever: str,
        signal: str,
        target: float,
        rows: npt.NDArray[np.int64],
        passes: npt.NDArray[np.bool_],
        *,
        cautious: bool = True,
    ) -> LeverEvidence | None:
        """Mean of those that pass less mean of those that do not, with the largest error of any clustering."""
        n, n_stopped = len(rows), int((~passes).sum())
        if n_stopped in (0, n):
            return None
        rr = self._rr[rows]
        effect = float(rr[passes].mean() - rr[~passes].mean())
        centred = np.where(passes, rr - rr[passes].mean(), rr[~passes].mean() - rr)
        scores = centred / np.where(passes, n - n_stopped, n_stopped)
        clusterings = [self._blocks, *(self._prepared.clustered.of_regime(codes) if cautious else ())]
        found = [_error(scores, passes, clusters[rows]) for clusters in clusterings]
        error, n_clusters = max(each[0] for each in found), min(each[1] for each in found)
        if n_clusters < 2:  # noqa: PLR2004
            return None
        low, high = interval(effect, error, n_clusters)
        means = Means(mean=np.array(effect), error=np.array(error), n=np.array(n), n_clusters=np.array(n_clusters))
        return LeverEvidence(
            lever=lever,
            target=target,
            n=n,
            n_clusters=n_clusters,
            effect_rr=effect,
            error_rr=error,
            ci_low=low,
            ci_high=high,
            added_rr=effect,
            p_value=float(upper_p(means)),
            signal=signal,
            n_stopped=n_stopped,
        )

    def _asked(
        self, lever: str, x: npt.NDArray[np.float64], floor: float, itself: AcceptedLever | None = None
    ) -> npt.NDArray[np.bool_]:
        """Which rows pass today, without those that another standing threshold of the lever stops: (n_rows,) bool."""
        asked = x >= floor  # not where it is NaN
        sign, rows = -1.0 if lever in UPPER_BOUNDS else 1.0, self._prepared.rows
        for each in self._own:
            if each.lever == lever and each != itself:
                signal = sign * self._cells.measure(f"signals.{each.signal}", rows)
                asked &= ~(self._cells.matching(each.scope, rows) & (signal < sign * np.float32(each.target)))
        return asked

    @cached_property
    def _fold(self) -> npt.NDArray[np.int64]:
        """Stretch of time that each row belongs to, of about equally many trades, never within a block of days."""
        blocks = self._blocks
        if not len(blocks):
            return blocks
        n = np.bincount(blocks[self._prepared.clustered.first], minlength=int(blocks.max()) + 1)
        before = np.cumsum(n) - n
        return np.minimum(before * _FOLDS // max(int(n.sum()), 1), _FOLDS - 1)[blocks]

    def _n_min(self, k: int) -> int:
        rules = self._parameters
        return max(rules.lesson_n_min, rules.n_min(k) if k else 0)

    def _holds(self, found: LeverEvidence, bar: float, k: int) -> bool:
        rules = self._parameters
        many = min(found.n_stopped, found.n - found.n_stopped) >= self._n_min(k)
        large = shrunk(found.effect_rr, found.error_rr) >= rules.effect_min_rr
        return (
            many
            and large
            and found.effect_rr > 0.0
            and found.p_value <= bar
            and (found.n_clusters >= rules.min_clusters)
        )


def _best_cuts(n: npt.NDArray[np.int64], rr: npt.NDArray[np.float64], n_min: int) -> npt.NDArray[np.int64]:
    """Where each row of counts and sums by part is cut best: what is above it belongs to the upper side.

    n, rr: (n_choices, n_parts). -1 where no cut leaves n_min on both sides. The best is the one that explains
    most of the variance between its sides, the upper one being better.
    """
    below, above = np.cumsum(n, axis=1)[:, :-1], np.cumsum(n[:, ::-1], axis=1)[:, -2::-1]
    rr_below, rr_above = np.cumsum(rr, axis=1)[:, :-1], np.cumsum(rr[:, ::-1], axis=1)[:, -2::-1]
    possible = (below >= n_min) & (above >= n_min)
    gap = rr_above / np.maximum(above, 1) - rr_below / np.maximum(below, 1)
    explained = np.where(possible, gap * np.sqrt(below * above / np.maximum(below + above, 1)), -np.inf)
    best: npt.NDArray[np.int64] = np.argmax(explained, axis=1)
    return np.where(possible.any(axis=1), best, -1)


def _shortest(value: float) -> float:
    """Shortest decimal that is the same 32-bit float, as which signals and knobs are kept: 0.3, not 0.300000012."""
    return float(str(np.float32(value)))


def _error(
    scores: npt.NDArray[np.float64], passes: npt.NDArray[np.bool_], clusters: npt.NDArray[np.int64]
) -> tuple[float, int]:
    """Clustered error of a difference of means from the scores of its trades; clusters of the side with fewer."""
    total = np.bincount(clusters, weights=scores)
    counts = np.bincount(clusters)
    used = int((counts > 0).sum())
    passing = np.bincount(clusters[passes], minlength=len(counts))
    fewer = min(int((passing > 0).sum()), int((counts > passing).sum()))
    return (float(np.sqrt((total**2).sum() * used / (used - 1))) if used > 1 else 0.0), fewer
