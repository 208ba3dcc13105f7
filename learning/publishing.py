"""What stands for a module, and what an epoch's draft or an operator's command makes of it (spec section 11).

Rules:

1. A version is a number given once; versions only grow. What is written under it never changes.
2. What stands was validated as it is read; an epoch's draft also against its parent, which is what stood before.
3. While a version is pinned, or all is killed, drafts are written and held; what stands still stands.
4. A command makes a new version with the content it names: no client ever goes back to an old number. Before the
   first draft there is no content, and no client that has any: a kill then only holds what comes.
5. Kill beats pin, and pin beats the newest: that order says what a command or a revival brings.

A function of the drafts topic alone, where commands stand in one order with the epochs: the same in every run.
"""

from __future__ import annotations

import msgspec

from learning.commands import ControlEvent, Outcome, SnapshotCommand, remembered
from learning.movement import Limits, require_size, require_within
from leverloop.errors import BadInput
from leverloop.patterns import Module
from leverloop.snapshot import Flags, OperatorCommand, Snapshot, encode_snapshot, sealed, validate

__all__ = [
    "Published",
    "Step",
    "Terms",
    "commanded",
    "drafted",
    "kept_at",
    "noted",
    "oversized",
    "unwritten",
    "version_asked",
]

_KEPT_VERSIONS = 1_000
"""Versions whose place in the history is remembered: 90 days of epochs are 360."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment lays down for everything it publishes."""

    limits: Limits = Limits()
    valid_ms: int
    """How long a snapshot holds on the wall clock without a heartbeat."""
    engine_version: str
    config_hash: str


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the snapshots of one module."""

    offset: int = -1
    """Of the last record of the drafts topic that was about this module."""
    version: int = 0
    """Given last."""
    standing: Snapshot | None = None
    """Announced last."""
    newest: Snapshot | None = None
    """The last draft that may be announced, whatever stands."""
    pinned: Snapshot | None = None
    killed: bool = False
    refusal: str = ""
    """Why the last draft was refused; empty once one was not."""
    refused: str = ""
    """Name of the draft that was refused last: the book lays its last drafts down again at each of its starts."""
    commands: tuple[str, ...] = ()
    """Ids of the last commands."""
    kept: dict[int, int] = {}
    """Version -> offset in the history."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft or a command does."""

    state: Published
    written: Snapshot | None = None
    """For the history."""
    announced: Snapshot | None = None
    """For the clients: then it is what was written."""
    event: ControlEvent


def drafted(state: Published, draft: Snapshot, terms: Terms, *, offset: int, at_ms: int) -> Step | None:
    """What the snapshot of an epoch does; None for one that was drafted before, and is refused again if it was.

    Parameters
    ----------
    state
        Of the draft's module.
    draft
        As the book made it; its version is the book's own count, and is replaced.
    terms
        Of the deployment.
    offset
        Of the draft's record.
    at_ms
        The wall clock.
    """
    state = msgspec.structs.replace(state, offset=offset)
    if state.newest is not None and draft.content_hash == state.newest.content_hash:
        return None
    written = _numbered(state, draft, terms, at_ms)
    reason = _flaw(state, written, terms)
    if reason:
        name = f"{draft.epoch_at_ms}/{draft.content_hash}"
        return None if name == state.refused else _refused_draft(state, written, reason, name)
    state = msgspec.structs.replace(state, version=written.version, newest=written, refusal="", refused="")
    held = _held(state)
    if held:
        return Step(state=state, written=written, event=_of_epoch(written, "held", held))
    state = msgspec.structs.replace(state, standing=written)
    return Step(state=state, written=written, announced=written, event=_of_epoch(written, "announced"))


def unwritten(state: Published, module: Module, epoch_at_ms: int, reason: str, *, offset: int) -> Step | None:
    """What a draft does of which there is no snapshot to be written, for this reason; None if it was told before."""
    name = f"{epoch_at_ms}/"
    if name == state.refused:
        return None
    event = ControlEvent(
        id=_epoch_id(module, epoch_at_ms),
        command="epoch",
        outcome="refused",
        reason=reason,
        module=module,
        epoch_at_ms=epoch_at_ms,
    )
    return Step(state=msgspec.structs.replace(state, offset=offset, refusal=reason, refused=name), event=event)


def oversized(size_bytes: int, terms: Terms) -> str:
    """Why a draft of so many bytes was not written."""
    try:
        require_size(size_bytes, terms.limits)
    except BadInput as bad:
        return str(bad)
    return f"snapshot: {size_bytes} bytes, too large for its topic"


