"""docker-compose.yml and Dockerfile, as far as they can be judged without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from app.cli import app as cli
from app.devbroker import KAFKA_VERSION
from app.settings import Settings
from app.topics import replication

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENGINE = {name for name, service in SERVICES.items() if "build" in service}
PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?([.-][a-z0-9.-]+)?")
# ${NAME:-default}: what a developer gets, and what a deployment sets.
FROM_ENVIRONMENT = re.compile(r"\$\{[A-Z_]+:-[^}]*\}")

services = pytest.mark.parametrize("name", SERVICES)
engine = pytest.mark.parametrize("name", sorted(ENGINE))


def test_the_services_are_those_of_the_loop() -> None:
    assert set(SERVICES) == {"kafka", "postgres", "topics", "worker", "paper"}
    assert {"topics", "worker", "paper"} == ENGINE
    assert set(COMPOSE) - {"name", "services", "volumes"} == {"x-engine", "x-settings"}


@services
def test_images_are_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_kafka_is_the_version_that_the_tests_run_on() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@services
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    for mapping in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", mapping)


@services
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        other = SERVICES[needed]
        match how["condition"]:
            case "service_healthy":
                assert "healthcheck" in other
            case "service_completed_successfully":
                assert other["restart"] == "no"
            case condition:
                assert (condition, needed) == ("service_started", "worker")


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ENGINE))
def test_servers_have_a_health_check_that_asks_them(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert check["retries"] > 1
    assert {"interval", "timeout", "start_period"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"


@services
def test_volumes_are_declared(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]


@services
def test_secrets_come_from_the_environment(name: str) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        if re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable):
            assert FROM_ENVIRONMENT.fullmatch(value)
        for password in re.findall(r"://[^:/@]+:([^@]*)@", value):
            assert FROM_ENVIRONMENT.fullmatch(password)


@engine
def test_every_variable_is_a_setting_and_every_value_fits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES[name]["environment"]
    prefix = Settings.model_config["env_prefix"]
    ours = {variable for variable in environment if variable.startswith(prefix)}
    assert ours == set(environment)
    assert {variable.removeprefix(prefix).lower() for variable in ours} <= set(Settings.model_fields)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.broker_url == "kafka://kafka:9092"
    assert replication(settings).factor == 1  # there is one broker


def test_everybody_of_the_engine_sees_the_same_topics() -> None:
    shared = COMPOSE["x-settings"]
    for name in ENGINE:
        assert shared.items() <= SERVICES[name]["environment"].items()


@engine
def test_commands_are_understood(name: str) -> None:
    program, *words = SERVICES[name]["command"]
    assert program == "leverloop"
    # --help wins over running, not over an option or a command that does not exist.
    understood = CliRunner().invoke(cli, [*words, "--help"])
    assert understood.exit_code == 0, understood.output
    assert CliRunner().invoke(cli, [*words, "--no-such-option", "--help"]).exit_code != 0


def test_dockerfile_is_pinned_and_its_user_is_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases
    assert all(PINNED.fullmatch(base) for base in bases)
    assert [line for line in lines if line.startswith("USER ")] == ["USER leverloop"]
    assert any("--require-hashes" in line for line in lines)


def test_dockerfile_copies_what_the_packages_need_and_nothing_that_is_ignored() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    }
    let_through = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "client"}
    assert packages <= copied
