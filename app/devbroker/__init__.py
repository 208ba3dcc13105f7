"""A real Kafka broker for tests and demonstrations, without Docker: Maven Central's jars, one KRaft node.

It listens on 127.0.0.1 only, without authentication: never a production broker.
"""

from __future__ import annotations

from app.devbroker.broker import DevBroker
from app.devbroker.jars import KAFKA_VERSION, jars

__all__ = ["KAFKA_VERSION", "DevBroker", "jars"]
