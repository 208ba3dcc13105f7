"""Names: one mapping from types to categories, one canonical form of a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverloop.errors import BadInput
from leverloop.patterns import ACTION_CATEGORIES, MODULES, Module, action_category, canonical_pattern_key

from .strategies import names

# Spec section 2, written out again: what it says is what must happen.
CATEGORY_OF = {
    "entry_immediate": "entry",
    "E1": "entry",
    "E2": "entry",
    "entry": "entry",
    "add": "add",
    "scale_up": "add",
    "trim": "trim",
    "partial_exit": "trim",
    "cut": "exit",
    "emergency_exit": "exit",
    "panic_exit": "exit",
    "exit": "exit",
}


@pytest.mark.parametrize(("action_type", "category"), CATEGORY_OF.items())
@pytest.mark.parametrize("module", MODULES)
def test_each_type_has_its_category_in_any_case(action_type: str, category: str, module: Module) -> None:
    for spelling in (action_type, action_type.upper(), action_type.title()):
        assert action_category(spelling, module) == category


def test_an_allocation_belongs_to_the_decision_maker() -> None:
    assert action_category("Allocation", "dm") == "allocation"
    with pytest.raises(BadInput, match="an allocation only in module dm"):
        action_category("allocation", "pm")


@given(st.text(max_size=20))
def test_an_unknown_type_is_never_a_default(action_type: str) -> None:
    if action_type.lower() in {name.lower() for name in CATEGORY_OF} | {"allocation"}:
        assert action_category(action_type, "dm") in ACTION_CATEGORIES
    else:
        with pytest.raises(BadInput, match="action_type: expected one of add, allocation"):
            action_category(action_type, "dm")


@given(names, names, names, st.sampled_from(MODULES))
def test_every_spelling_of_a_key_has_one_canonical_form(family: str, state: str, motif: str, module: Module) -> None:
    body = f"{family}.{state}.{motif}"
    canonical = f"{module}.{body}"
    for spelling in (canonical, body, f"module={module}|pattern_key={body}"):
        assert canonical_pattern_key(spelling, module) == canonical


@given(st.text("|=. \u00e9", max_size=30), st.sampled_from(MODULES))
def test_what_has_no_names_is_no_key(key: str, module: Module) -> None:
    with pytest.raises(BadInput, match="pattern_key"):
        canonical_pattern_key(key, module)


@pytest.mark.parametrize("key", ["dm.uptrend.S1.buy_flag", "module=dm|pattern_key=uptrend.S1.buy_flag"])
def test_a_key_of_another_module_is_refused(key: str) -> None:
    with pytest.raises(BadInput, match="a key of module pm"):
        canonical_pattern_key(key, "pm")


@pytest.mark.parametrize("key", ["", "a.b", "a..c", "a.b.c.d.e", "a.b.c\n", "a.b.\u00fc", "a b.c.d"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(BadInput, match=r"pattern_key: expected <module>\.<family>"):
        canonical_pattern_key(key, "pm")


def test_a_family_may_be_called_like_a_module() -> None:
    assert canonical_pattern_key("pm.a.b", "pm") == "pm.pm.a.b"
