"""What is refused before anything is started, and how a process ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.transport import EXIT_CODE, create_app
from leverloop.errors import BadConfig

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("url", ["redis://x", "", "embedded://", "memory://"])
def test_other_logs_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"broker URL .*: expected .*embedded://path/log.db"):
        create_app("x", url, data_dir=tmp_path, partitions=1)


def test_to_fail_ends_the_process_with_one_line_and_no_cleanup(tmp_path: Path) -> None:
    program = (
        "import atexit, logging, pathlib, sys; logging.basicConfig(); atexit.register(print, 'cleaned up');"
        "from app.transport import create_app;"
        "app = create_app('x', 'embedded://log.db', data_dir=pathlib.Path(sys.argv[1]), partitions=1)\n"
        "try: app.fail('no more')\n"
        "finally: print('unwound')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == EXIT_CODE
    assert done.stdout == ""
    assert done.stderr == "CRITICAL:leverloop.transport:worker_failed app=x reason=no more\n"


def test_the_first_reason_counts(tmp_path: Path) -> None:
    reasons: list[str] = []
    app = create_app("x", "embedded://log.db", data_dir=tmp_path, partitions=1, fail_stop=reasons.append)
    app.fail("first")
    app.fail("second")
    assert reasons == ["first"]
    assert app.failed == "first"
