"""The `leverloop` command."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from app.operator.cli import lessons, overrides
from app.settings import load_settings
from leverloop.errors import BadConfig, BadInput, LeverloopError, Unavailable

__all__ = ["app", "main"]

EXIT_CONFIG: Final = 78  # sysexits.h: EX_CONFIG
EXIT_UNAVAILABLE: Final = 75  # EX_TEMPFAIL: try again
EXIT_BROKEN: Final = 70  # EX_SOFTWARE: a supervisor restarts the process, somebody reads the log
_WRONG_PATH: Final = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS,
     errno.ENAMETOOLONG, errno.ELOOP)
)  # fmt: skip

app = typer.Typer(
    help="Leverloop lets trading systems learn from their own outcomes.\n\n"
    "Settings come from the environment (LEVERLOOP_...); see docs/settings.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
topics = typer.Typer(help="Make and check the topics.", no_args_is_help=True)
replay = typer.Typer(help="Recompute the past, by the rules of today.", no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(replay, name="replay")
app.add_typer(overrides, name="overrides")
app.add_typer(lessons, name="lessons")


def _version(asked: bool) -> None:
    if asked:
        from app.version import ENGINE_VERSION

        typer.echo(f"leverloop {ENGINE_VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="show the version and exit", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options of the command itself."""


Broker = Annotated[
    str | None,
    typer.Option("--broker", help="kafka://host:port or embedded://path/log.db", envvar="LEVERLOOP_BROKER_URL"),
]


@app.command()
def demo(
    duration: Annotated[
        str | None, typer.Option("--for", help="how long, such as 90s, 2m or 1h; without it, until Ctrl-C")
    ] = None,
    candles: Annotated[
        Path | None,
        typer.Option(help="folder of OHLCV CSV (open_at_ms, open, high, low, close, volume); default: a simulation"),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=1.0, help="event seconds per second of yours; default: 28,800, eight hours")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the simulated market")] = 2,
    data_dir: Annotated[Path, typer.Option(help="where the demo keeps its log, database and state")] = Path(
        ".leverloop/demo"
    ),
    kafka: Annotated[bool, typer.Option("--kafka", help="on a real Kafka broker instead of the embedded log")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget the demo's earlier runs first")] = False,
) -> None:
    """Run the whole loop on this machine: broker, database, worker, and a paper PM that trades and learns."""
    from app.demo import DemoOptions, run_demo

    options = DemoOptions(
        seconds=None if duration is None else seconds(duration),
        candles=candles,
        speed=speed,
        seed=seed,
        data_dir=data_dir,
        kafka=kafka,
        fresh=fresh,
    )
    raise typer.Exit(run_demo(options))


@app.command()
def worker(broker: Broker = None) -> None:
    """Run one worker until it is told to stop. It refuses to start on a wrong topic layout."""
    from app.worker import run_worker

    raise typer.Exit(run_worker(load_settings(broker_url=broker)))


@app.command()
def paper(
    broker: Broker = None,
    duration: Annotated[str | None, typer.Option("--for", help="how long, such as 90s, 2m or 1h")] = None,
    candles: Annotated[Path | None, typer.Option(help="folder of OHLCV CSV files; default: a simulation")] = None,
    speed: Annotated[
        float | None, typer.Option(min=1.0, help="event seconds per second of yours; default: 28,800")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the simulated market")] = 2,
) -> None:
    """Run the paper PM alone, against a broker where a worker runs."""
    from app.demo import run_paper_alone

    settings = load_settings(broker_url=broker)
    limit = None if duration is None else seconds(duration)
    raise typer.Exit(run_paper_alone(settings, candles=candles, speed=speed, seed=seed, seconds=limit))


@app.command()
def status(broker: Broker = None) -> None:
    """Show what is on the topics: events, outcomes, lessons, the snapshot that stands, dead letters."""
    from app.status import show_status

    raise typer.Exit(show_status(load_settings(broker_url=broker)))


@app.command()
def stats(
    group: Annotated[
        str | None,
        typer.Argument(help="'pattern_key|action_category', in quotes; without it, the groups are listed"),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="dimension=value, repeated; without it, the whole group", metavar="K=V"),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="the first N tracked subsets inside the scope")] = None,
    by: Annotated[str | None, typer.Option(help="number that --top goes by; default: edge_raw")] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="the smallest first, with --top")] = False,
    min_n: Annotated[int | None, typer.Option(min=0, help="least distinct trades of a subset, with --top")] = None,
    dims: Annotated[int | None, typer.Option(min=1, help="exact number of dimensions, with --top")] = None,
    children: Annotated[bool, typer.Option("--children", help="tracked subsets with one dimension more")] = False,
    parents: Annotated[bool, typer.Option("--parents", help="subsets with one dimension less")] = False,
    now: Annotated[bool, typer.Option("--now", help="count every outcome held, not only to the last epoch")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line; what is not known is null")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--replay", help="what `leverloop replay jsonl --out` wrote, instead of a log", metavar="OUT"),
    ] = None,
    broker: Broker = None,
) -> None:
    """Show the statistics of a group's scope subsets: one, its children or parents, or the first by any number.

    Reads the tables of the workers from their log, or a replay, and changes nothing; a worker may run
    meanwhile. Every number is explained in docs/statistics.md.
    """
    from app.stats.command import Question, show_stats

    question = Question(
        group=group,
        scope=tuple(scope or ()),
        top=top,
        by=by,
        ascending=ascending,
        min_n=min_n,
        dims=dims,
        children=children,
        parents=parents,
        now=now,
        as_json=as_json,
    )
    settings = None if out is not None else load_settings(broker_url=broker)
    raise typer.Exit(show_stats(question, settings=settings, replay=out))


