"""Leverloop's client: log what was done, read what was learned, apply it within bounds.

Names are imported when they are first used: ``import leverloop`` costs next to nothing, and nobody pays for
a driver that is not used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from leverloop.applying import (
        StrengthLevers,
        apply_alloc_overrides,
        apply_pattern_execution_overrides,
        apply_pattern_strength_overrides,
    )
    from leverloop.blocking_book import BlockingLiveBook, open_blocking_book
    from leverloop.book import OverrideBook
    from leverloop.emit import Emitter, EmitterStatus, open_blocking_emitter, open_emitter
    from leverloop.errors import BadConfig, BadInput, InvariantBroken, LeverloopError, Unavailable
    from leverloop.events import (
        ActionLogged,
        Controls,
        Counterfactual,
        Decision,
        DecisionOverride,
        Regime,
        TradeClosed,
    )
    from leverloop.feeds import Feed, FeedRecord, open_feed
    from leverloop.live import LiveBook
    from leverloop.patterns import action_category, canonical_pattern_key
    from leverloop.regime import PhaseRecord, regime_scope
    from leverloop.resolution import Resolution
    from leverloop.scope_builder import build_dm_scope, build_pm_scope
    from leverloop.snapshot import Snapshot, decode_snapshot

__all__ = [
    "ActionLogged",
    "BadConfig",
    "BadInput",
    "BlockingLiveBook",
    "Controls",
    "Counterfactual",
    "Decision",
    "DecisionOverride",
    "Emitter",
    "EmitterStatus",
    "Feed",
    "FeedRecord",
    "InvariantBroken",
    "LeverloopError",
    "LiveBook",
    "OverrideBook",
    "PhaseRecord",
    "Regime",
    "Resolution",
    "Snapshot",
    "StrengthLevers",
    "TradeClosed",
    "Unavailable",
    "action_category",
    "apply_alloc_overrides",
    "apply_pattern_execution_overrides",
    "apply_pattern_strength_overrides",
    "build_dm_scope",
    "build_pm_scope",
    "canonical_pattern_key",
    "decode_snapshot",
    "open_blocking_book",
    "open_blocking_emitter",
    "open_emitter",
    "open_feed",
    "regime_scope",
]

_NAMES_OF: Final = {
    "applying": (
        "StrengthLevers",
        "apply_alloc_overrides",
        "apply_pattern_execution_overrides",
        "apply_pattern_strength_overrides",
    ),
    "blocking_book": ("BlockingLiveBook", "open_blocking_book"),
    "book": ("OverrideBook",),
    "emit": ("Emitter", "EmitterStatus", "open_blocking_emitter", "open_emitter"),
    "errors": ("BadConfig", "BadInput", "InvariantBroken", "LeverloopError", "Unavailable"),
    "events": (
        "ActionLogged", "Controls", "Counterfactual", "Decision", "DecisionOverride", "Regime", "TradeClosed",
    ),
    "feeds": ("Feed", "FeedRecord", "open_feed"),
    "live": ("LiveBook",),
    "patterns": ("action_category", "canonical_pattern_key"),
    "regime": ("PhaseRecord", "regime_scope"),
    "resolution": ("Resolution",),
    "scope_builder": ("build_dm_scope", "build_pm_scope"),
    "snapshot": ("Snapshot", "decode_snapshot"),
}  # fmt: skip
_HOME_OF: Final = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'leverloop' has no attribute {name!r}")
    value = getattr(import_module(f"leverloop.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
