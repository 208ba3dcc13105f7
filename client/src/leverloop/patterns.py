"""Names of patterns and of what was done with them (spec section 2)."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from leverloop.errors import BadInput

__all__ = ["ACTION_CATEGORIES", "MODULES", "ActionCategory", "Module", "action_category", "canonical_pattern_key"]

Module = Literal["pm", "dm"]
ActionCategory = Literal["entry", "add", "trim", "exit", "allocation"]
MODULES: Final[tuple[Module, ...]] = get_args(Module)
ACTION_CATEGORIES: Final[tuple[ActionCategory, ...]] = get_args(ActionCategory)

_CATEGORY_OF: Final[dict[str, ActionCategory]] = {
    "entry_immediate": "entry", "e1": "entry", "e2": "entry", "entry": "entry",
    "add": "add", "scale_up": "add",
    "trim": "trim", "partial_exit": "trim",
    "cut": "exit", "emergency_exit": "exit", "panic_exit": "exit", "exit": "exit",
    "allocation": "allocation",
}  # fmt: skip
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_BODY_PARTS: Final = 3  # family, state, motif


def action_category(action_type: str, module: Module) -> ActionCategory:
    """Category of an action type, case-insensitive: the one mapping for everybody.

    Raises
    ------
    BadInput
        For an unknown type, and for an allocation outside the Decision Maker: never a default.

    Notes
    -----
    Source: spec section 2.

    Examples
    --------
    >>> action_category("E1", "pm"), action_category("Panic_Exit", "pm"), action_category("allocation", "dm")
    ('entry', 'exit', 'allocation')
    """
    category = _CATEGORY_OF.get(action_type.lower())
    if category is None:
        raise BadInput("action_type", f"one of {', '.join(sorted(_CATEGORY_OF))}", action_type)
    if category == "allocation" and module != "dm":
        raise BadInput("action_type", "an allocation only in module dm", action_type)
    return category


def canonical_pattern_key(pattern_key: str, module: Module) -> str:
    """Canonical form ``<module>.<family>.<state>.<motif>`` of a pattern key.

    Parameters
    ----------
    pattern_key
        Canonical; or ``module=pm|pattern_key=uptrend.S1.buy_flag``; or ``uptrend.S1.buy_flag``.
    module
        Module of the event; a key that names another one is bad input.

    Notes
    -----
    Source: spec section 2.

    Examples
    --------
    >>> canonical_pattern_key("uptrend.S1.buy_flag", "pm")
    'pm.uptrend.S1.buy_flag'
    >>> canonical_pattern_key("module=pm|pattern_key=uptrend.S1.buy_flag", "pm")
    'pm.uptrend.S1.buy_flag'
    """
    named, body = _split(pattern_key)
    parts = body.split(".")
    if named is None and len(parts) == _BODY_PARTS + 1:
        named, parts = parts[0], parts[1:]
    if named is not None and named != module:
        raise BadInput("pattern_key", f"a key of module {module}", pattern_key)
    if len(parts) != _BODY_PARTS or not all(_PART.fullmatch(part) for part in parts):
        raise BadInput("pattern_key", "<module>.<family>.<state>.<motif>, each part of [A-Za-z0-9_-]+", pattern_key)
    return ".".join((module, *parts))


def _split(pattern_key: str) -> tuple[str | None, str]:
    head, bar, tail = pattern_key.partition("|")
    if not bar:
        return None, pattern_key
    if not head.startswith("module=") or not tail.startswith("pattern_key="):
        raise BadInput("pattern_key", "module=<module>|pattern_key=<family>.<state>.<motif>", pattern_key)
    return head.removeprefix("module="), tail.removeprefix("pattern_key=")
