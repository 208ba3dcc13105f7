"""An emitter for a program without an event loop: its own loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from leverloop.emit import Emitter, EmitterStatus
from leverloop.errors import InvariantBroken
from leverloop.events import ActionLogged, TradeClosed

__all__ = ["BlockingEmitter"]

Answer = TypeVar("Answer")


class BlockingEmitter:
    """The calls of an `Emitter`, each returning when it is done; any thread may make them.

    `log_action` and `log_trade` are the emitter's own, and wait for nothing. Use it with ``with``: leaving it flushes
    and closes. Not to be called on a thread that runs an event loop, except for logging.

    Parameters
    ----------
    emitter
        An emitter that is not open.

    Examples
    --------
    >>> from leverloop.testing import MemoryEmitter
    >>> with BlockingEmitter(MemoryEmitter()) as emitter:
    ...     emitter.flush()
    ...     emitter.status().waiting_count
    0
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter: Final = emitter
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def log_action(self, action: ActionLogged) -> None:
        """Take an action, as the emitter does."""
        self._emitter.log_action(action)

    def log_trade(self, trade: TradeClosed) -> None:
        """Take a closed trade, as the emitter does."""
        self._emitter.log_trade(trade)

    def flush(self, timeout_s: float | None = None) -> None:
        """Return when everything taken so far is in the log; raise as the emitter does."""
        self._done(self._emitter.flush(timeout_s))

    def status(self) -> EmitterStatus:
        """Counters, and what keeps events from being sent."""
        return self._emitter.status()

    def close(self) -> None:
        """Flush, close, and end the thread; raise as the emitter does. In the child of a fork: nothing of that."""
        if self._loop is None:
            return
        if self._pid != os.getpid():
            self._loop = self._thread = None
            return
        try:
            self._done(self._emitter.close())
        finally:
            self._end()

    def __enter__(self) -> Self:
        """Start the thread and open the emitter; raise as the emitter does."""
        if self._loop is not None:
            raise InvariantBroken("the emitter is open already")
        loop = self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        # A daemon: a program that ends without closing must not hang; what it logged is in the buffer on disk.
        self._thread = threading.Thread(target=_serve, args=(loop,), name="leverloop emitter loop", daemon=True)
        self._thread.start()
        try:
            self._done(self._emitter.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close."""
        self.close()

    def _done(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        if self._loop is None:
            work.close()
            raise InvariantBroken("the emitter is not open: use it with `with`")
        if self._pid != os.getpid():
            work.close()
            raise InvariantBroken("the emitter was opened before a fork: open an emitter in each process")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