@app.command()
def migrate() -> None:
    """Bring the schema of the read model (LEVERLOOP_POSTGRES_DSN) up to date."""
    import asyncio

    from tables.postgres.migrations import migrate as apply

    settings = load_settings()
    if settings.postgres_dsn is None:
        raise BadConfig("LEVERLOOP_POSTGRES_DSN is not set: which database?")
    applied = asyncio.run(apply(settings.postgres_dsn))
    typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")


@topics.command("create")
def topics_create(broker: Broker = None) -> None:
    """Create the topics that do not exist yet. Existing ones are left alone; `verify` judges them."""
    from app.topics import create

    raise typer.Exit(create(load_settings(broker_url=broker)))


@topics.command("verify")
def topics_verify(broker: Broker = None) -> None:
    """Check partitions, cleanup policy, retention and replication; exit code 78 if anything is wrong."""
    from app.topics import verify

    raise typer.Exit(verify(load_settings(broker_url=broker)))


@replay.command("jsonl")
def replay_jsonl(
    folder: Annotated[Path, typer.Argument(help="folder with actions.jsonl and trades.jsonl", metavar="DIR")],
    out: Annotated[Path, typer.Option("--out", help="folder for lessons, snapshots, statistics and the report")],
    parameters: Annotated[Path | None, typer.Option(help="JSON file with parameters of the core")] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON file with your scope schema")] = None,
) -> None:
    """Drive the core from files, in event-time order, without a broker."""
    from rich.console import Console

    from app.replaying import run_replay

    run_replay(folder, out, load_settings(parameters_file=parameters, scope_schema=schema), Console())


def seconds(text: str) -> float:
    """Seconds of a duration such as ``90s``, ``2m``, ``1.5h`` or ``45``.

    Examples
    --------
    >>> seconds("2m"), seconds("1.5h"), seconds("45")
    (120.0, 5400.0, 45.0)
    """
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:])
    try:
        value = float(text if unit is None else text[:-1]) * (unit or 1.0)
    except ValueError:
        value = -1.0
    if not 0.0 < value < float("inf"):
        raise BadConfig(f"--for {text}: a duration is a positive number with s, m or h, such as 90s or 2m")
    return value


def main() -> None:
    """Run the command; an error of ours is one line that says whose fault it is, and an exit code."""
    try:
        app()
    except LeverloopError as error:
        typer.echo(f"leverloop: {error}", err=True)
        sys.exit(_exit_code(error))
    except OSError as error:
        if error.filename is None or error.errno not in _WRONG_PATH:
            raise  # no path of the operator's: a traceback says more
        typer.echo(f"leverloop: {error.filename}: {error.strerror}; name another path", err=True)
        sys.exit(EXIT_CONFIG)


def _exit_code(error: LeverloopError) -> int:
    if isinstance(error, BadConfig | BadInput):
        return EXIT_CONFIG
    return EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_BROKEN
