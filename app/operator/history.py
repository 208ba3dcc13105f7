"""Versions of snapshots and what became of them, read from the topics alone; a worker may run meanwhile or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from app.topic_reader import read_topic
from learning.commands import ControlEvent
from leverloop.errors import BadConfig, BadInput
from leverloop.heartbeat import Heartbeat, decode_heartbeat, heartbeat_key
from leverloop.patterns import MODULES, Module
from leverloop.snapshot import OperatorCommand, Snapshot
from streams.codec import decode_kept
from streams.topics import CONTROL_EVENTS, LESSONS, OVERRIDES, SNAPSHOTS

__all__ = [
    "ModuleState",
    "Version",
    "module_of",
    "read_modules",
    "read_version",
    "read_versions",
    "require_lesson",
    "told",
]

_SNAPSHOT: Final = msgspec.json.Decoder(Snapshot)
_EVENT: Final = msgspec.json.Decoder(ControlEvent)


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version that was given: what is in it, and what became of it."""

    module: Module
    version: int
    parent_version: int | None
    outcome: str
    """``announced``, ``held`` or ``refused``; ``stands`` for what clients have."""
    reason: str
    """Why it was held or refused."""
    epoch_at_ms: int
    published_at_ms: int
    overrides: int
    content_hash: str
    command: OperatorCommand | None


class ModuleState(msgspec.Struct, kw_only=True):
    """What clients of a module have, and what an operator has commanded."""

    module: Module
    standing: Snapshot | None = None
    heartbeat: Heartbeat | None = None
    heard_at_ms: int | None = None
    """When the last heartbeat, or what stands, was written, on the wall clock."""
    killed: bool = False
    pinned: int | None = None
    refusal: ControlEvent | None = None
    """The last epoch's draft, if it was refused."""


class _Head(msgspec.Struct):
    """A snapshot whose overrides are counted, not read."""

    module: Module
    version: int
    epoch_at_ms: int
    published_at_ms: int
    content_hash: str
    parent_version: int | None = None
    pattern_strength_overrides: tuple[msgspec.Raw, ...] = ()
    pattern_overrides: tuple[msgspec.Raw, ...] = ()
    alloc_overrides: tuple[msgspec.Raw, ...] = ()
    command: OperatorCommand | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


async def read_modules(broker_url: str) -> dict[Module, ModuleState]:
    """State of every module that anything was ever announced or refused of."""
    states: dict[Module, ModuleState] = {}
    async for record in read_topic(broker_url, OVERRIDES):
        for module in MODULES:
            keys = (module.encode(), heartbeat_key(module).encode())
            if not record.value or record.key not in keys:
                continue
            state = states.setdefault(module, ModuleState(module=module))
            state.heard_at_ms = record.timestamp_ms
            if record.key == keys[0]:
                state.standing = _SNAPSHOT.decode(record.value)
            else:
                state.heartbeat = decode_heartbeat(record.value)
    for event in await _events(broker_url):
        if event.module is not None:
            told(states.setdefault(event.module, ModuleState(module=event.module)), event)
    return states


def told(state: ModuleState, event: ControlEvent) -> None:
    """Take what an event says of a module, in the order of the audit."""
    if event.command == "epoch":
        state.refusal = event if event.outcome == "refused" else None
    if event.outcome not in ("announced", "accepted"):
        return
    match event.command:
        case "kill":
            state.killed = True
        case "revive":
            state.killed = False
        case "pin":
            state.pinned = event.of_version
        case "unpin":
            state.pinned = None


async def read_versions(broker_url: str, module: Module | None = None) -> list[Version]:
    """Every kept version of a module, or of all, in the order in which they were given."""
    events = {(event.module, event.version): event for event in await _events(broker_url) if event.version is not None}
    standing = {name: state.standing for name, state in (await read_modules(broker_url)).items()}
    found: dict[tuple[Module, int], Version] = {}
    async for record in read_topic(broker_url, SNAPSHOTS):
        head = _HEAD.decode(record.value or b"")
        event = events.get((head.module, head.version))
        if event is None or module not in (None, head.module):
            continue  # from before versions had a history, or written a moment ago
        now = standing.get(head.module)
        stands = now is not None and now.version == head.version
        found[head.module, head.version] = Version(
            module=head.module,
            version=head.version,
            parent_version=head.parent_version,
            outcome="stands" if stands else event.outcome,
            reason=event.reason,
            epoch_at_ms=head.epoch_at_ms,
            published_at_ms=head.published_at_ms,
            overrides=len(head.pattern_strength_overrides) + len(head.pattern_overrides) + len(head.alloc_overrides),
            content_hash=head.content_hash,
            command=head.command,
        )
    return list(found.values())


async def read_version(broker_url: str, module: Module, version: int | None) -> Snapshot:
    """Return a kept version of a module, or what stands if none is named.

    Raises
    ------
    BadConfig
        If it is not kept: names those that are. If it is of a format that this release does not read.
    """
    if version is None:
        state = (await read_modules(broker_url)).get(module)
        if state is None or state.standing is None:
            raise BadConfig(
                f"nothing was announced for {module} yet: is a worker running, and has an epoch been closed?"
            )
        return state.standing
    key, found, kept = f"{module}/{version}".encode(), None, []
    async for record in read_topic(broker_url, SNAPSHOTS):
        if record.key == key:
            found = record.value
        kept.append(record.key or b"")
    if found is None:
        raise BadConfig(f"version {version} of {module} is not kept: {_range(module, kept)}")
    try:
        return decode_kept(found)
    except BadInput as bad:
        raise BadConfig(
            f"version {version} of {module} cannot be read back: {bad}; take another (leverloop overrides list), or "
            "the release that wrote it"
        ) from bad


async def module_of(broker_url: str, named: str | None) -> Module:
    """Module that a command is about: the one that is named, or the only one that has snapshots.

    Raises
    ------
    BadConfig
        If there is no such module, or more than one to choose from.
    """
    for module in MODULES:
        if named == module:
            return module
    if named is not None:
        raise BadConfig(f"--module {named}: one of {', '.join(MODULES)}")
    known = [name for name, state in (await read_modules(broker_url)).items() if state.standing is not None]
    if len(known) > 1:
        raise BadConfig(f"--module: which of {', '.join(sorted(known))}?")
    return known[0] if known else MODULES[0]


async def require_lesson(broker_url: str, lesson_id: str) -> None:
    """Raise BadConfig if there is no lesson of this id: names some that there are."""
    known = sorted({(record.key or b"").decode() async for record in read_topic(broker_url, LESSONS)})
    if lesson_id not in known:
        near = [name for name in known if name.startswith(lesson_id)] or known
        some = f"there are {len(known)}, such as {', '.join(near[:3])}" if near else "there are none yet"
        raise BadConfig(f"no lesson {lesson_id}: {some} (leverloop lessons list)")


async def _events(broker_url: str) -> list[ControlEvent]:
    return [_EVENT.decode(record.value or b"") async for record in read_topic(broker_url, CONTROL_EVENTS)]


def _range(module: str, keys: Iterable[bytes]) -> str:
    kept = sorted({int(key.split(b"/")[1]) for key in keys if key.startswith(f"{module}/".encode())})
    if not kept:
        return "none is kept yet"
    return f"kept are {kept[0]} to {kept[-1]} (leverloop overrides list --module {module} --all)"
