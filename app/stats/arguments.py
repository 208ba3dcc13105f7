"""A scope subset as somebody typed it, with the types and the vocabulary of the scope schema."""

from __future__ import annotations

from collections.abc import Iterable

from leverloop.errors import BadInput
from leverloop.patterns import Module
from leverloop.scope import Scope, ScopeSchema, ScopeValue

__all__ = ["scope_of"]


def scope_of(arguments: Iterable[str], schema: ScopeSchema, module: Module) -> Scope:
    """Scope subset of ``dimension=value`` arguments, values typed by the schema, in bit order.

    Raises
    ------
    BadInput
        For an argument of another form, a dimension that the module does not have or that is named twice, and
        a value that is missing or outside of the vocabulary: with what would do.

    Examples
    --------
    >>> from leverloop.scope import DEFAULT_SCHEMA
    >>> scope_of(["bucket_rank_position=2", "macro_phase=Dip"], DEFAULT_SCHEMA, "pm")
    {'macro_phase': 'Dip', 'bucket_rank_position': 2}
    """
    found: Scope = {}
    known = schema.modules[module].dimensions
    for argument in arguments:
        name, sign, text = argument.partition("=")
        if not sign:
            raise BadInput("--scope", "dimension=value, such as bucket=micro", argument)
        if name not in known:
            raise BadInput(f"scope.{name}", f"a dimension of {module}, one of {', '.join(known)}", name)
        if name in found:
            raise BadInput(f"scope.{name}", "one value", f"{found[name]} and {text}")
        pinned, _ = schema.normalise({name: _typed(schema, name, text)}, module)
        if name not in pinned:
            raise BadInput(f"scope.{name}", "a value; what is missing pins nothing: leave it out", text)
        found |= pinned
    return schema.ordered(found)


def _typed(schema: ScopeSchema, name: str, text: str) -> ScopeValue:
    """Return the number, where the dimension has numbers and the text is one; the schema judges the rest."""
    dimension = schema.dimension(name)
    if dimension is None or dimension.low is None:
        return text
    try:
        return int(text)
    except ValueError:
        return text
