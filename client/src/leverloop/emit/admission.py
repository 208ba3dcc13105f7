"""What an emitter takes: only what the engine's parser takes, so that nothing logged becomes a dead letter."""

from __future__ import annotations

import logging
import threading
from typing import Final

from leverloop.events import ActionLogged, TradeClosed, encode_action, encode_trade
from leverloop.scope import DEFAULT_SCHEMA, ScopeSchema

__all__ = ["Admission"]

_LOG: Final = logging.getLogger("leverloop.emit")
_MOST_TOLD: Final = 100  # names that are made up anew for each action would fill log and memory


class Admission:
    """Checks of one emitter, by any thread; of a name in a scope that the engine ignores it warns once.

    Parameters
    ----------
    schema
        Scope schema of the engine; None: the one that is shipped.

    Examples
    --------
    >>> action = ActionLogged(action_id="t1/entry", trade_id="t1", module="pm", pattern_key="foo",
    ...     action_type="entry", event_at_ms=1_760_000_000_000, scope={})
    >>> Admission().action(action, logged_at_ms=1_760_000_000_000)
    Traceback (most recent call last):
    leverloop.errors.BadInput: pattern_key: expected <module>.<family>.<state>.<motif>, each part of [A-Za-z0-9_-]+, \
was 'foo'
    """

    def __init__(self, schema: ScopeSchema | None = None) -> None:
        self._schema: Final = DEFAULT_SCHEMA if schema is None else schema
        self._telling: Final = threading.Lock()
        self._told: Final[set[tuple[str, str]]] = set()

    def action(self, action: ActionLogged, *, logged_at_ms: int) -> bytes:
        """Bytes of an action; `BadInput` with field and value when the engine would refuse it."""
        raw, ignored = encode_action(action, logged_at_ms=logged_at_ms, schema=self._schema)
        if ignored:
            self._tell(action, ignored)
        return raw

    def trade(self, trade: TradeClosed, *, logged_at_ms: int) -> bytes:
        """Bytes of a closed trade; `BadInput` as for an action."""
        return encode_trade(trade, logged_at_ms=logged_at_ms)

    def _tell(self, action: ActionLogged, ignored: tuple[str, ...]) -> None:
        for name in ignored:
            key = (action.module, name)
            with self._telling:
                if key in self._told or len(self._told) == _MOST_TOLD:
                    continue
                self._told.add(key)
            _LOG.warning(
                "scope_name_ignored module=%s name=%r action_id=%r: nothing is learned from it; dimensions of this "
                "module: %s (those of your own: open the emitter with schema=ScopeSchema.load(path))",
                action.module,
                name,
                action.action_id,
                ", ".join(self._schema.modules[action.module].dimensions),
            )
