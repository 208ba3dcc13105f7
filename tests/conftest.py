"""What every test may use: Hypothesis profiles, and the fixtures of the parts that need a server."""

import os

from hypothesis import settings

from tests.kafka_fixture import kafka_broker, own_kafka_broker, unique_id

__all__ = ["kafka_broker", "own_kafka_broker", "unique_id"]

# dev looks for new examples at each run; ci repeats the same ones, so that a red build is red again.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, max_examples=200)
settings.load_profile("ci" if os.environ.get("CI", "").lower() in {"1", "true"} else "dev")
