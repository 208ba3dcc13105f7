"""Statistics as a person reads them (tables) and as a program does (one JSON object a line)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from learning.queries import Subset
from learning.statistics import SubsetStats, missed_bucket
from leverloop.scope import ScopeValue

__all__ = ["NUMBERS", "bar", "folded_text", "json_lines", "scope_text", "subset_in_full", "subsets_table", "utc"]

_WHOLE_GROUP: Final = "(the whole group)"
_NOT_KNOWN: Final = "not known"
_SCOPE_CHARS: Final = 20
_BAR_CELLS: Final = 6  # each side of zero
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"

NUMBERS: Final[dict[str, tuple[str, str]]] = {
    "n": ("", "distinct trades"),
    "n_actions": ("", "actions of these trades inside"),
    "avg_rr": ("R", "mean result"),
    "variance": ("R²", "sample variance of the result"),
    "win_rate": ("%", "share of trades above 0 R"),
    "effect_rr": ("R", "mean less that of the group's other trades"),
    "effect_error_rr": ("R", "its standard error, clustered"),
    "n_clusters": ("", "days, or spells of the pinned regime, with a trade inside"),
    "rr_baseline": ("R", "what such trades earn in other groups"),
    "rr_baseline_level": ("", "where most baselines came from"),
    "delta_rr": ("R", "mean result above its baseline"),
    "time_efficiency": ("0..1", "1 / (1 + mean payback in days)"),
    "field_coherence": ("0..1", "share of the segments that agree in sign"),
    "segments_tested": ("", "segments with at least 5 trades"),
    "segments_positive": ("", "of them with the sign of delta_rr"),
    "recurrence_raw": ("R", "mean above baseline, recent trades weigh more"),
    "recurrence_score": ("0..1", "whether recent trades still agree"),
    "emergence_score": ("R", "incremental effect over spread and size; advisory"),
    "edge_raw": ("edge", "ranks lessons and drives levers"),
    "decay_rr_per_day": ("R/day", "slope of the effect over time"),
    "decay_error_rr_per_day": ("R/day", "its standard error"),
    "trend": ("", "the slope, where it is beyond two errors"),
    "half_life_hours": ("h", "until half of the effect is gone"),
    "missed_entry_n": ("", "trades that logged what a better entry was worth"),
    "missed_entry_rr": ("R", "mean of it; a maximum, above 0 on noise alone"),
    "missed_entry_bucket": ("", "size class of that mean"),
    "missed_exit_n": ("", "trades that logged what a better exit was worth"),
    "missed_exit_rr": ("R", "mean of it; a maximum, above 0 on noise alone"),
    "missed_exit_bucket": ("", "size class of that mean"),
    "last_closed_at_ms": ("", "newest close, UTC"),
}
"""Every number of a subset, in the order in which it is shown -> its unit, and what it is."""

_BAR: Final = "bar"
_MAIN: Final = {
    "n": ("n", 7),
    "effect_rr": ("effect R", 13),
    _BAR: ("", 13),
    "n_clusters": ("clusters", 8),
    "delta_rr": ("delta R", 7),
    "edge_raw": ("edge", 6),
    "win_rate": ("win %", 5),
    "variance": ("var R²", 6),
    "trend": ("trend", 9),
}
"""Columns of every table, with short headings and the characters they need."""
_FIRST_TO_GO: Final = (_BAR, "variance", "trend", "win_rate", "n_clusters", "delta_rr")
"""Columns that are left out where a terminal has no room for them, one after the other."""
_GAP: Final = 3  # characters between columns
_SIGNED: Final = ("R", "R/day", "edge")
_BUCKET: Final = "_bucket"


def utc(at_ms: int) -> str:
    """Minute of a time.

    Examples
    --------
    >>> utc(1_700_000_000_000)
    '2023-11-14 22:13 UTC'
    """
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def scope_text(scope: dict[str, ScopeValue]) -> str:
    """Scope as ``--scope`` takes it.

    Examples
    --------
    >>> scope_text({"bucket": "micro", "timeframe": "1h"})
    'bucket=micro timeframe=1h'
    """
    return " ".join(f"{name}={value}" for name, value in scope.items()) or _WHOLE_GROUP


def folded_text(folded: Mapping[str, int]) -> list[str]:
    """Say which values are past what can be coded; nothing where there are none.

    Examples
    --------
    >>> folded_text({"curator": 1200})
    ['counted as missing, for a dimension has 65,534 values at most: curator of 1,200 outcomes']
    >>> folded_text({})
    []
    """
    if not folded:
        return []
    named = ", ".join(f"{name} of {n:,} outcomes" for name, n in folded.items())
    return [f"counted as missing, for a dimension has 65,534 values at most: {named}"]


def bar(value: float | None, largest: float) -> str:
    """Bar from the middle: to the right for a gain, to the left for a loss, full at the largest of the table.

    Examples
    --------
    >>> bar(0.5, 1.0), bar(-1.0, 1.0), bar(None, 1.0)
    ('      │███   ', '██████│      ', '      │      ')
    """
    blank = " " * _BAR_CELLS
    if value is None or not largest:
        return f"{blank}│{blank}"
    eighths = round(min(abs(value) / largest, 1.0) * _BAR_CELLS * 8)
    full, rest = divmod(eighths, 8)
    if value > 0:
        return f"{blank}│{('█' * full + _EIGHTHS[rest].strip()).ljust(_BAR_CELLS)}"
    half = "▐" if rest >= 4 else ""  # there are no eighths that lean to the right
    return f"{(half + '█' * full).rjust(_BAR_CELLS)}│{blank}"


def subsets_table(title: str, subsets: Sequence[Subset], width: int, *, by: str | None = None) -> Table:
    """One row for each subset with its main numbers, and the number they are ordered by; untracked ones are dim.

    Where the width, in characters, is not enough for all of them, the caption says which are left out.
    """
    columns = dict(_MAIN)
    if by and by not in (*_MAIN, "effect_error_rr"):
        columns[by] = (by, max(len(by), 9))
    left_out = _left_out(columns, width, by)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("scope", overflow="fold", min_width=_SCOPE_CHARS)
    shown = [name for name in columns if name not in left_out]
    for name in shown:
        table.add_column(columns[name][0], justify="right", no_wrap=True)
    largest = max((abs(s.stats.effect_rr) for s in subsets if s.stats.effect_rr is not None), default=0.0)
    for subset in subsets:
        cells = [bar(subset.stats.effect_rr, largest) if name == _BAR else _cell(subset.stats, name) for name in shown]
        style = None if subset.tracked or not subset.scope else "dim"
        table.add_row(Text(scope_text(subset.scope)), *cells, style=style)
    if named := [columns[name][0] for name in left_out if name != _BAR]:
        table.caption, table.caption_justify = f"no room for {', '.join(named)}: --json has all", "left"
    return table


def _left_out(columns: Mapping[str, tuple[str, int]], width: int, by: str | None) -> list[str]:
    """Columns for which there is no room beside a scope."""
    left_out: list[str] = []
    needed = _SCOPE_CHARS + sum(chars + _GAP for _, chars in columns.values())
    for name in _FIRST_TO_GO:
        if needed > width and name != by:
            left_out.append(name)
            needed -= columns[name][1] + _GAP
    return left_out


def subset_in_full(title: str, subset: Subset) -> Table:
    """Return every number of one subset with its unit and what it is."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("number")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit")
    table.add_column("what it is", overflow="fold")
    for name, (unit, meaning) in NUMBERS.items():
        table.add_row(name, _text(name, _value(subset.stats, name)) or _NOT_KNOWN, unit, meaning)
    return table


