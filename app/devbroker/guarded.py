"""A child process that never outlives its parent, however the parent ends.

A guard, a shell that leads the child's process group, reads a pipe that only the parent holds open, and
kills the group at the end of the file. Linux's PR_SET_PDEATHSIG would do it too, but fires when the
*thread* that started the child ends. Both processes are the parent's own children: nothing is left for
PID 1 to reap unless the parent is killed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["GuardedProcess"]

_GUARD: Final = ("/bin/sh", "-c", "read -r _; kill -KILL 0")


class GuardedProcess:
    """A running child; its owner calls `terminate` or `kill` once, also if it has ended by itself.

    Parameters
    ----------
    command
        Program and arguments.
    cwd
        Its working directory.
    log
        File to which its standard output and error are appended.
    keep_open
        File descriptors that it inherits, such as that of a lock.
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, log: Path, keep_open: Sequence[int] = ()) -> None:
        self._guard = subprocess.Popen(_GUARD, stdin=subprocess.PIPE, process_group=0)  # noqa: S603
        try:
            with log.open("ab") as output:
                self._child = subprocess.Popen(  # noqa: S603
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    process_group=self._guard.pid,  # not ours: Ctrl-C reaches the parent, which ends the child in turn
                    pass_fds=keep_open,
                )
        except BaseException:
            self._dismiss_guard()
            raise

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code of the child, None while it runs."""
        return self._child.poll()

    def terminate(self, timeout_s: float) -> bool:
        """SIGTERM, and SIGKILL after `timeout_s`; whether the first was enough."""
        self._child.terminate()
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._dismiss_guard()
        return True

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()
        self._child.wait()
        self._dismiss_guard()

    def _dismiss_guard(self) -> None:
        self._guard.kill()  # before its pipe ends: it would kill a group that others may join by then
        self._guard.wait()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
