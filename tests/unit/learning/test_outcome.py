"""Outcomes: names of groups."""

import pytest

from learning.outcome import group_of
from leverloop.patterns import ACTION_CATEGORIES, ActionCategory
from tests.laws.examples import KEY, an_outcome


@pytest.mark.parametrize("category", ACTION_CATEGORIES)
def test_a_group_is_a_pattern_and_a_category(category: ActionCategory) -> None:
    group = group_of(KEY, category)
    assert group == f"{KEY}|{category}"
    assert an_outcome(group=group).action_category == category
