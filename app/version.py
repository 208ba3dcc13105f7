"""Version of the engine: stands in every snapshot."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

__all__ = ["ENGINE_VERSION"]

ENGINE_VERSION: Final = version("leverloop-engine")
