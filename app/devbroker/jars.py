"""The jars of a Kafka broker: downloaded once per version by Maven, kept in the user's cache directory."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from leverloop.errors import BadConfig, Unavailable

__all__ = ["KAFKA_VERSION", "cache_dir", "jars"]

_POM: Final = files("app.devbroker").joinpath("pom.xml").read_text("utf-8")
KAFKA_VERSION: Final = ET.fromstring(_POM).findtext(".//{*}kafka.version", "")  # noqa: S314  # our own file
_DOWNLOAD_TIMEOUT_S: Final = 600.0  # 44 MB of jars and 25 MB of Maven's own plugins, on a slow line


def cache_dir() -> Path:
    """Directory of everything that can be downloaded again: ``$XDG_CACHE_HOME/leverloop``, by default in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "leverloop"


def jars() -> Path:
    """Directory of the broker's jars; downloads them if they are not there (6 s on a fast line, 44 MB).

    Parallel calls, of other processes too, wait for the one that downloads. What lies at the path
    is complete: the directory is renamed into place.

    Raises
    ------
    BadConfig
        When Maven is not installed; the message says what to install.
    Unavailable
        When the download fails; the message carries Maven's last words.
    """
    target = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if not target.is_dir():
        with _locked(target.with_name(f"{target.name}.lock")):
            if not target.is_dir():
                _download(target)
    return target


def _download(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BadConfig(
            "expected Maven (mvn) on PATH to download Kafka, there is none: "
            "install it (Debian: apt install maven), or name a running broker in LEVERLOOP_TEST_KAFKA"
        )
    with tempfile.TemporaryDirectory(prefix=f"{target.name}.part-", dir=target.parent) as scratch:
        pom = Path(scratch, "pom.xml")
        pom.write_text(_POM, "utf-8")
        command = [
            maven,
            "--batch-mode",
            "--quiet",
            "--strict-checksums",
            f"--file={pom}",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={scratch}/jars",
        ]
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_TIMEOUT_S
            )
        except subprocess.TimeoutExpired as late:
            raise Unavailable(
                f"expected the jars of Kafka {KAFKA_VERSION} within {_DOWNLOAD_TIMEOUT_S:.0f} s, "
                f"Maven is still busy: try again, what it has got is kept"
            ) from late
        if done.returncode != 0:
            words = _last_words(done.stdout + done.stderr)
            raise Unavailable(
                f"Maven could not download Kafka {KAFKA_VERSION} (exit {done.returncode}): {words}. "
                "Check the network and ~/.m2/settings.xml, or name a running broker in LEVERLOOP_TEST_KAFKA"
            )
        Path(scratch, "jars").rename(target)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given up with the file, and with the process
        yield


def _last_words(output: str) -> str:
    lines = [line.removeprefix("[ERROR]").strip() for line in output.splitlines()]
    return " ".join(filter(None, lines))[:500] or "it said nothing"
