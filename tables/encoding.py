"""Bytes of a table's value: one version byte, then MessagePack. Every version ever written stays readable."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

from leverloop.errors import InvariantBroken

__all__ = ["Encoding"]

Value = TypeVar("Value")


class Encoding(Generic[Value]):
    """Encoding of one type of value.

    Parameters
    ----------
    version
        First byte of what is written, from `tables.catalogue`.
    kind
        The type.

    Examples
    --------
    >>> numbers = Encoding(1, dict[str, int])
    >>> numbers.decode(numbers.encode({"a": 1}))
    {'a': 1}
    """

    def __init__(self, version: int, kind: type[Value]) -> None:
        self._prefix: Final = bytes([version])
        self._kind = kind
        self._encoder = msgspec.msgpack.Encoder(order="deterministic")
        self._decoder = msgspec.msgpack.Decoder(kind)

    def encode(self, value: Value) -> bytes:
        """Bytes of a value."""
        return self._prefix + self._encoder.encode(value)

    def decode(self, raw: bytes) -> Value:
        """Value of such bytes; InvariantBroken if they are of another version or damaged."""
        if raw[:1] != self._prefix:
            raise InvariantBroken(
                f"{self._kind}: version {raw[:1].hex()} in the table, this engine reads {self._prefix.hex()}"
            )
        try:
            return self._decoder.decode(memoryview(raw)[1:])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvariantBroken(f"{self._kind}: a damaged value in the table: {error}") from error
