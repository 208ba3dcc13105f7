"""The versions this package was written against."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from app.transport.versions import PINNED, check_versions

ROOT = Path(__file__).parents[4]


def test_what_is_installed_is_what_was_tested() -> None:
    check_versions()


def test_the_project_pins_the_same_versions() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {f"{name}=={version}" for name, version in PINNED.items()} <= set(wanted)


def test_faust_without_its_compiled_iterator_is_refused() -> None:
    program = "from app.transport import check_versions; check_versions()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NO_CYTHON": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode != 0
    assert "BadConfig: needed: Faust's compiled extensions (unset NO_CYTHON" in done.stderr
