"""The exact versions this package was written against: it overrides private methods of three libraries."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import faust.streams

from leverloop.errors import BadConfig

__all__ = ["PINNED", "check_versions"]

PINNED: Final = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}


def check_versions() -> None:
    """Refuse to start on anything but what was tested.

    The compiled stream iterator is part of it: the one in Python acknowledges messages of an assignment
    that has been revoked, and so commits what nobody has worked on.

    Raises
    ------
    BadConfig
        With every deviation and the way out.
    """
    found = {name: _installed(name) for name in PINNED}
    wrong = [f"{name} {PINNED[name]} (found {found[name]})" for name in PINNED if found[name] != PINNED[name]]
    if faust.streams._CStreamIterator is None:
        wrong.append("Faust's compiled extensions (unset NO_CYTHON, install the wheel)")
    if wrong:
        raise BadConfig(f"needed: {', '.join(wrong)}; install from requirements.lock")


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
