"""The Java that runs the broker, and its archive of loaded classes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from app.devbroker.jars import KAFKA_VERSION, cache_dir
from leverloop.errors import BadConfig

__all__ = ["check_java", "class_archive", "find_java"]

_MAJOR: Final = 17  # what Kafka 4's broker is compiled for
_WAY_OUT: Final = "install it (Debian: apt install openjdk-17-jre-headless) or name a running broker"


def find_java() -> Path:
    """Path of Java: ``$JAVA_HOME/bin/java`` if JAVA_HOME is set, else the one on PATH.

    Raises
    ------
    BadConfig
        When there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        place = f"in JAVA_HOME={home}" if home else "on PATH"
        raise BadConfig(f"expected Java {_MAJOR} or newer {place}, there is none: {_WAY_OUT}")
    return Path(found).resolve()


def check_java(path: Path) -> None:
    """Refuse a Java that is too old for the broker; costs 0.2 s, so it is not asked at every start.

    Raises
    ------
    BadConfig
        When it is older than Java 17, or says nothing that can be understood.
    """
    answer = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', answer)
    if version is None or int(version[1]) < _MAJOR:
        raise BadConfig(f"expected Java {_MAJOR} or newer, {path} says {answer.strip()[:120]!r}: {_WAY_OUT}")


def class_archive(path: Path) -> Path:
    """Where the archive of the broker's loaded classes lies for one Java; another Java gets another."""
    stamp = hashlib.blake2b(f"{path}:{path.stat().st_mtime_ns}".encode(), digest_size=6).hexdigest()
    return cache_dir() / f"kafka-{KAFKA_VERSION}-{stamp}.jsa"
