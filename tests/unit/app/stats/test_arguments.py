"""Scopes as they are typed: with the schema's types, or refused with what would do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stats.arguments import scope_of
from leverloop.errors import BadInput
from leverloop.patterns import MODULES, Module
from leverloop.scope import DEFAULT_SCHEMA, Scope


@st.composite
def scopes(draw: st.DrawFn) -> tuple[Module, Scope]:
    module = draw(st.sampled_from(MODULES))
    names = draw(st.lists(st.sampled_from(DEFAULT_SCHEMA.modules[module].dimensions), unique=True))
    scope: Scope = {}
    for name in names:
        dimension = DEFAULT_SCHEMA.dimension(name)
        assert dimension is not None
        if dimension.low is not None:
            scope[name] = draw(st.integers(dimension.low, dimension.high))
        elif dimension.values is not None:
            scope[name] = draw(st.sampled_from(dimension.values))
        else:
            scope[name] = draw(st.text("ab=1 ", min_size=1, max_size=5))
    return module, scope


@given(scopes())
def test_what_was_typed_is_what_was_meant(drawn: tuple[Module, Scope]) -> None:
    module, scope = drawn
    found = scope_of([f"{name}={value}" for name, value in scope.items()], DEFAULT_SCHEMA, module)
    assert found == scope
    assert list(found) == list(DEFAULT_SCHEMA.ordered(scope))
    assert [type(found[name]) for name in scope] == [type(value) for value in scope.values()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bucket"], "--scope: expected dimension=value, such as bucket=micro, was 'bucket'"),
        (["chain=sol"], "scope.chain: expected a dimension of pm, one of macro_phase, .*, E_mode, was 'chain'"),
        (["regime=good"], "scope.regime: expected a dimension of pm, one of macro_phase, "),
        (["bucket=huge"], "scope.bucket: expected one of nano, micro, mid, big, large, xl, was 'huge'"),
        (["bucket_rank_position=7"], r"scope.bucket_rank_position: expected an integer 1..6, was 7"),
        (["bucket_rank_position=first"], r"scope.bucket_rank_position: expected an integer 1..6, was 'first'"),
        (["bucket=mid", "bucket=mid"], "scope.bucket: expected one value, was 'mid and mid'"),
        (["bucket="], "scope.bucket: expected a value; what is missing pins nothing: leave it out, was ''"),
        (["bucket=Unknown"], "scope.bucket: expected a value; what is missing pins nothing"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        scope_of(arguments, DEFAULT_SCHEMA, "pm")
