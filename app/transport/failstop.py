"""End the process: the one answer to anything that was not foreseen, since what is not committed comes again."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

__all__ = ["EXIT_CODE", "FailStop", "exit_process"]

EXIT_CODE: Final = 70  # EX_SOFTWARE of sysexits.h: the supervisor restarts on it

FailStop = Callable[[str], None]
"""Ends the process and does not return; tests pass one that takes a note instead."""


def exit_process(reason: str) -> NoReturn:  # noqa: ARG001 - logged by whoever calls
    """End the process now: no handler, no ``finally``, no last commit can run any more."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(EXIT_CODE)
