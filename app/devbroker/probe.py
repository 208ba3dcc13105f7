"""Does a Kafka broker answer? One packet of its protocol, so that nobody has to run an event loop to ask."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from typing import Final

__all__ = ["free_ports", "lists_a_broker"]

_HOST: Final = "127.0.0.1"
_TIMEOUT_S: Final = 1.0
_METADATA: Final = 3
_VERSION: Final = 2
_NO_CLIENT_ID: Final = -1
_NO_TOPICS: Final = 0
_HEAD: Final = struct.Struct(">iii")  # length, correlation id, number of brokers


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((_HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def lists_a_broker(port: int, cluster_id: str) -> bool:
    """Whether the broker at a port of 127.0.0.1 belongs to a cluster, and is ready.

    An open port is not enough: until it is registered and unfenced, a broker leaves itself out of its
    own list of brokers, and topics cannot be created. And another broker may sit on the port.

    Notes
    -----
    Source: Kafka protocol guide, request header v1 and Metadata v2 (the oldest that names the cluster).
    """
    request = struct.pack(">hhihi", _METADATA, _VERSION, 1, _NO_CLIENT_ID, _NO_TOPICS)
    try:
        with socket.create_connection((_HOST, port), _TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(4096)  # a hundred bytes from one node, in one packet
    except OSError:
        return False
    if len(answer) < _HEAD.size:
        return False
    _, _, brokers = _HEAD.unpack_from(answer)
    return brokers > 0 and cluster_id.encode() in answer