def version_asked(state: Published, command: SnapshotCommand) -> int | None:
    """Version whose content a command needs, if it is kept."""
    return command.version if command.version in state.kept else None


def kept_at(state: Published, version: int, offset: int) -> Published:
    """State that knows where in the history a version stands."""
    kept = dict(sorted((state.kept | {version: offset}).items())[-_KEPT_VERSIONS:])
    return msgspec.structs.replace(state, kept=kept)


def commanded(
    state: Published,
    module: Module,
    command: SnapshotCommand,
    kept: Snapshot | None,
    terms: Terms,
    *,
    offset: int,
    at_ms: int,
    unread: str = "",
) -> Step | None:
    """What an operator's command does to a module; None for one that was heard before.

    Parameters
    ----------
    state, module
        The module, and what is known of it.
    command
        The command.
    kept
        The snapshot of `version_asked`, as the history has it; None if it has none.
    terms, offset, at_ms
        As of `drafted`.
    unread
        Why the history has it and it could not be read; empty if it could.
    """
    if command.id in state.commands:
        return None
    state = noted(state, command.id, offset)
    no: tuple[Outcome, str] | None = ("refused", unread) if unread else _objection(state, module, command, kept, terms)
    if no is not None:
        outcome, reason = no
        return Step(state=state, event=_of_command(command, module, outcome, reason=reason))
    after = _obeying(state, command, kept)
    content = kept if command.command == "rollback" else _wanted(after)
    if content is None and (state.standing is None or not (state.killed or after.killed)):
        return Step(state=after, event=_of_command(command, module, "accepted", reason=_coming(after, module)))
    still = "killed still: it shows once revived" if after.killed and command.command != "kill" else ""
    if content is None and not after.killed:
        still = "nothing is there to apply yet"
    if after.killed or content is None:
        content = _empty(module, state, terms, is_on=not after.killed)
    written = _numbered(state, content, terms, at_ms, _signed(command))
    try:
        if not after.killed:  # nothing keeps a kill back; what was sound once may not be by the rules of today
            _require_sound(written, terms)
    except BadInput as bad:
        reason = f"what would stand may not be published: {bad}"
        return Step(state=state, event=_of_command(command, module, "refused", reason=reason))
    after = msgspec.structs.replace(after, version=written.version, standing=written)
    event = _of_command(command, module, "announced", made=written, reason=still)
    return Step(state=after, written=written, announced=written, event=event)


def noted(state: Published, command_id: str, offset: int) -> Published:
    """State that has heard of a command."""
    return msgspec.structs.replace(state, commands=remembered(state.commands, command_id), offset=offset)


def _objection(
    state: Published, module: Module, command: SnapshotCommand, kept: Snapshot | None, terms: Terms
) -> tuple[Outcome, str] | None:
    """Why a command is not obeyed, or has nothing to do."""
    if command.command in ("pin", "rollback"):
        return _objection_to_version(state, module, command, kept, terms)
    idle = {
        "unpin": (state.pinned is None, "nothing is pinned"),
        "kill": (state.killed, f"{module} is killed already"),
        "revive": (not state.killed, f"{module} is not killed"),
    }
    is_so, reason = idle[command.command]
    return ("unchanged", reason) if is_so else None


def _objection_to_version(  # noqa: PLR0911 - a return for each reason
    state: Published, module: Module, command: SnapshotCommand, kept: Snapshot | None, terms: Terms
) -> tuple[Outcome, str] | None:
    """Why a kept version is not brought back."""
    if kept is None and command.version in state.kept:
        return "refused", f"version {command.version} of {module} has left the history, which is 90 days long"
    if kept is None:
        return "refused", f"version {command.version} of {module} is not kept: {_range(state)}"
    if not kept.flags.learning_overrides_enabled:
        return "refused", f"version {kept.version} of {module} is switched off: `kill` does that"
    try:
        _require_sound(kept, terms)
    except BadInput as bad:
        return "refused", f"version {kept.version} may not be published: {bad}"
    if command.command == "rollback" and state.killed:
        return "refused", f"{module} is killed: `pin {kept.version}`, then `revive`"
    if command.command == "rollback" and state.pinned is not None:
        return "refused", f"version {state.pinned.version} is pinned: `unpin` first, or `pin {kept.version}`"
    if command.command == "pin" and state.pinned is not None and state.pinned.version == kept.version:
        return "unchanged", f"version {kept.version} is pinned already"
    return None


