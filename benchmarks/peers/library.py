"""pysubgroup as a peer: its program runs by an interpreter of its own, on the groups as they are here."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.peers.observations import Group, lesson

__all__ = ["PYTHON", "found_by_library"]

PYTHON: Final = Path(__file__).resolve().parents[2] / ".venv" / "bench" / "bin" / "python"
"""`make bench-peers` makes it."""
_PROGRAM: Final = Path(__file__).with_name("subgroups.py")


class _Method(msgspec.Struct, frozen=True):
    seconds: float
    found: list[tuple[str, dict[str, int], int]]


def found_by_library(groups: list[Group]) -> dict[str, tuple[list[dict[str, Any]], float]]:
    """Lessons and seconds by method; nothing where the interpreter is not there."""
    if not PYTHON.is_file():
        print("pysubgroup: skipped, its environment is not there; make bench-peers makes it")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "groups.json")
        path.write_bytes(msgspec.json.encode([_rows(group) for group in groups]))
        told = subprocess.run([str(PYTHON), str(_PROGRAM), str(path)], check=True, stdout=subprocess.PIPE).stdout
    methods = msgspec.json.decode(told, type=dict[str, _Method])
    cells = {group.cells.group: group.cells for group in groups}
    return {
        name: ([_lesson(cells[group], codes, direction) for group, codes, direction in method.found], method.seconds)
        for name, method in methods.items()
    }


def _rows(group: Group) -> dict[str, Any]:
    """One row a trade, with the scope of its first action in the group: the library takes rows as independent."""
    first = np.ones(len(group.trade), dtype=np.bool_)
    first[1:] = group.trade[1:] != group.trade[:-1]
    return {
        "group": group.cells.group,
        "dimensions": list(group.cells.dimensions),
        "codes": group.codes[first].tolist(),
        "rr": group.rr[first].tolist(),
    }


def _lesson(cells: Any, codes: dict[str, int], direction: int) -> dict[str, Any]:
    scope = cells.scope_of(np.array([codes.get(name, 0) for name in cells.dimensions]))
    return lesson(cells.group, scope, float(direction))
