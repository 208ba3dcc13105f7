"""Epochs: event time cut into equal steps, and when a step is over (spec section 10).

An epoch is named by its end, a multiple of `epoch_ms`. An input partition has passed an epoch when an
event at its end plus the slack was seen there; an epoch is over when every input has passed it, or
when a marker for it stands in the control topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from learning.parameters import DAY_MS, HOUR_MS, Parameters

__all__ = [
    "CONTROL",
    "DAILY_AT_ONE_MS",
    "MONDAY_AT_THREE_MS",
    "MONDAY_AT_TWO_MS",
    "epoch_of",
    "is_due",
    "newest_closed",
    "passed_epoch",
]

CONTROL: Final = "control"
"""Name under which markers of the control topic count: they close an epoch for every input."""


DAILY_AT_ONE_MS: Final = HOUR_MS
"""When regime weights are learned (spec section 9); offsets of `is_due`, UTC."""
MONDAY_AT_TWO_MS: Final = 4 * DAY_MS + 2 * HOUR_MS  # 1 January 1970 was a Thursday
"""When half-lives are."""
MONDAY_AT_THREE_MS: Final = 4 * DAY_MS + 3 * HOUR_MS
"""When latent factors are."""


def epoch_of(at_ms: int, parameters: Parameters) -> int:
    """End of the epoch that an event belongs to: a time on the border belongs to the epoch it ends.

    Examples
    --------
    >>> hour = 3_600_000
    >>> [epoch_of(at * hour, Parameters()) // hour for at in (1, 6, 7)]
    [6, 6, 12]
    """
    return -(-at_ms // parameters.epoch_ms) * parameters.epoch_ms


def is_due(epoch_at_ms: int, period_ms: int, offset_ms: int, parameters: Parameters) -> bool:
    """Whether an epoch is the first at or after an instant of a schedule: offset, offset + period, ... since 1970.

    Examples
    --------
    >>> hour = 3_600_000
    >>> [is_due(at * hour, 24 * hour, hour, Parameters()) for at in (0, 6, 12, 18, 24, 30)]  # daily at 01:00
    [False, True, False, False, False, True]
    """
    last = (epoch_at_ms - offset_ms) // period_ms * period_ms + offset_ms
    return last > epoch_at_ms - parameters.epoch_ms


def passed_epoch(seen_at_ms: int, parameters: Parameters) -> int:
    """Newest epoch that an input has passed whose latest event happened at `seen_at_ms`.

    Examples
    --------
    >>> minute = 60_000
    >>> [passed_epoch(at * minute, Parameters()) // (60 * minute) for at in (369, 370, 725, 730)]
    [0, 6, 6, 12]
    """
    return (seen_at_ms - parameters.epoch_slack_ms) // parameters.epoch_ms * parameters.epoch_ms


def newest_closed(passed: Mapping[str, int], inputs: Iterable[str]) -> int | None:
    """Newest epoch that is over, given what each input has passed; None before every input was seen.

    Parameters
    ----------
    passed
        ``topic/partition`` (or `CONTROL`) -> newest epoch it has passed.
    inputs
        All inputs that have to pass.

    Examples
    --------
    >>> newest_closed({"a/0": 12, "a/1": 6}, ["a/0", "a/1"])
    6
    >>> newest_closed({"a/0": 12, "control": 12}, ["a/0", "a/1"])
    12
    """
    marker = passed.get(CONTROL)
    slowest = [passed.get(name) for name in inputs]
    if None in slowest:
        return marker
    both = [epoch for epoch in slowest if epoch is not None]
    if marker is not None:
        return max(min(both), marker)
    return min(both)
