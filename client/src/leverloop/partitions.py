"""Which partition a key belongs to: one function for the client, the engine and every tool.

It is the default of Kafka's own producers (murmur2 of the key bytes, sign bit cleared, modulo the
number of partitions), so that a PM written in another language lands on the same partitions.
"""

from __future__ import annotations

from typing import Final

__all__ = ["murmur2", "partition_of"]

_M: Final = 0x5BD1E995
_R: Final = 24
_SEED: Final = 0x9747B28C
_MASK: Final = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key.

    Parameters
    ----------
    key
        Key bytes of the record.
    partitions
        Number of partitions of its topic, at least 1.

    Notes
    -----
    Source: ``org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey``.

    Examples
    --------
    >>> partition_of(b"t000001", 8)
    7
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """32-bit murmur2 hash as Kafka computes it, unsigned.

    Notes
    -----
    Source: Appleby's MurmurHash2 with Kafka's seed 0x9747b28c; vectors from Kafka's ``UtilsTest``.

    Examples
    --------
    >>> murmur2(b"foobar") == -790332482 & 0xFFFFFFFF
    True
    """
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> _R) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15
