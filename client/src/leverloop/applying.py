"""Where levers meet the trader's own values, at the last moment before an action (spec sections 8 and 12).

All three take a resolution and give back new values; whatever the reason of the resolution was, the result
is safe to trade on: neutral levers leave everything as it is, and what has bounds is clamped to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from leverloop.errors import BadInput
from leverloop.levers import UPPER_BOUNDS
from leverloop.patterns import ACTION_CATEGORIES, ActionCategory
from leverloop.resolution import Resolution

__all__ = [
    "StrengthLevers",
    "apply_alloc_overrides",
    "apply_pattern_execution_overrides",
    "apply_pattern_strength_overrides",
    "whole_bars",
]

_ENTERING: Final = ("entry", "add")
_LEAVING: Final = ("trim", "exit")
_BARS: Final = ("entry_delay_bars", "wait_n_bars_after_trim")
_KNOB_OF: Final = {
    "phase1_frac_mult": "phase1_frac",
    "trim_delay_mult": "trim_delay",
    "panic_trigger_mult": "panic_trigger_level",
}
_UNIT_KNOBS: Final = frozenset({"phase1_frac"})


class StrengthLevers(msgspec.Struct, frozen=True, kw_only=True):
    """What sizes an action: appetite to enter, readiness to leave, share of the book; each in [0, 1]."""

    a_value: float
    e_value: float
    position_size_frac: float


def apply_pattern_strength_overrides(
    resolution: Resolution,
    *,
    category: ActionCategory,
    a_value: float,
    e_value: float,
    position_size_frac: float,
) -> StrengthLevers:
    """Capital levers applied: A and size to entries and adds, E to trims and exits, each clamped to [0, 1].

    Parameters
    ----------
    resolution
        What the book said about the action.
    category
        Category of the action.
    a_value, e_value, position_size_frac
        The trader's own values.

    Raises
    ------
    BadInput
        For a value of the trader's that is not finite, and for an unknown category.

    Notes
    -----
    Source: spec sections 8 and 12.

    Examples
    --------
    >>> resolution = Resolution(reason="MATCHED", levers={"size_mult": 1.2, "entry_aggression_mult": 1.1})
    >>> apply_pattern_strength_overrides(
    ...     resolution, category="entry", a_value=0.5, e_value=0.5, position_size_frac=0.25)
    StrengthLevers(a_value=0.55, e_value=0.5, position_size_frac=0.3)
    """
    if category not in ACTION_CATEGORIES:
        raise BadInput("category", f"one of {', '.join(ACTION_CATEGORIES)}", category)
    a_mult = e_mult = size_mult = 1.0
    if category in _ENTERING:
        a_mult, size_mult = resolution.lever("entry_aggression_mult"), resolution.lever("size_mult")
    elif category in _LEAVING:
        e_mult = resolution.lever("exit_aggression_mult")
    return StrengthLevers(
        a_value=_clamped("a_value", a_value, a_mult, 0.0, 1.0),
        e_value=_clamped("e_value", e_value, e_mult, 0.0, 1.0),
        position_size_frac=_clamped("position_size_frac", position_size_frac, size_mult, 0.0, 1.0),
    )


def apply_pattern_execution_overrides(
    resolution: Resolution, controls: Mapping[str, Any], *, waits_for: str | None = None
) -> dict[str, Any]:
    """Execution levers applied to the knobs of an action; knobs that no lever moves come back as they were.

    Parameters
    ----------
    resolution
        What the book said about the action.
    controls
        The trader's own knobs, named as `applied_knobs` of spec section 4.
    waits_for
        Signal that the trader's ``wait_for_signal`` bounds, where that is one number.

    Returns
    -------
    dict
        Bars are set to the lever's value, rounded by `whole_bars`; thresholds too, unless the trader's own is
        stricter: what a looser one would let in, nobody has seen. ``phase1_frac`` (then
        clamped to [0, 1]), ``trim_delay`` and ``panic_trigger_level`` are multiplied where the trader has
        such a knob; ``trail_mult`` and ``phase_scaling`` are multiplied and start from 1 where it has none.
        ``wait_for_signal`` bounds the signal that its override names: one of bounds by signal, as
        ``{"TS": 0.3}``, is set, and one number only if it bounds that signal.

    Raises
    ------
    BadInput
        For a knob that is to be multiplied and is no finite number.

    Notes
    -----
    Source: spec section 8.

    Examples
    --------
    >>> resolution = Resolution(reason="MATCHED", levers={"entry_delay_bars": 1.6, "phase1_frac_mult": 0.5})
    >>> apply_pattern_execution_overrides(resolution, {"entry_delay_bars": 0, "phase1_frac": 0.4, "max_edx_for_add": 1})
    {'entry_delay_bars': 2, 'phase1_frac': 0.2, 'max_edx_for_add': 1}
    """
    applied = dict(controls)
    for name, value in resolution.levers.items():
        block, _, member = name.partition(".")
        if name in _BARS:
            applied[name] = whole_bars(value)
        elif block == "signal_thresholds":
            applied[member] = _bound(name, applied.get(member), value, resolution.signals.get(name), waits_for)
        elif block == "phase_scaling":
            scaling = applied.get(block) or {}
            if not isinstance(scaling, Mapping):
                raise BadInput(block, "factors by state", scaling)
            applied[block] = {**scaling, member: _product(name, scaling.get(member, 1.0), value)}
        elif name == "trail_mult":
            applied[name] = _product(name, applied.get(name, 1.0), value)
        elif name in _KNOB_OF and applied.get(_KNOB_OF[name]) is not None:
            knob = _KNOB_OF[name]
            product = _product(knob, applied[knob], value)
            applied[knob] = min(1.0, max(0.0, product)) if knob in _UNIT_KNOBS else product
    return applied


def apply_alloc_overrides(
    resolution: Resolution, alloc_frac: float, *, low_frac: float = 0.001, high_frac: float = 0.2
) -> float:
    """Allocation of a Decision Maker with its lever applied, clamped to the configured share.

    Parameters
    ----------
    resolution
        What the book said about the allocation.
    alloc_frac
        Base times the weights of the coefficients. Nothing stays nothing: an allocation that the trader
        refused is not lifted to the lower bound.
    low_frac, high_frac
        Configured share.

    Raises
    ------
    BadInput
        For an allocation that is negative or not finite.

    Notes
    -----
    Source: spec section 13.

    Examples
    --------
    >>> apply_alloc_overrides(Resolution(reason="MATCHED", levers={"alloc_mult": 1.25}), 0.04)
    0.05
    """
    if not alloc_frac >= 0.0:
        raise BadInput("alloc_frac", "a finite number, not negative", alloc_frac)
    if alloc_frac == 0.0:
        return 0.0
    return _clamped("alloc_frac", alloc_frac, resolution.lever("alloc_mult"), low_frac, high_frac)


def whole_bars(bars: float) -> int:
    """Nearest whole number of bars; a half goes to the fewer, toward the neutral of no delay.

    Examples
    --------
    >>> [whole_bars(bars) for bars in (0.5, 0.6, 1.5, 2.49)]
    [0, 1, 1, 2]
    """
    return math.ceil(bars - 0.5)


def _bound(name: str, own: Any, value: float, signal: str | None, waits_for: str | None) -> Any:
    """Bound of a signal: never put on another signal than it was learned of, and never looser than the trader's."""
    if signal is None and isinstance(own, Mapping):
        return own
    if signal is not None and (own is None or isinstance(own, Mapping)):
        known = own or {}
        return {**known, signal: _stricter(name, known.get(signal), value)}
    return _stricter(name, own, value) if signal in (None, waits_for) else own


def _stricter(name: str, own: Any, value: float) -> float:
    if isinstance(own, bool) or not isinstance(own, int | float) or not math.isfinite(own):
        return value
    return min(own, value) if name in UPPER_BOUNDS else max(own, value)


def _clamped(field: str, value: float, mult: float, low: float, high: float) -> float:
    return min(high, max(low, _product(field, value, mult)))


def _product(field: str, value: Any, mult: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(field, "a finite number", value)
    return value * mult
