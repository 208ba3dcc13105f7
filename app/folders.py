"""Folders that somebody named: made before any work is done for them."""

from __future__ import annotations

from pathlib import Path

from leverloop.errors import BadConfig

__all__ = ["made"]


def made(folder: Path, name: str) -> Path:
    """Folder, made with its parents if it was not there.

    Parameters
    ----------
    folder
        What was named.
    name
        The option or setting that named it.

    Raises
    ------
    BadConfig
        If there is something else in its place, or it may not be made.

    Examples
    --------
    >>> made(Path("README.md"), "--out")
    Traceback (most recent call last):
    leverloop.errors.BadConfig: --out README.md: cannot be made (File exists): name another folder
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(f"{name} {folder}: cannot be made ({error.strerror}): name another folder") from error
    return folder
