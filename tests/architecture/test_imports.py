"""Who may import whom, and what an import does: nothing (contracts: pyproject.toml)."""

import subprocess
import sys
from pathlib import Path

from tests.architecture.source import PACKAGES, ROOT, files

# Every module but the programs is imported where a Faust app, a connection, a thread and a child process are errors.
_IMPORT_ALL = """
import importlib, socket, subprocess, sys, threading, warnings

def forbidden(what):
    def refuse(*arguments, **names):
        raise AssertionError(f"an import does it: {what}")
    return refuse

import faust.app.base
faust.app.base.App.__init__ = forbidden("a Faust app")
socket.socket.connect = forbidden("a connection")
socket.socket.bind = forbidden("a listener")
threading.Thread.start = forbidden("a thread")
subprocess.Popen.__init__ = forbidden("a child process")
warnings.simplefilter("error")
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv) - 1)
"""


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    parts = parts[2:] if parts[:2] == ("client", "src") else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def everything() -> list[str]:
    ours = [path for path in files() if path.parts[0] in PACKAGES or path.parts[:2] == ("client", "src")]
    return [module_name(path) for path in ours if path.name != "__main__.py"]


def test_the_contracts_hold() -> None:
    found = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "0 broken" in found.stdout


def test_importing_a_module_does_nothing() -> None:
    names = everything()
    assert {"app.worker", "app.cli", "streams.attribute", "learning.book", "leverloop.book"} <= set(names)
    found = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *names], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.split() == [str(len(names))]


def test_the_client_is_imported_without_the_engine() -> None:
    """PM and DM pay for msgspec only."""
    names = [name for name in everything() if name.startswith("leverloop") and ".kafka" not in name]
    program = f"import sys\nfor name in {names!r}: __import__(name)\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"numpy", "numba", "scipy", "faust", "mode", "aiokafka", "asyncpg", *PACKAGES}
    assert heavy.isdisjoint(found.stdout.split())
    assert "msgspec" in found.stdout.split()
