"""Whether the flags of a snapshot let an action have levers, for each kind of lever (spec section 12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from leverloop.resolution import Reason
from leverloop.snapshot import Flags

__all__ = ["Gate", "gates_of"]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Gate of one lever kind: open, or shut by a switch, a regime or a bucket."""

    enabled: bool = True
    lists: tuple[tuple[str, frozenset[str], Reason], ...] = ()
    """Dimension, the values that may pass, and the reason for all others."""

    def shut_by(self, scope: Mapping[str, Any]) -> Reason | None:
        """Return the reason why nothing passes, or None where it does.

        Examples
        --------
        >>> capital, execution = gates_of(Flags(capital_levers_enabled_regimes=("Dip",)))
        >>> capital.shut_by({"macro_phase": "Good"}), capital.shut_by({}), execution.shut_by({})
        ('REGIME_DISABLED', 'REGIME_DISABLED', None)
        """
        if not self.enabled:
            return "DISABLED"
        for dimension, allowed, reason in self.lists:
            if scope.get(dimension) not in allowed:
                return reason
        return None


def gates_of(flags: Flags) -> tuple[Gate, Gate]:
    """Gates of the capital and of the execution levers: what holds for all, and what holds for the kind."""
    regimes, buckets = flags.learning_overrides_enabled_regimes, flags.learning_overrides_enabled_buckets
    return (
        _gate(
            enabled=flags.learning_overrides_enabled and flags.capital_levers_enabled,
            regimes=(regimes, flags.capital_levers_enabled_regimes),
            buckets=(buckets, flags.capital_levers_enabled_buckets),
        ),
        _gate(
            enabled=flags.learning_overrides_enabled and flags.execution_levers_enabled,
            regimes=(regimes, flags.execution_levers_enabled_regimes),
            buckets=(buckets, flags.execution_levers_enabled_buckets),
        ),
    )


def _gate(*, enabled: bool, regimes: tuple[tuple[str, ...], ...], buckets: tuple[tuple[str, ...], ...]) -> Gate:
    lists: list[tuple[str, frozenset[str], Reason]] = []
    lists += [("macro_phase", frozenset(names), "REGIME_DISABLED") for names in regimes if names]
    lists += [("bucket", frozenset(names), "BUCKET_DISABLED") for names in buckets if names]
    return Gate(enabled=enabled, lists=tuple(lists))
