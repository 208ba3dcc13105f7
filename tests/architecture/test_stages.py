"""The table in `streams/__init__.py` is what the stages are: their topics, their tables, their part of the core."""

import ast
from pathlib import Path

import pytest

import streams
from streams import topics
from tables import catalogue
from tests.architecture.source import ROOT, files, imported_from, tree

NO_STAGES = {"codec", "records", "topics"}
"""Modules of `streams` that stages are written with."""


def table() -> dict[str, dict[str, set[str]]]:
    """Stage -> column -> the names in it."""
    lines = [line for line in (streams.__doc__ or "").splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = {}
    for row in rows:
        names = [{name.strip() for name in cell.split("(")[0].split(",")} - {"-", ""} for cell in row[1:]]
        found[row[0]] = dict(zip(head[1:], names, strict=True))
    return found


def stage_file(stage: str) -> Path:
    return Path("streams") / f"{stage}.py"


stages = pytest.mark.parametrize("stage", table())


def test_every_stage_is_in_the_table_and_nothing_else() -> None:
    found = {path.stem for path in files() if path.parts[0] == "streams" and path.stem != "__init__"}
    assert set(table()) == found - NO_STAGES


@stages
def test_a_stage_is_a_function_of_its_name(stage: str) -> None:
    assert any(isinstance(node, ast.FunctionDef) and node.name == stage for node in tree(stage_file(stage)).body)


@stages
def test_a_stage_knows_its_topics_and_no_others(stage: str) -> None:
    row = table()[stage]
    names = imported_from(stage_file(stage), "streams.topics")
    known = {value for name in names for value in _texts(getattr(topics, name))}
    assert {name.removeprefix("leverloop.") for name in known} == row["topic in"] | row["topic out"]


@stages
def test_a_stage_knows_its_tables_and_its_part_of_the_core(stage: str) -> None:
    row = table()[stage]
    imported = {node.module for node in ast.walk(tree(stage_file(stage))) if isinstance(node, ast.ImportFrom)}
    written = {name.removeprefix("tables.") for name in imported if name and name.startswith("tables.")}
    tables_said = {name for name in row["table"] if name in {spec.name for spec in catalogue.TABLES}}
    holding = {"epochs": "outcomes", "Postgres": "postgres.writer"}  # tables that live in another's module
    assert {holding.get(name, name) for name in row["table"]} <= written
    assert tables_said == row["table"] - {"Postgres"}
    for name in row["core"]:
        assert name in imported, f"{stage} does not import {name}"


def test_stages_and_their_parts_fit_on_a_page() -> None:
    for stage in table():
        assert len((ROOT / stage_file(stage)).read_text().splitlines()) <= 180


def _texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)
