"""Start, stop and kill one Kafka node in KRaft mode: broker and controller in one Java process.

1. A data directory is formatted once; starting on it again keeps every topic, record and offset.
2. `stop` is SIGTERM and an orderly shutdown, `kill` is SIGKILL and a crash. `restart` takes the same
   address and data, so that clients find the broker again.
3. A lock keeps a second broker off a data directory. Kafka has a lock of its own, but takes it only after
   it has "repaired" the metadata log, which truncates that of the broker that runs.
4. The first orderly stop leaves an archive of loaded classes in the cache directory, which halves every
   later start; that one stop takes 3 s instead of 0.3 s.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from app.devbroker.guarded import GuardedProcess
from app.devbroker.jars import jars
from app.devbroker.java import check_java, class_archive, find_java
from app.devbroker.probe import free_ports, lists_a_broker
from app.devbroker.properties import server_properties
from leverloop.errors import InvariantBroken, Unavailable

__all__ = ["DevBroker"]

_START_TIMEOUT_S: Final = 60.0  # 0.8 to 3 s when idle; not half an hour when something is wrong
_STOP_TIMEOUT_S: Final = 20.0
_LOCK_TIMEOUT_S: Final = 5.0  # a broker whose parent was killed is gone within milliseconds
_POLL_S: Final = 0.01
_ATTEMPTS: Final = 3  # a free port can be taken between asking and binding, hardly thrice
_LOG_TAIL_LINES: Final = 4

# One small node that starts often and lives briefly: the serial collector and the first compiler start fastest.
_JVM: Final = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)


class _EndedEarly(Unavailable):
    """Java ended before the broker answered."""


class DevBroker:
    """One Kafka node on 127.0.0.1; not thread-safe, one owner.

    Examples
    --------
    ::

        with DevBroker().start(Path(".leverloop/kafka")) as broker:
            print(broker.bootstrap)
    """

    def __init__(self) -> None:
        self._process: GuardedProcess | None = None
        self._lock: IO[str] | None = None
        self._data_dir: Path | None = None
        self._port = 0
        self._archiving: Path | None = None
        self._log_start = 0
        self._cluster_id = ""

    @property
    def bootstrap(self) -> str:
        """``127.0.0.1:port``, as clients want it; it stays the same through `restart`."""
        if self._port == 0:
            raise InvariantBroken("the broker has no address before it was started")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self._running().pid

    @property
    def log_path(self) -> Path:
        """File with the broker's standard output and error, appended to by each start."""
        return self._dir() / "broker.log"

    def start(self, data_dir: Path, *, port: int = 0) -> Self:
        """Start on a data directory and return when the broker answers.

        Parameters
        ----------
        data_dir
            Kept between starts; created and formatted if it is new.
        port
            Where clients connect; 0 takes a free port.

        Raises
        ------
        BadConfig
            When Java or Maven are missing or too old.
        Unavailable
            When the jars cannot be had, when another broker runs on the directory, or when the broker
            does not come up; with the end of its log.
        """
        if self._process is not None:
            raise InvariantBroken(f"the broker at {self.bootstrap} runs already, pid {self._process.pid}")
        self._data_dir = data_dir.resolve()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._data_dir / "lock")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._launch(port)
                self._await_answer()
                break
            except _EndedEarly:
                self._kill()
                if attempt == _ATTEMPTS:
                    self._unlock()
                    raise
            except BaseException:
                self.kill()
                raise
        return self

    def restart(self) -> Self:
        """Start again, after `stop` or `kill`, at the same address and on the same data."""
        return self.start(self._dir(), port=self._port)

    def stop(self) -> None:
        """End it in order (SIGTERM), or by force after 20 s; nothing happens if it does not run."""
        if self._process is not None:
            in_order = self._process.terminate(_STOP_TIMEOUT_S)
            self._process = None
            if self._archiving is not None and self._archiving.exists():
                if in_order:
                    self._archiving.replace(class_archive(find_java()))
                else:
                    self._archiving.unlink()
        self._unlock()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would; nothing happens if it does not run."""
        self._kill()
        self._unlock()

    def __enter__(self) -> Self:
        self._running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, port: int) -> None:
        assert self._lock is not None
        client_port, controller_port = free_ports(2)
        self._port = port or client_port
        config = self._dir() / "server.properties"
        log_dir = self._dir() / "log"
        config.write_text(server_properties(port=self._port, controller_port=controller_port, log_dir=log_dir), "utf-8")
        java = self._java()
        identity = log_dir / "meta.properties"
        if not identity.exists():
            self._format([*java, "kafka.tools.StorageTool", "format", "-t", _new_cluster_id(), "-c", str(config)])
        self._cluster_id = _cluster_id(identity)
        if self._archiving is not None:
            java.insert(1, f"-XX:ArchiveClassesAtExit={self._archiving}")
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._process = GuardedProcess(
            [*java, "kafka.Kafka", str(config)], cwd=self._dir(), log=self.log_path, keep_open=[self._lock.fileno()]
        )

    def _java(self) -> list[str]:
        java = find_java()
        archive = class_archive(java)
        if archive.exists():  # made by this very Java, which was checked then
            self._archiving = None
            return [str(java), *_JVM, f"-XX:SharedArchiveFile={archive}", "-cp", _classpath()]
        check_java(java)
        self._archiving = archive.with_suffix(f".{os.getpid()}-{id(self):x}")
        return [str(java), *_JVM, "-cp", _classpath()]

    def _format(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise Unavailable(f"Kafka could not format {self._dir()}: {done.stderr.strip()[-500:]}")

    def _await_answer(self) -> None:
        process = self._running()
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not lists_a_broker(self._port, self._cluster_id):
            if process.exit_code is not None:
                raise _EndedEarly(f"Kafka ended with exit code {process.exit_code} while starting: {self._log_tail()}")
            if time.monotonic() > deadline_s:
                raise Unavailable(
                    f"expected Kafka to answer at {self.bootstrap} within {_START_TIMEOUT_S:.0f} s, "
                    f"it is silent: {self._log_tail()}"
                )
            time.sleep(_POLL_S)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _running(self) -> GuardedProcess:
        if self._process is None:
            raise InvariantBroken("the broker does not run; call start first")
        return self._process

    def _dir(self) -> Path:
        if self._data_dir is None:
            raise InvariantBroken("the broker has no data directory before it was started")
        return self._data_dir

    def _log_tail(self) -> str:
        with self.log_path.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._log_start)
            said = [line.strip() for line in log if not line.startswith(("\tat ", "\t..."))]
        return f"{' / '.join(said[-_LOG_TAIL_LINES:])} (all of it in {self.log_path})"


def _locked(path: Path) -> IO[str]:
    file = path.open("a")
    deadline_s = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                file.close()
                raise Unavailable(
                    f"another broker runs on {path.parent}: stop it, or take another directory", retry_after_s=5.0
                ) from None
            time.sleep(_POLL_S)
        else:
            return file


def _new_cluster_id() -> str:
    # As `StorageTool random-uuid` makes it, without another start of Java: 16 bytes in URL-safe base64. The
    # first byte is fixed, since an id that began with "-" would be read as an option.
    return base64.urlsafe_b64encode(b"L" + secrets.token_bytes(15)).decode().rstrip("=")


def _cluster_id(identity: Path) -> str:
    lines = identity.read_text("utf-8").splitlines()
    return next(line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id="))


def _classpath() -> str:
    # Not a wildcard: Java expands it in directory order, and the archive holds for one exact class path.
    return ":".join(sorted(str(jar) for jar in jars().glob("*.jar")))
