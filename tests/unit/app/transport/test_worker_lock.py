"""One worker to a log, whatever became of the one before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.transport.worker_lock import WorkerLock
from leverloop.errors import BadConfig

ROOT = Path(__file__).parents[4]


def test_a_second_worker_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first, second = WorkerLock(tmp_path / "log.db"), WorkerLock(tmp_path / "log.db")
    first.acquire()
    with pytest.raises(BadConfig, match=rf"another worker \(process {os.getpid()}\) works on this embedded log"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"no lock at .*: make the log first"):
        WorkerLock(tmp_path / "nowhere" / "log.db").acquire()


def test_the_lock_of_a_killed_worker_is_free(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; from app.transport.worker_lock import WorkerLock;"
        "lock = WorkerLock(pathlib.Path(sys.argv[1])); lock.acquire(); print('locked', flush=True); sys.stdin.read()"
    )
    lock = WorkerLock(tmp_path / "log.db")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"locked\n"
        with pytest.raises(BadConfig, match=rf"another worker \(process {worker.pid}\)"):
            lock.acquire()
        worker.kill()
    lock.acquire()
    lock.release()
