"""How statistics are shown: every number, with its unit, and nothing that is not known as a number."""

import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from app.stats.view import NUMBERS, bar, json_lines, scope_text, subset_in_full, subsets_table, utc
from learning.queries import COLUMNS, Subset
from learning.statistics import SubsetStats
from tests.laws.examples import START_MS, some_stats

KNOWN = Subset(
    scope={"bucket": "micro", "bucket_rank_position": 2},
    tracked=True,
    stats=some_stats(effect_rr=-0.5, effect_error_rr=0.125, n_clusters=7, missed_entry_rr=0.6, missed_entry_n=3),
)
UNKNOWN = Subset(
    scope={"curator": "[red]x"},
    tracked=False,
    stats=some_stats(n=1, effect_rr=None, effect_error_rr=None, variance=None, edge_raw=None),
)


def shown(table: Table, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue()


def test_every_number_has_a_unit_and_a_meaning() -> None:
    buckets = {"missed_entry_bucket", "missed_exit_bucket"}
    assert set(NUMBERS) == set(SubsetStats.__struct_fields__) | buckets
    assert set(COLUMNS) <= set(NUMBERS)
    assert all(meaning for _, meaning in NUMBERS.values())


def test_one_subset_shows_every_number() -> None:
    text = shown(subset_in_full("title", KNOWN))
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert set(NUMBERS) <= set(lines)
    assert lines["effect_rr"][:2] == ["-0.5000", "R"]
    assert lines["effect_error_rr"][:2] == ["0.1250", "R"]
    assert lines["win_rate"][:2] == ["60.0", "%"]
    assert lines["missed_entry_bucket"][0] == "small"
    assert lines["last_closed_at_ms"][:3] == utc(START_MS).split()
    assert lines["missed_exit_rr"][:2] == ["not", "known"]


def test_a_table_shows_the_main_numbers_and_the_one_it_is_ordered_by() -> None:
    text = shown(subsets_table("title", [KNOWN, UNKNOWN], 160, by="recurrence_raw"))
    assert "bucket=micro bucket_rank_position=2" in text
    assert "-0.50 ± 0.12" in text
    assert "██████│" in text
    assert "recurrence_raw" in text
    assert "curator=[red]x" in text, "a value is no markup"
    assert "no room" not in text
    assert "recurrence_raw" not in shown(subsets_table("title", [KNOWN, UNKNOWN], 160))


@pytest.mark.parametrize("width", range(80, 180, 9))
@pytest.mark.parametrize("by", COLUMNS)
def test_a_table_keeps_within_any_terminal_by_leaving_numbers_out(by: str, width: int) -> None:
    text = shown(subsets_table("title", [KNOWN, UNKNOWN], width, by=by), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert "micro" in words
    assert "-0.50 ± 0.12" in words
    for heading in ("n", "effect R", "clusters", "delta R", "edge", "win %", "var R²", "trend"):
        assert heading in words, "shown, or said to be left out"
    table, _, left_out = words.partition("no room for ")
    assert bool(left_out) == ("trend" not in table or "var R²" not in table)


def test_json_has_null_where_nothing_is_known() -> None:
    known, unknown = (json.loads(line) for line in json_lines("pm.a.b.c|entry", START_MS, [KNOWN, UNKNOWN]))
    assert known["scope"] == KNOWN.scope
    assert (known["group"], known["module"], known["pattern_key"], known["action_category"]) == (
        "pm.a.b.c|entry",
        "pm",
        "pm.a.b.c",
        "entry",
    )
    assert (known["tracked"], known["epoch_at_ms"], known["missed_entry_bucket"]) == (True, START_MS, "small")
    assert {name: known[name] for name in SubsetStats.__struct_fields__} == msgspec.to_builtins(KNOWN.stats)
    assert (unknown["effect_rr"], unknown["variance"], unknown["edge_raw"], unknown["tracked"]) == (
        None,
        None,
        None,
        False,
    )


@given(st.none() | st.floats(-10, 10), st.floats(0, 10))
def test_a_bar_leans_to_its_side_and_keeps_its_width(value: float | None, largest: float) -> None:
    left, middle, right = (text := bar(value, largest))[:6], text[6], text[7:]
    assert (len(text), middle) == (13, "│")
    assert not (left.strip() and right.strip())
    assert not right.strip() or (value is not None and value > 0)
    assert not left.strip() or (value is not None and value < 0)
    if value is not None and largest and abs(value) >= largest:
        assert (right if value > 0 else left) == "██████"


def test_a_scope_reads_as_it_is_typed() -> None:
    assert scope_text(KNOWN.scope) == "bucket=micro bucket_rank_position=2"
    assert scope_text({}) == "(the whole group)"
