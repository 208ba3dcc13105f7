"""The jars are fetched once, whole or not at all; what is missing is named, with the way out."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.devbroker.jars import KAFKA_VERSION, jars
from app.devbroker.java import check_java, class_archive, find_java
from leverloop.errors import BadConfig, Unavailable

# A Maven that notes its call and "downloads" one jar.
MAVEN = """#!/bin/sh
echo called >> "$0.calls"
for argument; do case $argument in -DoutputDirectory=*) out=${argument#-DoutputDirectory=};; esac; done
/bin/mkdir -p "$out" && echo jar > "$out/kafka.jar"
"""
BROKEN_MAVEN = """#!/bin/sh
echo '[ERROR] Could not transfer artifact: Connection refused'
exit 1
"""


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH, empty."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return path


def test_parallel_callers_download_once_and_all_get_the_jars(bin_dir: Path, tmp_path: Path) -> None:
    maven = _program(bin_dir / "mvn", MAVEN)
    together = threading.Barrier(4)

    def call(_: int) -> Path:
        together.wait()
        return jars()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(call, range(4)))
    assert found == [tmp_path / "cache/leverloop" / f"kafka-{KAFKA_VERSION}"] * 4
    assert [jar.name for jar in found[0].iterdir()] == ["kafka.jar"]
    assert maven.with_name("mvn.calls").read_text() == "called\n"


def test_failed_download_leaves_nothing_that_looks_complete(bin_dir: Path) -> None:
    maven = _program(bin_dir / "mvn", BROKEN_MAVEN)
    with pytest.raises(Unavailable, match=r"\(exit 1\): Could not transfer artifact: Connection refused\. Check the"):
        jars()
    maven.write_text(MAVEN)
    assert (jars() / "kafka.jar").exists()


def test_missing_maven_is_named_with_the_way_out(bin_dir: Path) -> None:
    with pytest.raises(BadConfig, match=r"expected Maven \(mvn\) on PATH .* apt install maven.* LEVERLOOP_TEST_KAFKA"):
        jars()


def test_missing_java_is_named_with_the_place_looked_at(bin_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadConfig, match=r"expected Java 17 or newer on PATH, there is none: install it"):
        find_java()
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(BadConfig, match="in JAVA_HOME=/nowhere, there is none"):
        find_java()


@pytest.mark.parametrize("says", ['openjdk version "11.0.21" 2023-10-17', 'java version "1.8.0_392"', "gibberish"])
def test_too_old_a_java_is_refused(bin_dir: Path, says: str) -> None:
    java = _program(bin_dir / "java", f"#!/bin/sh\necho '{says}' >&2\n")
    with pytest.raises(BadConfig, match=r"expected Java 17 or newer, .*/java says"):
        check_java(java)


@pytest.mark.parametrize("says", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "25" 2025-09-16'])
def test_java_17_and_newer_is_taken_and_has_an_archive_of_its_own(bin_dir: Path, says: str) -> None:
    java = _program(bin_dir / "java", f"#!/bin/sh\necho '{says}' >&2\n")
    check_java(find_java())
    other = _program(bin_dir / "other", "#!/bin/sh\n")
    assert class_archive(java) != class_archive(other)


def _program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path