def _obeying(state: Published, command: SnapshotCommand, kept: Snapshot | None) -> Published:
    """State with the operator's will in it."""
    match command.command:
        case "pin":
            return msgspec.structs.replace(state, pinned=kept)
        case "unpin":
            return msgspec.structs.replace(state, pinned=None)
        case "kill":
            return msgspec.structs.replace(state, killed=True)
        case "revive":
            return msgspec.structs.replace(state, killed=False)
        case _:
            return state


def _flaw(state: Published, written: Snapshot, terms: Terms) -> str:
    """Why a draft is refused; empty if it is not."""
    try:
        _require_sound(written, terms)
    except BadInput as bad:
        return str(bad)
    try:
        require_within(written, state.standing if _follows(state) else state.newest, terms.limits)
    except BadInput as bad:
        return f"{bad}; `leverloop overrides rollback {written.version}` publishes it all the same"
    return ""


def _require_sound(written: Snapshot, terms: Terms) -> None:
    """Raise BadInput for what may never be applied, whoever wants it."""
    require_size(len(encode_snapshot(written)), terms.limits)
    validate(written)


def _wanted(state: Published) -> Snapshot | None:
    """What is to stand when nothing is killed."""
    return state.pinned if state.pinned is not None else state.newest


def _follows(state: Published) -> bool:
    """Whether a draft is measured against what stands: a kill, say, is no book that it could have come from."""
    return state.standing is not None and not state.killed and state.pinned is None


def _held(state: Published) -> str:
    if state.killed:
        return "killed"
    return f"version {state.pinned.version} is pinned" if state.pinned is not None else ""


def _coming(state: Published, module: Module) -> str:
    """What holds where no epoch has brought anything that may be announced."""
    if state.standing is not None:
        return f"version {state.standing.version} stands until an epoch brings one: none has yet"
    return f"nothing stands for {module}, and what epochs bring is {'held' if state.killed else 'announced'}"


def _range(state: Published) -> str:
    if not state.kept:
        return "none is kept yet"
    return f"kept are {min(state.kept)} to {max(state.kept)} (`leverloop overrides list`)"


def _numbered(
    state: Published, content: Snapshot, terms: Terms, at_ms: int, command: OperatorCommand | None = None
) -> Snapshot:
    """Content under the next version."""
    return msgspec.structs.replace(
        content,
        version=state.version + 1,
        parent_version=state.standing.version if state.standing is not None else None,
        published_at_ms=at_ms,
        valid_until_ms=at_ms + terms.valid_ms,
        command=command,
    )


def _empty(module: Module, state: Published, terms: Terms, *, is_on: bool) -> Snapshot:
    """Snapshot with nothing in it; one that is switched off is empty for whoever reads overrides but not flags."""
    return sealed(
        Snapshot(
            module=module,
            version=0,
            epoch_at_ms=state.newest.epoch_at_ms if state.newest is not None else 0,
            published_at_ms=0,
            valid_until_ms=0,
            engine_version=terms.engine_version,
            config_hash=terms.config_hash,
            flags=Flags(learning_overrides_enabled=is_on),
        )
    )


def _signed(command: SnapshotCommand) -> OperatorCommand:
    return OperatorCommand(
        command=command.command,
        id=command.id,
        who=command.who,
        why=command.why,
        at_ms=command.at_ms,
        of_version=command.version,
    )


def _refused_draft(state: Published, written: Snapshot, reason: str, name: str) -> Step:
    """A draft that stays in the history; what stands still stands."""
    state = msgspec.structs.replace(state, version=written.version, refusal=reason, refused=name)
    return Step(state=state, written=written, event=_of_epoch(written, "refused", reason))


def _of_epoch(written: Snapshot, outcome: Outcome, reason: str = "") -> ControlEvent:
    return ControlEvent(
        id=_epoch_id(written.module, written.epoch_at_ms),
        command="epoch",
        outcome=outcome,
        reason=reason,
        module=written.module,
        version=written.version,
        content_hash=written.content_hash,
        epoch_at_ms=written.epoch_at_ms,
    )


def _epoch_id(module: str, epoch_at_ms: int) -> str:
    return f"epoch/{module}/{epoch_at_ms}"


def _of_command(
    command: SnapshotCommand, module: Module, outcome: Outcome, *, made: Snapshot | None = None, reason: str = ""
) -> ControlEvent:
    return ControlEvent(
        id=command.id,
        command=command.command,
        outcome=outcome,
        reason=reason,
        module=module,
        version=made.version if made is not None else None,
        of_version=command.version,
        content_hash=made.content_hash if made is not None else None,
        epoch_at_ms=made.epoch_at_ms if made is not None else None,
        who=command.who,
        why=command.why,
        at_ms=command.at_ms,
    )
