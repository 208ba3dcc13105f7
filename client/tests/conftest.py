"""Hypothesis profiles, for when the client is tested by itself: the same as the engine's."""

import os

from hypothesis import settings

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, max_examples=200)
settings.load_profile("ci" if os.environ.get("CI", "").lower() in {"1", "true"} else "dev")
