"""The README names every option and every counter of the emitter, with its default, and no other."""

import inspect
import re
from pathlib import Path

from leverloop.emit import EmitterStatus
from leverloop.emit.kafka import KafkaEmitter

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.partition("\n## The emitter\n")[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first heading is this."""
    table = SECTION.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_option_has_a_row_with_its_default() -> None:
    wanted = {
        name: "none" if parameter.default is None else str(parameter.default)
        for name, parameter in inspect.signature(KafkaEmitter).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert {name: default for name, default, _ in rows("option of `KafkaEmitter`")} == wanted


def test_every_counter_has_a_row() -> None:
    assert {row[0] for row in rows("field")} == set(EmitterStatus.__struct_fields__)


def test_the_example_is_python() -> None:
    (example,) = re.findall(r"```py\n(.*?)```", SECTION, re.DOTALL)
    compile(example, "README", "exec")
    assert "open_blocking_emitter" in example
