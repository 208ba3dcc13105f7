"""The levers: what a lesson may move, how far, and where it rests (spec section 8)."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from leverloop.patterns import ActionCategory

__all__ = ["ANY_SIGNAL", "CAPITAL_LEVERS", "EXECUTION_LEVERS", "LEVERS", "UPPER_BOUNDS", "Lever", "levers_of"]


class Lever(msgspec.Struct, frozen=True, kw_only=True):
    """One lever: bounds and neutral are hard limits, checked in the publisher and again in the client."""

    name: str
    kind: Literal["capital", "execution"]
    categories: tuple[ActionCategory, ...]
    low: float
    high: float
    neutral: float | None
    """Value without any lesson; None where it is the value that the trader's own knob has."""
    direction: int = 1
    """-1 where a good edge lowers the lever (hold longer)."""

    def holds(self, value: float) -> bool:
        """Whether a value is finite and within the bounds.

        Examples
        --------
        >>> LEVERS["size_mult"].holds(1.3), LEVERS["size_mult"].holds(float("nan"))
        (True, False)
        """
        return math.isfinite(value) and self.low <= value <= self.high


def _table() -> tuple[Lever, ...]:
    enter: tuple[ActionCategory, ...] = ("entry", "add")
    leave: tuple[ActionCategory, ...] = ("trim", "exit")

    def capital(name: str, on: tuple[ActionCategory, ...], low: float, high: float, direction: int = 1) -> Lever:
        return Lever(name=name, kind="capital", categories=on, low=low, high=high, neutral=1.0, direction=direction)

    def execution(name: str, on: tuple[ActionCategory, ...], low: float, high: float, neutral: float | None) -> Lever:
        return Lever(name=name, kind="execution", categories=on, low=low, high=high, neutral=neutral)

    thresholds: dict[str, tuple[ActionCategory, ...]] = {
        "min_ts_for_add": ("add",), "min_dx_for_add": ("add",), "max_edx_for_add": ("add",),
        "min_ox_for_trim": ("trim",), "wait_for_signal": ("entry",),
    }  # fmt: skip
    return (
        capital("size_mult", enter, 0.7, 1.3),
        capital("entry_aggression_mult", enter, 0.8, 1.2),
        capital("exit_aggression_mult", leave, 0.8, 1.2, direction=-1),
        capital("alloc_mult", ("allocation",), 0.7, 1.3),
        execution("entry_delay_bars", enter, 0.0, 5.0, 0.0),
        execution("phase1_frac_mult", ("entry",), 0.5, 1.5, 1.0),
        *(execution(f"phase_scaling.{state}", ("add",), 0.5, 1.5, 1.0) for state in ("S1", "S2", "S3")),
        execution("trim_delay_mult", ("trim",), 0.5, 2.0, 1.0),
        execution("trail_mult", leave, 0.5, 2.0, 1.0),
        execution("panic_trigger_mult", ("exit",), 0.5, 1.5, 1.0),
        execution("wait_n_bars_after_trim", ("trim", "add"), 0.0, 10.0, 0.0),
        *(execution(f"signal_thresholds.{name}", on, 0.0, 1.0, None) for name, on in thresholds.items()),
    )


LEVERS: Final[dict[str, Lever]] = {lever.name: lever for lever in _table()}
CAPITAL_LEVERS: Final = frozenset(name for name, lever in LEVERS.items() if lever.kind == "capital")
EXECUTION_LEVERS: Final = frozenset(LEVERS) - CAPITAL_LEVERS
ANY_SIGNAL: Final = frozenset({"signal_thresholds.wait_for_signal"})
"""Bounds on a signal that the name of the lever does not tell: the override does."""
UPPER_BOUNDS: Final = frozenset({"signal_thresholds.max_edx_for_add"})
"""Thresholds that stop what is above them; all others stop what is below."""


def levers_of(category: ActionCategory, kind: Literal["capital", "execution"]) -> tuple[Lever, ...]:
    """Levers of one kind that a category may move, in the table's order.

    Notes
    -----
    Source: spec section 8.

    Examples
    --------
    >>> [lever.name for lever in levers_of("entry", "capital")]
    ['size_mult', 'entry_aggression_mult']
    """
    return tuple(lever for lever in LEVERS.values() if lever.kind == kind and category in lever.categories)
