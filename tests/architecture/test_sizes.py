"""Files and functions stay small enough to be read in one go (house rules: 400 lines, 60 lines, no drawers)."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, files, tree

FILE_LINES = 400
FUNCTION_LINES = 60
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "types", "base", "shared", "stuff"}

every_file = pytest.mark.parametrize("path", files(), ids=str)


@every_file
def test_a_file_is_not_too_long(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= FILE_LINES


@every_file
def test_a_function_is_not_too_long(path: Path) -> None:
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}


@every_file
def test_a_thing_has_a_name_of_its_own(path: Path) -> None:
    assert DRAWERS.isdisjoint({*path.parts[:-1], path.stem})
