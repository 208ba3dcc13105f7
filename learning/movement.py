"""How far a snapshot moves from its parent, and how far it may (spec section 11)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from leverloop.errors import BadInput
from leverloop.levers import LEVERS, Lever
from leverloop.snapshot import Override, Snapshot, override_id

__all__ = ["Limits", "moved", "require_size", "require_within"]

_LEAST_OVERRIDES = 20
"""A book of fewer may move as far as one of so many: one lesson alone is no book."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot may be, and how far an epoch may take it from its parent."""

    max_bytes: int = 30 * 1024 * 1024
    """Of its JSON; the topics take records of 32 MiB."""
    max_overrides: int = 20_000
    max_changed: int = 200
    """Overrides that may come and go at an epoch."""
    max_movement: float = 0.5
    """Movement of all levers away from their neutrals at an epoch, in ranges (high - low) per override.

    A cap on the whole book that lets go moves each size by at most 0.25, and a step each lever by 0.05 (section 8):
    not less. A book that goes from neutral to its bounds moves by 1.
    """


def moved(parent: Snapshot, snapshot: Snapshot) -> float:
    """Movement of all levers away from neutral, in ranges: 1.0 is one lever from its low to its high.

    A lever that comes home moves nothing: a lesson that retires, or a cap on the book, is never held up. One whose
    neutral is the trader's own knob counts where both snapshots have it.

    Notes
    -----
    Source: spec section 11, total lever movement against the parent. Costs O(overrides).
    """
    before, after = _by_id(parent), _by_id(snapshot)
    return math.fsum(
        _away(LEVERS[name], before[key].levers.get(name) if key in before else None, value)
        for key, override in after.items()
        for name, value in override.levers.items()
    )


def require_size(size_bytes: int, limits: Limits) -> None:
    """Raise BadInput for a snapshot whose JSON is longer than the topics take."""
    if size_bytes > limits.max_bytes:
        raise BadInput(
            "snapshot",
            f"at most {_mib(limits.max_bytes)} (LEVERLOOP_SNAPSHOT_MAX_BYTES); retire or disable lessons",
            _mib(size_bytes),
        )


def require_within(snapshot: Snapshot, parent: Snapshot | None, limits: Limits) -> None:
    """Raise BadInput for a snapshot that goes further from its parent than an epoch may take it.

    Notes
    -----
    Source: spec section 11: count and total lever movement within limits against the parent.
    """
    after = {override_id(each) for each in snapshot.overrides()}
    if len(after) > limits.max_overrides:
        raise BadInput(
            "overrides", f"at most {limits.max_overrides} overrides (LEVERLOOP_SNAPSHOT_MAX_OVERRIDES)", len(after)
        )
    if parent is None:
        return
    before = {override_id(each) for each in parent.overrides()}
    if len(before ^ after) > limits.max_changed:
        raise BadInput(
            "overrides",
            f"at most {limits.max_changed} that come or go against version {parent.version} "
            "(LEVERLOOP_SNAPSHOT_MAX_CHANGED)",
            len(before ^ after),
        )
    allowed = limits.max_movement * max(_LEAST_OVERRIDES, len(before | after))
    total = moved(parent, snapshot)
    if total > allowed:
        raise BadInput(
            "levers",
            f"a total movement of at most {allowed:g} lever ranges against version {parent.version} "
            f"({limits.max_movement:g} an override: LEVERLOOP_SNAPSHOT_MAX_MOVEMENT)",
            round(total, 3),
        )


def _away(lever: Lever, before: float | None, after: float) -> float:
    """Movement of one lever away from its neutral, as a share of its range."""
    span = lever.high - lever.low
    if lever.neutral is None:
        return 0.0 if before is None else abs(after - before) / span
    was, now = (lever.neutral if before is None else before) - lever.neutral, after - lever.neutral
    return max(0.0, abs(now) - (abs(was) if was * now > 0.0 else 0.0)) / span


def _by_id(snapshot: Snapshot) -> dict[str, Override]:
    return dict(_keyed(snapshot))


def _keyed(snapshot: Snapshot) -> Iterator[tuple[str, Override]]:
    for override in snapshot.overrides():
        yield override_id(override), override


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.2f} MiB"
