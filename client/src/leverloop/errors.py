"""Errors of Leverloop. The type says whose fault it is; the fault says what to do.

LeverloopError
├── BadInput         the sender's: the record goes to the dead letters, the stream goes on
├── BadConfig        the operator's: refuse to start
├── Unavailable      somebody else's, for now: wait retry_after_s, commit nothing
└── InvariantBroken  ours: stop at once, commit nothing
"""

from __future__ import annotations

from typing import Any

__all__ = ["BadConfig", "BadInput", "InvariantBroken", "LeverloopError", "Unavailable"]

_SHOWN_CHARS = 120


class LeverloopError(Exception):
    """Root of everything that Leverloop raises across a package border."""


class BadInput(LeverloopError):
    """A record that breaks the event contract (spec section 4).

    Parameters
    ----------
    field
        Path of the offending field, such as ``controls.signals.TS``; ``$`` for the record as a whole.
    expected
        What the contract asks for.
    value
        What was found; shown cut to 120 characters.

    Examples
    --------
    >>> str(BadInput("rr", "a finite number", float("nan")))
    'rr: expected a finite number, was nan'
    """

    def __init__(self, field: str, expected: str, value: Any = ...) -> None:
        self.field = field
        self.expected = expected
        self.value = value
        was = "" if value is ... else f", was {_shown(value)}"
        super().__init__(f"{field}: expected {expected}{was}")


class BadConfig(LeverloopError):
    """A setting, a file or a topic layout that cannot be worked with; the message names the way out."""


class Unavailable(LeverloopError):
    """A broker, database or file that does not answer now.

    Parameters
    ----------
    message
        What does not answer and where.
    retry_after_s
        When to ask again, in seconds.
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class InvariantBroken(LeverloopError):
    """Something that cannot be, was: a bug of ours or a damaged store. Never catch it to go on."""


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, an integer of thousands of digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
