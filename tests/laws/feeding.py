"""Documents of a stream into the cells of its groups, one after another, in whatever order they come."""

from collections.abc import Iterable

import msgspec

from learning.attribution import EMPTY, Trade, close_trade, log_action, outcomes
from learning.baseline import Baselines, baseline_sums
from learning.cells import GroupCells
from learning.epochs import epoch_of
from learning.outcome import OutcomeVoided
from learning.parameters import Parameters
from leverloop.events import parse_action, parse_trade
from leverloop.scope import ScopeSchema
from tests.laws.streams import Document, Stream

__all__ = ["FOREVER_MS", "Groups", "baselines_of", "fed", "in_order"]

FOREVER_MS = 2**53
"""An epoch by whose end everything has closed."""
Groups = dict[str, GroupCells]


def in_order(stream: Stream) -> list[Document]:
    """Actions and closes as they happened."""
    return sorted([*stream[0], *stream[1]], key=lambda document: document["event_at_ms"])


def fed(documents: Iterable[Document], parameters: Parameters, schema: ScopeSchema) -> Groups:
    """Cells of every group; an outcome counts from the end of the epoch that its trade closed in."""
    groups: Groups = {}
    trades: dict[str, Trade] = {}
    for document in documents:
        raw, name = msgspec.json.encode(document), document["trade_id"]
        known = trades.get(name, EMPTY)
        if "action_id" in document:
            action = parse_action(raw, received_at_ms=FOREVER_MS, schema=schema)
            trade = log_action(known, action, parameters)
        else:
            trade = close_trade(known, parse_trade(raw, received_at_ms=FOREVER_MS))
        trades[name] = trade
        if trade is not known:
            _count(groups, trade, parameters, schema)
    return groups


def _count(groups: Groups, trade: Trade, parameters: Parameters, schema: ScopeSchema) -> None:
    for outcome in outcomes(trade, parameters):
        if isinstance(outcome, OutcomeVoided):
            if outcome.group in groups:
                groups[outcome.group].remove(outcome.outcome_id.encode())
            continue
        if outcome.group not in groups:
            groups[outcome.group] = GroupCells(outcome.group, outcome.module, schema)
        groups[outcome.group].put(outcome, epoch_of(outcome.closed_at_ms, parameters))


def baselines_of(groups: Groups, epoch_at_ms: int, schema: ScopeSchema) -> Baselines:
    """Baselines of all categories at an epoch."""
    return Baselines(
        [baseline_sums(cells, epoch_at_ms, schema.modules[cells.module].segment) for cells in groups.values()]
    )
