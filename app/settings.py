"""Settings of a worker: the one place that reads the environment (``LEVERLOOP_*``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from learning.movement import Limits
from learning.parameters import Parameters, config_hash
from leverloop.errors import BadConfig
from leverloop.scope import DEFAULT_SCHEMA, ScopeSchema

__all__ = ["Settings", "load_settings"]

_PREFIX = "LEVERLOOP_"
_MOST_BYTES = 32 * 1024 * 1024 - 64 * 1024  # what the topics take (streams.topics), less the record around it
_NOT_OURS = frozenset({"LEVERLOOP_TEST_KAFKA", "LEVERLOOP_REQUIRE_KAFKA", "LEVERLOOP_TEST_CANDLES", "LEVERLOOP_KILL"})


class Settings(BaseSettings):
    """What a worker needs to know; frozen, read once.

    Examples
    --------
    >>> Settings(broker_url="kafka://127.0.0.1:9092", partitions=16).partitions
    16
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    broker_url: str = Field(
        default="embedded://.leverloop/log.db",
        description="kafka://host:port (several separated by ;) or embedded://path of the embedded log",
    )
    app_id: str = Field(default="leverloop", description="consumer group, and prefix of the changelog topics")
    partitions: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=4, description="partitions of the topics that scale; for ever, once topics exist"
    )
    replication_factor: Annotated[int, Field(ge=1)] = Field(
        default=1, description="copies of every topic on Kafka; 3 in production"
    )
    min_insync_replicas: Annotated[int, Field(ge=1)] = Field(
        default=1, description="copies that must have a record before it is acknowledged; 2 in production"
    )
    data_dir: Path = Field(default=Path(".leverloop"), description="local state: lock files, embedded PostgreSQL")
    postgres_dsn: str | None = Field(
        default=None, description="PostgreSQL of the read model; none: the worker runs without a sink"
    )
    snapshot_valid_hours: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="hours on the wall clock after which a snapshot without a heartbeat is stale"
    )
    heartbeat_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="wall-clock seconds between the heartbeats of the snapshots that stand"
    )
    snapshot_max_bytes: Annotated[int, Field(ge=1024, le=_MOST_BYTES)] = Field(
        default=Limits().max_bytes, description="largest snapshot, as JSON"
    )
    snapshot_max_overrides: Annotated[int, Field(ge=1)] = Field(
        default=Limits().max_overrides, description="most overrides of a snapshot"
    )
    snapshot_max_changed: Annotated[int, Field(ge=1)] = Field(
        default=Limits().max_changed, description="most overrides that come and go at an epoch"
    )
    snapshot_max_movement: Annotated[float, Field(gt=0)] = Field(
        default=Limits().max_movement,
        description="most movement of all levers away from neutral at an epoch, in lever ranges per override",
    )
    quiet_market_s: Annotated[float, Field(gt=0)] = Field(
        default=120.0,
        description="wall-clock seconds without progress of any input after which an epoch that some have passed "
        "is closed for all",
    )
    scope_schema: Path | None = Field(default=None, description="JSON file with your scope schema")
    parameters_file: Path | None = Field(default=None, description="JSON file with parameters of the core")
    epoch_hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="length of an epoch in event time; overrides the parameters' 6 h"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level logged")
    log_format: Literal["console", "json"] = Field(default="console", description="how log lines look")

    def schema_(self) -> ScopeSchema:
        """Scope schema of this deployment."""
        return DEFAULT_SCHEMA if self.scope_schema is None else ScopeSchema.load(self.scope_schema)

    def parameters(self) -> Parameters:
        """Parameters of the core of this deployment."""
        parameters = Parameters() if self.parameters_file is None else load_parameters(self.parameters_file)
        if self.epoch_hours is not None:
            parameters = msgspec.structs.replace(parameters, epoch_ms=round(self.epoch_hours * 3_600_000))
        return parameters

    def limits(self) -> Limits:
        """What a snapshot may be."""
        return Limits(
            max_bytes=self.snapshot_max_bytes,
            max_overrides=self.snapshot_max_overrides,
            max_changed=self.snapshot_max_changed,
            max_movement=self.snapshot_max_movement,
        )

    def config_hash(self) -> str:
        """Hash of what decides what is learned."""
        return config_hash(self.parameters(), self.schema_())


def load_parameters(path: Path) -> Parameters:
    """Parameters from a JSON file; BadConfig names the file and what is wrong in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Parameters)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"parameters {path}: {error}") from error


def load_settings(**given: Any) -> Settings:
    """Settings from the environment, and from what is given and not None.

    Raises
    ------
    BadConfig
        For a value that does not fit, and for a variable ``LEVERLOOP_...`` that is no setting.
    """
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields} | _NOT_OURS
    strangers = sorted(name for name in os.environ if name.startswith(_PREFIX) and name not in known)
    if strangers:
        raise BadConfig(f"{', '.join(strangers)}: no such setting; see docs/settings.md")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}, was {e.get('input')!r}" for e in error.errors()]
        raise BadConfig("settings: " + "; ".join(lines)) from error
