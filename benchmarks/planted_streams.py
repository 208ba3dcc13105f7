"""Streams whose edges are known, and the score of lessons against them: both are programs beside the project.

They are found as `../shared/bench` from the project's root and are run as they stand; where they are not,
the benchmarks that need them say so and end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["Score", "Stream", "add_options", "cache_of", "made", "numbers", "programs", "score"]

_FOLDER: Final = Path(__file__).resolve().parents[2] / "shared" / "bench"


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream is made of; the same values always make the same files."""

    seed: int
    trades: int = 6_000
    days: int = 180
    shock_rho: float = 0.6
    null: bool = False

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"s{self.seed}-{self.trades}-{self.days}-{self.shock_rho:g}{'-null' if self.null else ''}"


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What score.py prints."""

    lessons: int
    false_lessons: int
    redundant: int
    false_share: float
    recall: float | None
    findable: int
    unscored: int
    missed: list[dict[str, Any]]
    false: list[dict[str, Any]]


def programs() -> Path:
    """Folder with planted.py and score.py; where it is not, the program ends with a message."""
    if not all((_FOLDER / name).is_file() for name in ("planted.py", "score.py")):
        print("skipped: this needs planted.py and score.py in ../shared/bench beside the project's folder")
        sys.exit(0)
    return _FOLDER


def made(stream: Stream, cache: Path, *, edges: Sequence[dict[str, Any]] | None = None) -> Path:
    """Folder with the stream's files, written unless they are there.

    Parameters
    ----------
    stream, cache
        What, and where its folder is to be.
    edges
        As in truth.json, planted in place of the generator's own.
    """
    folder = cache / stream.name
    more: list[str] = []
    if edges is not None:
        text = json.dumps(list(edges))
        folder = cache / f"{stream.name}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "edges.json").write_text(text)
        more = ["--edges", str(folder / "edges.json")]
    if not (folder / "truth.json").is_file():  # written last
        options = {"seed": stream.seed, "trades": stream.trades, "days": stream.days, "shock-rho": stream.shock_rho}
        words = [word for name, value in options.items() for word in (f"--{name}", f"{value}")]
        _run("planted.py", ["--out", str(folder), *words, *(["--null"] if stream.null else []), *more])
    return folder


def score(stream_folder: Path, lessons: Path | Sequence[dict[str, Any]]) -> Score:
    """Score of lessons, a file as a replay writes it or the same as values."""
    if isinstance(lessons, Path):
        return msgspec.json.decode(_run("score.py", [str(stream_folder), str(lessons)]), type=Score)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lessons.json")
        path.write_text(json.dumps(list(lessons)))
        return score(stream_folder, path)


def numbers(text: str) -> list[int]:
    """Seeds of an option: ``1-3`` or ``1,4,7`` or both; none of an empty one."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def add_options(parser: argparse.ArgumentParser, *, seeds: str) -> None:
    """Options that every benchmark on planted streams has."""
    parser.add_argument("--seeds", type=numbers, default=numbers(seeds), help=f"such as 1-5 or 1,4 ({seeds})")
    parser.add_argument("--trades", type=int, default=6_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--shock-rho", type=float, default=0.6)
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps the streams; default: one in the temporary folder"
    )


def cache_of(given: Path | None) -> Path:
    """Folder of the streams: they are the same every time, and are kept."""
    folder = given or Path(tempfile.gettempdir()) / "leverloop-planted-streams"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(program: str, words: list[str]) -> bytes:
    command = [sys.executable, str(programs() / program), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
