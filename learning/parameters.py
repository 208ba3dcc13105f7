"""Every number of spec sections 5 to 10 that a user may change, with its default, as one frozen value."""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Final

import msgspec

from leverloop.errors import BadConfig
from leverloop.scope import ScopeSchema

__all__ = ["DAY_MS", "HOUR_MS", "Parameters", "config_hash"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Share = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the core; a different value is a different configuration, with its own hash.

    Examples
    --------
    >>> [Parameters().n_min(k) for k in (1, 2, 3, 5, 7, 10)]
    [10, 10, 20, 30, 50, 50]
    """

    # Attribution (section 5)
    rr_cap: Annotated[float, msgspec.Meta(gt=0.0, le=30.0)] = 10.0
    """rr is winsorised to [-rr_cap, rr_cap], in R. Up to 30 R, squares of a million trades sum up in 64 bits."""
    late_grace_ms: PositiveInt = 7 * DAY_MS
    max_open_ms: PositiveInt = 90 * DAY_MS
    closed_keep_ms: PositiveInt = 30 * DAY_MS
    """How long after its close a trade can still be revised or voided; at least late_grace_ms."""
    outcome_keep_ms: PositiveInt = 365 * DAY_MS
    """How long after its trade's close an outcome is learned from; then it is forgotten."""
    max_companions: PositiveInt = 64
    """Companions carried by one outcome: bounds the bytes of a trade with thousands of actions."""

    # Statistics (section 6): tracked when n >= n_min(k)
    n_min_by_dims: tuple[PositiveInt, ...] = (10, 10, 20, 20, 30, 30, 50)
    recurrence_tau_days: Positive = 30.0

    # Lessons (section 7)
    lesson_n_min: PositiveInt = 20
    lesson_max_dims: PositiveInt = 3
    """Largest subset that is tested; statistics go to the module's max_dims whatever this says."""
    effect_min_rr: Positive = 0.15
    edge_min: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    discovery_alpha: Share = 0.05
    """Of one look at everything: what a subset has to pass to be nominated. Bounds nothing by itself."""
    alpha: Share = 0.02
    """Expected share, at most, of candidates without an effect among those ever activated (docs/lessons.md)."""
    min_clusters: PositiveInt = 8
    """Fewest clusters with a trade inside that a lesson needs."""
    discovery_min_clusters: PositiveInt = 4
    """The same for a candidate, which is not published."""
    forward_min_clusters: PositiveInt = 5
    """Fewest clusters of trades closed after the nomination in which a lesson can be confirmed."""
    candidate_ms: PositiveInt = 365 * DAY_MS
    """How long a candidate may take to be confirmed."""
    rest_ms: PositiveInt = 30 * DAY_MS
    """How long a lesson that retired is not nominated again: nominations cost alpha."""
    incremental_min_rr: Annotated[float, msgspec.Meta(ge=0.0)] = 0.1
    """What a lesson has to add to every lesson of its group with a smaller scope, in R."""
    dormant_ms: PositiveInt = 7 * DAY_MS
    """How long the regime that a lesson pins has to be away for the lesson to be dormant."""
    regrow_frac: Positive = 0.02
    regrow_trades: PositiveInt = 20
    insignificant_epochs: PositiveInt = 28
    """Epochs without significance after which a lesson retires: a week at the default cadence."""
    unseen_ms: PositiveInt = 30 * DAY_MS

    # Levers (section 8)
    edge_ref: Positive = 0.5
    step_ln: Positive = math.log(1.02)
    step_bars: Positive = 0.2
    step_threshold: Positive = 0.05
    size_cap: Share = 0.15
    """Largest mean of |size_mult - 1| over the last day's entries and adds; past it, all sizes are scaled back."""

    # Meta-learners (section 9): the first switches all of them off
    v5_meta_learning_enabled: bool = True
    v5_regime_weights_enabled: bool = True
    """Whether the factors of an edge are weighed by how well they have told what came, by regime."""
    v5_half_life_enabled: bool = True
    """Whether levers of a lesson drift and follow by its own half-life, and a lesson that has faded retires."""
    v5_latent_factors_enabled: bool = True
    """Whether lessons about the same trades count once, and a new one that repeats another is absorbed."""

    # Cadence (section 10)
    epoch_ms: PositiveInt = 6 * HOUR_MS
    epoch_slack_ms: PositiveInt = 10 * 60_000

    def __post_init__(self) -> None:
        if not self.n_min_by_dims or list(self.n_min_by_dims) != sorted(self.n_min_by_dims):
            # The cube cuts a subset's supersets with it: a larger one that may be rarer would be missed.
            raise BadConfig(f"n_min_by_dims: a list that does not fall, was {list(self.n_min_by_dims)}")
        if self.closed_keep_ms < self.late_grace_ms:
            raise BadConfig(f"closed_keep_ms: at least late_grace_ms {self.late_grace_ms}, was {self.closed_keep_ms}")
        if self.outcome_keep_ms < self.closed_keep_ms:
            # Or a correction could bring an outcome back that was forgotten.
            raise BadConfig(
                f"outcome_keep_ms: at least closed_keep_ms {self.closed_keep_ms}, was {self.outcome_keep_ms}"
            )

    @property
    def learns_regime_weights(self) -> bool:
        """Whether regime weights are used (v5.1)."""
        return self.v5_meta_learning_enabled and self.v5_regime_weights_enabled

    @property
    def learns_half_lives(self) -> bool:
        """Whether half-lives are used (v5.2)."""
        return self.v5_meta_learning_enabled and self.v5_half_life_enabled

    @property
    def learns_factors(self) -> bool:
        """Whether latent factors are used (v5.3)."""
        return self.v5_meta_learning_enabled and self.v5_latent_factors_enabled

    def n_min(self, dims: int) -> int:
        """Distinct trades from which a subset of so many dimensions is tracked (spec section 6)."""
        return self.n_min_by_dims[min(dims, len(self.n_min_by_dims)) - 1]

    def has_grown(self, before: int, now: int) -> bool:
        """Whether a group's trades have changed by 2 % or 20, whichever is less (spec section 10).

        Examples
        --------
        >>> Parameters().has_grown(100, 101), Parameters().has_grown(100, 102), Parameters().has_grown(5_000, 4_980)
        (False, True, True)
        """
        return abs(now - before) >= min(self.regrow_trades, max(1.0, self.regrow_frac * before))


def config_hash(parameters: Parameters, schema: ScopeSchema) -> str:
    """Hash of everything that decides what is learned from given events: 32 hex digits."""
    return hashlib.blake2b(msgspec.json.encode((parameters, schema), order="sorted"), digest_size=16).hexdigest()
