"""Importing the client is cheap and brings in nothing that a PM has not asked for."""

import json
import subprocess
import sys
from pathlib import Path

import leverloop

_HEAVY = ("numpy", "faust", "mode", "aiokafka", "asyncpg", "scipy", "numba")
_PROBE = """
import json, sys, time
before = time.perf_counter()
import leverloop
took_ms = (time.perf_counter() - before) * 1e3
bare = sorted(sys.modules)
for name in leverloop.__all__:
    getattr(leverloop, name)
import leverloop.testing, leverloop.feeds.embedded, leverloop.feeds.file, leverloop.emit.embedded
everything = sorted(sys.modules)
print(json.dumps([took_ms, bare, everything]))
"""


def _probe() -> tuple[float, list[str], list[str]]:
    ran = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True)
    took_ms, bare, everything = json.loads(ran.stdout)
    return took_ms, bare, everything


def test_no_engine_and_no_driver_comes_with_the_client() -> None:
    _, bare, everything = _probe()
    assert not [name for name in everything if name.split(".")[0] in _HEAVY]
    assert not [name for name in bare if name.startswith("leverloop.")]


def test_the_import_takes_at_most_100_ms() -> None:
    assert min(_probe()[0] for _ in range(3)) <= 100.0


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert leverloop.__all__ == sorted(leverloop.__all__)
    assert dir(leverloop) == leverloop.__all__
    for name in leverloop.__all__:
        found = getattr(leverloop, name)
        assert found.__name__ == name
        assert found.__module__.startswith("leverloop.")


def test_the_names_that_a_type_checker_sees_are_those_that_are_there() -> None:
    source = Path(leverloop.__file__).read_text()
    checked = source.partition("if TYPE_CHECKING:")[2].partition("__all__")[0]
    named = {
        word.strip(" ,()") for line in checked.splitlines() for word in line.partition(" import ")[2].split(",") or []
    }
    named |= {line.strip(" ,") for line in checked.splitlines() if line.startswith("        ")}
    assert named - {""} == set(leverloop.__all__)
