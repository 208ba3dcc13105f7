"""Large arrays are mappings of their own: they go back to the system at once, whatever was freed before."""

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from app.malloc import map_large_blocks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

assert map_large_blocks()
before = resident()
held = []
for size in range(1, 60):  # columns that grow, one copy after another
    held = [np.ones(size * 40_000) for _ in range(8)] + [np.ones(1) for _ in held]
del held
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_what_was_freed_is_not_held() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 * 1024 * 1024
