"""What the tests of the architecture read: every Python file of the project, as git knows it or would."""

import ast
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("app", "streams", "tables", "learning")


@cache
def files() -> tuple[Path, ...]:
    """Python files, by path from the root; ignored ones left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    return tuple(Path(name) for name in sorted(set(listed)) if (ROOT / name).is_file())


@cache
def tree(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse((ROOT / path).read_text(), filename=str(path))


def modules(*packages: str) -> list[Path]:
    """Modules of some packages, the packages' own files left out."""
    return [path for path in files() if path.parts[0] in packages and not path.name.startswith("__")]


def imported_from(path: Path, module: str) -> set[str]:
    """Names that a file imports from a module."""
    return {
        alias.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }
