"""Loading beside a trader: the same book, its turns given back, and a book that is held outlives its end."""

import subprocess
import sys
import threading

import pytest

from leverloop.book import OverrideBook
from leverloop.errors import BadInput
from leverloop.loading import let_go, load_book, parts_of, short_turns
from leverloop.snapshot import decode_snapshot, encode_snapshot
from leverloop.testing import AT_MS, make_override, make_snapshot

KEY = "pm.uptrend.S1.buy_flag"
LIVE = {"bucket": "micro", "timeframe": "1h"}
RAW = encode_snapshot(
    make_snapshot(
        make_override({"size_mult": 1.2}, {"bucket": "micro"}),
        make_override({"entry_delay_bars": 2.0}, {"timeframe": "1h"}),
    )
)


def test_a_book_that_is_loaded_answers_as_one_that_is_made() -> None:
    loaded = load_book(RAW, profile="blended", holdout_share=0.0)
    made = OverrideBook(decode_snapshot(RAW), holdout_share=0.0)
    assert loaded.resolve(KEY, "entry", LIVE, "t1", AT_MS) == made.resolve(KEY, "entry", LIVE, "t1", AT_MS)
    assert loaded.snapshot == made.snapshot


def test_turns_are_as_before_after_a_load_that_failed() -> None:
    usual_s = sys.getswitchinterval()
    with pytest.raises(BadInput):
        load_book(b"{}", profile="blended", holdout_share=0.0)
    assert sys.getswitchinterval() == usual_s


def test_turns_stay_short_until_the_last_of_several_loads_is_done() -> None:
    usual_s, first_is_in, first_may_go = sys.getswitchinterval(), threading.Event(), threading.Event()

    def first() -> None:
        with short_turns():
            first_is_in.set()
            first_may_go.wait(10.0)

    thread = threading.Thread(target=first)
    thread.start()
    assert first_is_in.wait(10.0)
    with short_turns():
        first_may_go.set()
        thread.join()
        assert sys.getswitchinterval() < usual_s
    assert sys.getswitchinterval() == usual_s


_FORK = """
import os, sys, threading
from leverloop.loading import short_turns

def load():
    with short_turns():
        is_in.set()
        may_go.wait(10.0)

usual_s, is_in, may_go = sys.getswitchinterval(), threading.Event(), threading.Event()
thread = threading.Thread(target=load)
thread.start()
is_in.wait(10.0)
child = os.fork()
if child == 0:
    forked = sys.getswitchinterval() == usual_s
    with short_turns():
        short = sys.getswitchinterval() < usual_s
    os.write(1, f"{forked} {short} {sys.getswitchinterval() == usual_s}\\n".encode())
    os._exit(0)
os.waitpid(child, 0)
os.write(1, f"{sys.getswitchinterval() < usual_s}\\n".encode())
may_go.set()
thread.join()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_the_child_of_a_fork_during_a_load_has_its_usual_turns() -> None:
    ran = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.splitlines() == ["True True True", "True"]


def test_a_book_that_somebody_holds_is_whole_after_its_parts_were_let_go() -> None:
    held = load_book(RAW, profile="blended", holdout_share=0.0)
    before = held.resolve(KEY, "entry", LIVE, "t1", AT_MS)
    parts = parts_of(held)
    assert len(parts) == 5  # two overrides, two matches, their group
    let_go(parts)
    assert parts == {}
    assert held.resolve(KEY, "entry", LIVE, "t1", AT_MS) == before


def test_a_book_without_a_snapshot_has_no_parts() -> None:
    assert parts_of(OverrideBook.empty()) == {}
