"""Tests of the tests: each module has its own, none waits for a clock, none pretends."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, files, modules, tree

ELSEWHERE: dict[str, str] = {
    # The core is held to laws, which need several of its modules at a time.
    "learning/baseline.py": "tests/laws/test_statistics.py",
    "learning/book.py": "tests/laws/test_book.py",
    "learning/clusters.py": "tests/laws/test_evidence.py",
    "learning/companions.py": "tests/laws/test_cells.py",
    "learning/index.py": "tests/laws/test_cells.py",
    "learning/measures.py": "tests/laws/test_cells.py",
    "learning/places.py": "tests/laws/test_cells.py",
    "learning/ragged.py": "tests/laws/test_cells.py",
    "learning/rows.py": "tests/laws/test_cells.py",
    "learning/vocabulary.py": "tests/laws/test_cells.py",
    "learning/cube.py": "tests/laws/test_cube.py",
    "learning/cube_kernel.py": "tests/laws/test_enumeration.py",
    "learning/edge.py": "tests/laws/test_statistics.py",
    "learning/epochs.py": "tests/laws/test_progress.py",
    "learning/evidence.py": "tests/laws/test_evidence.py",
    "learning/findings.py": "tests/contract/test_table_values.py",
    "learning/kernels.py": "tests/acceptance/test_loop.py",
    "learning/lattice.py": "tests/laws/test_lattice.py",
    "learning/lessons.py": "tests/laws/test_book.py",
    "learning/levers.py": "tests/laws/test_levers.py",
    "learning/progress.py": "tests/laws/test_progress.py",
    "learning/statistics.py": "tests/laws/test_statistics.py",
    # What drives a broker, a database or a process is tested with one.
    "app/demo.py": "tests/acceptance/test_demo.py",
    "app/devbroker": "tests/integration/kafka/test_devbroker.py",
    "app/embedded": "tests/unit/tables/postgres/test_writer.py",
    "app/operator": "tests/acceptance/test_operator.py",
    "app/observe.py": "tests/acceptance/test_loop.py",
    "app/topic_admin": "tests/integration/kafka/test_topic_admin.py",
    "app/topic_reader.py": "tests/integration/test_topic_reader.py",
    "app/topics.py": "tests/acceptance/test_refusal.py",
    "app/transport": "tests/integration/transport/test_faults.py",
}
"""Modules, or whole folders, without test files of their own -> where they are tested."""
UNTESTED: dict[str, str] = {"app/version.py": "one constant, from the package's metadata"}


def mirror(path: Path) -> Path:
    return Path("tests/unit", *path.parts[:-1], f"test_{path.name}")


@pytest.mark.parametrize("path", modules(*PACKAGES), ids=str)
def test_a_module_has_tests(path: Path) -> None:
    if str(path) in UNTESTED:
        assert UNTESTED[str(path)]
        return
    places = [mirror(path), *(Path(ELSEWHERE[name]) for name in map(str, (path, *path.parents)) if name in ELSEWHERE)]
    assert any((ROOT / place).is_file() for place in places), f"{path}: none of {[*map(str, places)]}"


def test_what_is_tested_elsewhere_or_nowhere_is_there() -> None:
    assert {name for name in (*ELSEWHERE, *UNTESTED) if not (ROOT / name).exists()} == set()
    assert {place for place in ELSEWHERE.values() if not (ROOT / place).is_file()} == set()


every_test_file = pytest.mark.parametrize(
    "path", [path for path in files() if path.parts[0] == "tests" or path.parts[:2] == ("client", "tests")], ids=str
)


@every_test_file
def test_a_folder_of_tests_is_a_package(path: Path) -> None:
    assert (ROOT / path.parent / "__init__.py").is_file()


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, by the last part of its name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


@every_test_file
def test_nothing_is_mocked_and_nothing_of_ours_replaced(path: Path) -> None:
    names = [name for name, _ in calls(path)]
    assert {"Mock", "MagicMock", "AsyncMock", "patch"}.isdisjoint(names)
    replaced = [node for name, node in calls(path) if name == "setattr" and "monkeypatch" in ast.unparse(node.func)]
    assert replaced == []


@every_test_file
def test_nobody_waits_for_a_clock(path: Path) -> None:
    """`sleep(0)` lets others run. A moment is allowed between two looks at another process, which tells nobody."""
    from_outside = path.parts[:2] in (("tests", "integration"), ("tests", "acceptance"))
    longest_s = 0.1 if from_outside else 0.0
    waits = [(node.lineno, ast.unparse(node.args[0])) for name, node in calls(path) if name == "sleep"]
    assert [(line, seconds) for line, seconds in waits if not float(seconds) <= longest_s] == []
