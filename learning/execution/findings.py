"""What is known of an execution lever: its evidence, and what a search found (spec section 8)."""

from __future__ import annotations

import msgspec

from leverloop.scope import ScopeValue

__all__ = ["AcceptedLever", "LeverCandidate", "LeverEvidence", "LeverRecord", "LeverSearch"]


class AcceptedLever(msgspec.Struct, frozen=True, kw_only=True):
    """A lever that stands: the value that the trades of a subset of a group are to have."""

    group: str
    scope: dict[str, ScopeValue]
    lever: str
    target: float
    signal: str = ""
    """What a threshold bounds; of other levers nothing."""


class LeverEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a value of a lever is worth in one scope subset, in R, beside the levers that stand."""

    lever: str
    target: float
    n: int
    """Distinct trades with a known delta, or a known signal."""
    n_clusters: int
    effect_rr: float
    """Mean rr under the target less rr under the lever's neutral; of a threshold, mean rr of the trades that
    it lets through less that of those it stops."""
    error_rr: float
    """Its clustered standard error."""
    ci_low: float
    ci_high: float
    """95 %, of this effect alone: what was searched to find it is not in it."""
    added_rr: float
    """The least that it adds to an accepted lever of a larger scope; the effect where there is none."""
    p_value: float
    """One-sided, of everything the finding claims: an effect above 0, and 0.1 R on top of what stands. Of
    deltas, with the loss below."""
    with_loss_rr: float = 0.0
    """Of deltas: the effect if one more trade lost `rr_cap`; a test of later trades should ask this, too."""
    with_loss_error_rr: float = 0.0
    """Its error."""
    signal: str = ""
    """What a threshold bounds; of other levers nothing."""
    n_stopped: int = 0
    """Of a threshold: those of the n trades that it would have stopped."""


class LeverRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks for a value of a lever, as it is told to others (spec section 8); fields as of `LeverEvidence`."""

    lever: str
    target: float
    n: int
    effect_rr: float
    ci_low: float
    ci_high: float


class LeverCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """Best subset of a group at one number of dimensions for one lever."""

    scope: dict[str, ScopeValue]
    evidence: LeverEvidence


class LeverSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What a search of one group looked at and found."""

    tested_by_dims: tuple[int, ...]
    """Pairs of a subset and a lever's value (of thresholds: its signal) looked at, with 0, 1, 2, ... dimensions."""
    candidates: tuple[LeverCandidate, ...] = ()
    """By lever, then by dimensions."""
