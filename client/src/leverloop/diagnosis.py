"""What is wrong with a record that did not decode: its field and its value, for the dead letter.

Slow, and only for bad records. Whatever the bytes are, the answer is a BadInput and never another error.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from leverloop.errors import BadInput

__all__ = ["check_finite", "diagnose"]

_STEPS: Final = re.compile(r"\[\.\.\.]|\[\d+]|[^.\[\]]+")
_ANY_NAME: Final = "[...]"  # msgspec's word for a value of a mapping, whose name it does not tell
_JSON_TYPES: Final = {
    dict: "object", list: "array", str: "str", int: "int", float: "float", bool: "bool", type(None): "null",
}  # fmt: skip


def diagnose(raw: bytes, error: Exception) -> BadInput:
    """Bad input that names the field and the value which msgspec refused.

    Parameters
    ----------
    raw
        The record's value.
    error
        What msgspec raised about it.

    Examples
    --------
    >>> diagnose(b'{"rr": NaN}', Exception("JSON is malformed")).field
    'rr'
    """
    try:
        document = json.loads(raw)  # accepts NaN and Infinity, so that their field can be named
        check_finite(document)
    except BadInput as not_finite:
        return not_finite
    except RecursionError:
        return BadInput("$", "JSON that is not nested without end", raw[:64])
    except ValueError:
        return BadInput("$", "a JSON object", raw[:64])
    what, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    if what.startswith("Object missing required field `"):
        name = what.split("`")[1]
        return BadInput(f"{path}.{name}".lstrip("."), "a value, the field is missing")
    field, value = _culprit(document, path, what)
    return BadInput(field or "$", _expectation(what), value)


def check_finite(document: Any) -> None:
    """Refuse a document with NaN or an infinity anywhere in it, naming the place.

    Examples
    --------
    >>> check_finite({"controls": {"signals": {"TS": float("inf")}}})
    Traceback (most recent call last):
    leverloop.errors.BadInput: controls.signals.TS: expected a finite number, was inf
    """
    for path, value in _numbers(document, ""):
        if not math.isfinite(value):
            raise BadInput(path or "$", "a finite number", value)


def _numbers(node: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _numbers(value, f"{path}.{name}" if path else str(name))
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from _numbers(value, f"{path}[{i}]")
    elif isinstance(node, float):
        yield path, node


def _expectation(what: str) -> str:
    if what.startswith("Expected "):
        return what.removeprefix("Expected ").replace("`", "")
    if what.startswith("Number"):
        return "a number of double precision"
    return "a JSON object in UTF-8" if what.startswith(("JSON", "Input")) else "a value of the contract"


def _culprit(document: Any, path: str, what: str) -> tuple[str, Any]:
    """Field and value at a path; where that says `[...]`, the first value that the complaint is true of."""
    found = list(_walk(document, _STEPS.findall(path), ""))
    for field, value in found:
        if _meant(value, what):
            return field, value
    return found[0] if found else (path, ...)


def _meant(value: Any, what: str) -> bool:
    if what.startswith("Number"):
        return type(value) is int and abs(value) > sys.float_info.max
    got = what.rpartition("got `")[2].rstrip("`")
    return "got `" not in what or _JSON_TYPES.get(type(value)) == got


def _walk(node: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any]]:
    if not steps:
        yield path, node
        return
    step, rest = steps[0], steps[1:]
    if step == _ANY_NAME and isinstance(node, dict):
        for name, value in node.items():
            yield from _walk(value, rest, f"{path}.{name}".lstrip("."))
    elif step.startswith("[") and isinstance(node, list) and step != _ANY_NAME:
        yield from _walk(node[int(step[1:-1])], rest, f"{path}{step}")
    elif isinstance(node, dict) and step in node:
        yield from _walk(node[step], rest, f"{path}.{step}".lstrip("."))
