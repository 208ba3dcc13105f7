"""Outcomes of a replay as a file: what is written is read, and nothing else is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outcome_file import LastDecision, read_decision, read_records, write_decision, write_records
from learning.findings import Decided
from learning.parameters import Parameters
from leverloop.errors import BadConfig
from leverloop.scope import DEFAULT_SCHEMA

some_bytes = st.binary(min_size=1, max_size=300)


@given(st.lists(st.tuples(some_bytes, some_bytes), max_size=20))
def test_records_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[bytes, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    assert write_records(folder, iter(records)) == len(records)
    assert list(read_records(folder)) == records


@given(st.integers(0, 60))
def test_a_file_that_was_cut_off_is_refused(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    folder = tmp_path_factory.mktemp("replay")
    write_records(folder, [(b"a", b"1"), (b"bc", b"23")])
    path = folder / "outcomes.records"
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    assert kept < len(whole)
    with pytest.raises(
        BadConfig, match=r"outcomes.records: (cut off|expected b'leverloop outcome records, version 1).*again"
    ):
        list(read_records(folder))


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_records(tmp_path, [(b"a", b"1")])
    with pytest.raises(UnicodeEncodeError):
        write_records(tmp_path, ((text.encode("ascii"), b"2") for text in ("b", "ä")))
    assert list(read_records(tmp_path)) == [(b"a", b"1")]


def test_the_decision_is_read_as_it_was_written(tmp_path: Path) -> None:
    decided = Decided(epoch_at_ms=6, lessons_version=2, days=((1, 2, 3),), tested={"pm.a.b.c|entry": (4, 5)})
    for last in (decided, None):
        written = LastDecision(parameters=Parameters(rr_cap=5.0), scope_schema=DEFAULT_SCHEMA, decided=last)
        write_decision(tmp_path, written)
        assert read_decision(tmp_path) == written


def test_a_folder_that_no_replay_wrote_is_refused(tmp_path: Path) -> None:
    for read in (read_decision, lambda folder: list(read_records(folder))):
        with pytest.raises(BadConfig, match=r"No such file.*leverloop replay jsonl DIR --out"):
            read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 2}', b"\xff"])
def test_a_decision_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "decided.json").write_bytes(content)
    with pytest.raises(BadConfig, match=r"decided.json: .*run the replay again"):
        read_decision(tmp_path)
