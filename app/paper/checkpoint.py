"""The checkpoint of a paper run: what it knows, and what it is about to log.

1. Events are logged only after a checkpoint that holds them is on the disk: an outbox.
2. A run that starts from a checkpoint logs its outbox first. What had been logged already is logged again,
   byte for byte: the same id with the same content changes nothing.
3. So no event is ever logged that a restarted run would not know of, and none that it would decide anew
   from another snapshot: the same id never gets other content, whenever the process dies.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

import msgspec

from app.paper.tally import PaperSummary
from leverloop.errors import BadConfig
from leverloop.events import ActionLogged, TradeClosed

__all__ = ["Checkpoint"]

_VERSION: Final = 1


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run goes on from."""

    version: Literal[1] = _VERSION
    market: bytes
    pm: bytes
    summary: PaperSummary
    actions: list[tuple[int, ActionLogged]] = []
    """Place among the events that are about to be logged, and the event."""
    trades: list[tuple[int, TradeClosed]] = []

    @property
    def outbox(self) -> list[ActionLogged | TradeClosed]:
        """Events that were about to be logged, in order."""
        both: list[tuple[int, ActionLogged | TradeClosed]] = [*self.actions, *self.trades]
        return [event for _, event in sorted(both, key=lambda pair: pair[0])]

    @classmethod
    def of(
        cls, *, market: bytes, pm: bytes, summary: PaperSummary, outbox: list[ActionLogged | TradeClosed]
    ) -> Checkpoint:
        """Checkpoint with these events in its outbox."""
        return cls(
            market=market,
            pm=pm,
            summary=summary,
            actions=[(i, event) for i, event in enumerate(outbox) if isinstance(event, ActionLogged)],
            trades=[(i, event) for i, event in enumerate(outbox) if isinstance(event, TradeClosed)],
        )

    @classmethod
    def load(cls, path: Path) -> Checkpoint | None:
        """Checkpoint of a file; None if there is no such file, BadConfig if it is none."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadConfig(f"checkpoint {path}: {error}") from error
        try:
            return msgspec.msgpack.decode(raw, type=cls)
        except msgspec.DecodeError as error:
            raise BadConfig(f"checkpoint {path}: expected one of version {_VERSION} ({error}); remove it") from error

    def save(self, path: Path) -> None:
        """Write the file so that, whenever the machine stops, either it or the one before is there."""
        raw = msgspec.msgpack.encode(self)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        with new.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
