"""The page that works one blend out by hand: its numbers are those of its formulas, and those of the client."""

import math
from typing import Any

import pytest

from leverloop.book import OverrideBook
from leverloop.resolution import Resolution
from leverloop.testing import AT_MS, make_override, make_snapshot
from tests.contract.markdown import rows, sections, text_of

PAGE = sections(text_of("docs/blend.md"))
LIVE = {"macro_phase": "Dip", "bucket": "micro", "timeframe": "1h"}
DAY_MS = 86_400_000


def table(title: str) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in rows(PAGE[title])}


GIVEN = table("")
WEIGHTS = {name: [float(cell) for cell in cells] for name, cells in table("Weights").items()}
MEAN = table("The lever")


def numbers(name: str) -> list[float]:
    """Lever, edge, n, variance, half-life and age of an override."""
    return [float(cell) for cell in GIVEN[name][1:7]]


def scope(name: str) -> dict[str, Any]:
    return {dimension: LIVE[dimension] for dimension in GIVEN[name][0].split(", ")}


def by_the_formula() -> dict[str, list[float]]:
    most = max(len(scope(name)) for name in GIVEN)
    found = {}
    for name in GIVEN:
        _, edge, n, variance, half_life, age = numbers(name)
        parts = [math.tanh(abs(edge)), 1 - math.exp(-n / 25), 1 / (1 + variance), 2 ** (-age / half_life)]
        parts.append((len(scope(name)) / most) ** 1.5)
        found[name] = [*parts, math.prod(parts)]
    for name, parts in found.items():
        factor = [found[other][5] for other in GIVEN if GIVEN[other][7] and GIVEN[other][7] == GIVEN[name][7]]
        shared = parts[5] * max(factor) / sum(factor) if factor else parts[5]
        parts.extend((shared, max(0.0, shared - 0.02)))
    return found


def resolved() -> Resolution:
    found = []
    for name in GIVEN:
        lever, edge, n, variance, half_life, age = numbers(name)
        found.append(
            make_override(
                {"size_mult": lever},
                scope(name),
                edge_raw=edge,
                n=int(n),
                variance=variance,
                half_life_days=half_life,
                updated_at_ms=AT_MS - int(age) * DAY_MS,
                factor_id=GIVEN[name][7] or None,
            )
        )
    book = OverrideBook(make_snapshot(*found), holdout_share=0.0)
    return book.resolve("pm.uptrend.S1.buy_flag", "entry", LIVE, "t1", AT_MS)


def test_each_weight_is_what_the_formula_gives() -> None:
    expected = by_the_formula()
    assert {name: [round(part, 4) for part in parts] for name, parts in expected.items()} == WEIGHTS


def test_the_mean_is_what_the_formula_gives() -> None:
    weights = {name: parts[-1] for name, parts in by_the_formula().items()}
    products = {name: weights[name] * math.log(numbers(name)[0]) for name in GIVEN}
    for name in GIVEN:
        told = [float(cell) for cell in MEAN[name]]
        assert told == [round(x, 4) for x in (weights[name], math.log(numbers(name)[0]), products[name])]
    total, weighted = sum(weights.values()), sum(products.values())
    assert [float(MEAN["sum"][0]), float(MEAN["sum"][2])] == [round(total, 4), round(weighted, 4)]
    assert f"{weighted:.4f} / {total:.4f} = {weighted / total:.4f}" in PAGE["The lever"]
    assert f"**{math.exp(weighted / total):.4f}**" in PAGE["The lever"]


def test_the_client_gives_the_same() -> None:
    resolution = resolved()
    expected = by_the_formula()
    assert sorted(resolution.weights.values()) == pytest.approx(sorted(parts[-1] for parts in expected.values()))
    assert f"**{resolution.levers['size_mult']:.4f}**" in PAGE["The lever"]