def json_lines(group: str, epoch_at_ms: int, subsets: Iterable[Subset]) -> Iterator[str]:
    """One JSON object for each subset; what is not known is null."""
    key, _, category = group.rpartition("|")
    for subset in subsets:
        row = {
            "group": group,
            "module": key.partition(".")[0],
            "pattern_key": key,
            "action_category": category,
            "epoch_at_ms": epoch_at_ms,
            "scope": subset.scope,
            "tracked": subset.tracked,
            **msgspec.structs.asdict(subset.stats),
            **{name: _value(subset.stats, name) for name in NUMBERS if name.endswith(_BUCKET)},
        }
        yield msgspec.json.encode(row).decode()


def _value(stats: SubsetStats, name: str) -> Any:
    if name.endswith(_BUCKET):
        return missed_bucket(getattr(stats, f"{name.removesuffix(_BUCKET)}_rr"))
    return getattr(stats, name)


def _cell(stats: SubsetStats, name: str) -> str:
    """Text of a number in a table, where two digits of an R are enough."""
    text = _text(name, _value(stats, name), digits=2) or "-"
    if name == "effect_rr" and stats.effect_error_rr is not None:
        text += f" ± {stats.effect_error_rr:.2f}"
    return text


def _text(name: str, value: Any, digits: int = 4) -> str:
    """Text of a number without its unit; empty where it is not known."""
    unit = NUMBERS[name][0]
    if value is None or (name == "last_closed_at_ms" and not value):
        return ""
    if name == "last_closed_at_ms":
        return utc(value)
    if isinstance(value, float):
        if unit in ("%", "h"):
            return f"{value * (100 if unit == '%' else 1):,.1f}"
        signed = unit in _SIGNED and "error" not in name
        return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
