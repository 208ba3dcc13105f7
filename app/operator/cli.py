"""The operator's part of the command line: `leverloop overrides` and `leverloop lessons`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from app.settings import load_settings

__all__ = ["lessons", "overrides"]

overrides = typer.Typer(
    help="What clients apply: look at versions, and command them. Every command needs a --reason; it and who "
    "commanded are kept for ever. docs/operating.md has what clients see after each.",
    no_args_is_help=True,
)
lessons = typer.Typer(help="What was learned: look at lessons, disable and enable one.", no_args_is_help=True)

Broker = Annotated[
    str | None,
    typer.Option("--broker", help="kafka://host:port or embedded://path/log.db", envvar="LEVERLOOP_BROKER_URL"),
]
OfModule = Annotated[str | None, typer.Option("--module", help="pm or dm; needed where both have snapshots")]
AllModules = Annotated[str | None, typer.Option("--module", help="pm or dm; without it, all of them")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]
Reason = Annotated[str, typer.Option("--reason", help="why; stands in the audit for ever")]
Who = Annotated[str | None, typer.Option("--who", help="who commands; default: the user of this machine")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="seconds to wait for a worker's answer")]
VersionNumber = Annotated[int, typer.Argument(min=1, help="a kept version, as `leverloop overrides list` shows them")]
LessonId = Annotated[str, typer.Argument(help="id, as `leverloop lessons list` shows them", metavar="ID")]
_TIMEOUT_S = 15.0


def _url(broker: str | None) -> str:
    return load_settings(broker_url=broker).broker_url


@overrides.command("list")
def list_(
    module: OfModule = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="the newest so many")] = 20,
    all_: Annotated[bool, typer.Option("--all", help="every version that is kept: 90 days of them")] = False,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """List the versions that are kept: which stands, which were held or refused and why, who made each."""
    from app.operator.overrides import list_versions

    raise typer.Exit(list_versions(_url(broker), module, limit=None if all_ else limit, as_json=as_json))


@overrides.command()
def show(
    version: Annotated[int | None, typer.Argument(min=1, help="a kept version; default: the one that stands")] = None,
    module: OfModule = None,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Show one version: its overrides with their levers, where it comes from, who made it and why."""
    from app.operator.overrides import show_version

    raise typer.Exit(show_version(_url(broker), module, version, as_json=as_json))


@overrides.command()
def diff(
    first: Annotated[int | None, typer.Argument(min=1, help="default: the parent of the second", metavar="A")] = None,
    second: Annotated[int | None, typer.Argument(min=1, help="default: the one that stands", metavar="B")] = None,
    module: OfModule = None,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Show every lever that differs from version A to version B."""
    from app.operator.overrides import diff_versions

    raise typer.Exit(diff_versions(_url(broker), module, first, second, as_json=as_json))


@overrides.command()
def pin(
    version: VersionNumber,
    reason: Reason,
    module: OfModule = None,
    who: Who = None,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Hold a version: clients apply its content, under a new version, until unpin. Learning goes on meanwhile."""
    _command(broker, "pin", module, version, reason, who, timeout, as_json)


@overrides.command()
def unpin(
    reason: Reason,
    module: OfModule = None,
    who: Who = None,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Let go of the pinned version: clients apply the newest, under a new version, at once."""
    _command(broker, "unpin", module, None, reason, who, timeout, as_json)


@overrides.command()
def rollback(
    version: VersionNumber,
    reason: Reason,
    module: OfModule = None,
    who: Who = None,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Bring back a kept version, under a new version, until the next epoch publishes its own. To hold it, pin it.

    A version that was refused only for how far it moves is published by this: your word is not measured.
    """
    _command(broker, "rollback", module, version, reason, who, timeout, as_json)


@overrides.command()
def kill(
    reason: Reason,
    module: AllModules = None,
    who: Who = None,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Switch everything off: clients are neutral, at once and through every epoch, until revive.

    It reaches clients through the broker. With the broker down, use the kill file or LEVERLOOP_KILL beside each.
    """
    _command(broker, "kill", module, None, reason, who, timeout, as_json)


@overrides.command()
def revive(
    reason: Reason,
    module: AllModules = None,
    who: Who = None,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """End a kill: clients apply the pinned version, or else the newest, under a new version, at once."""
    _command(broker, "revive", module, None, reason, who, timeout, as_json)


@lessons.command("list")
def list_lessons_(
    state: Annotated[
        str | None, typer.Option("--state", help="only those: candidate, active, dormant, retired or disabled")
    ] = None,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """List the lessons with their effects and levers."""
    from app.operator.lessons import list_lessons

    raise typer.Exit(list_lessons(_url(broker), state, as_json=as_json))


@lessons.command("show")
def show_lesson_(lesson_id: LessonId, as_json: AsJson = False, broker: Broker = None) -> None:
    """Show one lesson: its evidence, its levers, and everything that has happened to it."""
    from app.operator.lessons import show_lesson

    raise typer.Exit(show_lesson(_url(broker), lesson_id, as_json=as_json))


@lessons.command()
def disable(
    lesson_id: LessonId,
    reason: Reason,
    who: Who = None,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Publish a lesson no more, from the next epoch on, until it is enabled. For at once: overrides kill or pin."""
    _command_lesson(broker, "disable", lesson_id, reason, who, timeout, as_json)


@lessons.command()
def enable(
    lesson_id: LessonId,
    reason: Reason,
    who: Who = None,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
    broker: Broker = None,
) -> None:
    """Let a disabled lesson be what it was, from the next epoch on; its levers begin at neutral."""
    _command_lesson(broker, "enable", lesson_id, reason, who, timeout, as_json)


def _command(
    broker: str | None,
    name: Literal["pin", "unpin", "rollback", "kill", "revive"],
    module: str | None,
    version: int | None,
    reason: str,
    who: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    from app.operator.answers import command_snapshots

    raise typer.Exit(
        command_snapshots(
            _url(broker),
            name,
            module=module,
            version=version,
            reason=reason,
            who=who,
            timeout_s=timeout,
            as_json=as_json,
        )
    )


def _command_lesson(
    broker: str | None,
    name: Literal["disable", "enable"],
    lesson_id: str,
    reason: str,
    who: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    from app.operator.answers import command_lesson

    raise typer.Exit(
        command_lesson(_url(broker), name, lesson_id, reason=reason, who=who, timeout_s=timeout, as_json=as_json)
    )
