"""Settings: read once, refused when they do not fit; which variables there are is checked against the documents."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from app.settings import Settings, load_parameters, load_settings
from learning.parameters import HOUR_MS, Parameters, config_hash
from leverloop.errors import BadConfig
from leverloop.scope import DEFAULT_SCHEMA


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415

    for name in [name for name in os.environ if name.startswith("LEVERLOOP_")]:
        monkeypatch.delenv(name)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVERLOOP_BROKER_URL", "kafka://127.0.0.1:9092")
    monkeypatch.setenv("LEVERLOOP_PARTITIONS", "12")
    found = load_settings()
    assert (found.broker_url, found.partitions) == ("kafka://127.0.0.1:9092", 12)


def test_what_is_given_goes_before_the_environment_and_none_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVERLOOP_PARTITIONS", "12")
    assert load_settings(partitions=3, broker_url=None).partitions == 3
    assert load_settings(partitions=None).partitions == 12


@pytest.mark.parametrize("name", ["LEVERLOOP_PARTITION", "LEVERLOOP_BROKER", "LEVERLOOP_"])
def test_a_variable_that_is_no_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(BadConfig, match=f"{name}: no such setting; see docs/settings.md"):
        load_settings()


def test_variables_of_the_client_and_the_tests_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVERLOOP_KILL", "1")
    monkeypatch.setenv("LEVERLOOP_TEST_KAFKA", "127.0.0.1:1")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PARTITIONS", "0", "partitions: Input should be greater than or equal to 1, was '0'"),
        ("PARTITIONS", "many", "partitions: Input should be a valid integer"),
        ("QUIET_MARKET_S", "-1", "quiet_market_s: Input should be greater than 0"),
        ("LOG_FORMAT", "xml", "log_format: Input should be 'console' or 'json', was 'xml'"),
    ],
)
def test_a_value_that_does_not_fit_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"LEVERLOOP_{name}", value)
    with pytest.raises(BadConfig, match=f"settings: {said}"):
        load_settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().partitions = 5  # type: ignore[misc]


def test_parameters_come_from_a_file_and_the_epoch_may_be_shorter(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"rr_cap": 5.0}))
    found = Settings(parameters_file=tmp_path / "p.json", epoch_hours=0.5).parameters()
    assert found == Parameters(rr_cap=5.0, epoch_ms=HOUR_MS // 2)
    assert Settings().parameters() == Parameters()


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"\xff": 1}', b'{"rr_cap": -1}', b'{"no_such": 1}', b'{"alpha": 1.5}']
)
def test_a_parameters_file_that_does_not_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.json").write_bytes(content)
    with pytest.raises(BadConfig, match=r"parameters .*p\.json: "):
        load_parameters(tmp_path / "p.json")


def test_a_parameters_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"parameters .*gone\.json: .*No such file"):
        Settings(parameters_file=tmp_path / "gone.json").parameters()


def test_a_schema_of_ones_own_is_another_configuration(tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(msgspec.json.encode(DEFAULT_SCHEMA))
    document["dimensions"].append({"bit": 18, "name": "venue", "modules": ["pm"], "values": ["a", "b"]})
    document["modules"]["pm"]["dimensions"] = [*document["modules"]["pm"]["dimensions"], "venue"]
    (tmp_path / "s.json").write_bytes(msgspec.json.encode(document))
    found = Settings(scope_schema=tmp_path / "s.json")
    assert found.schema_().normalise({"venue": "a"}, "pm") == ({"venue": "a"}, ())
    assert found.config_hash() == config_hash(Parameters(), found.schema_()) != Settings().config_hash()
    assert Settings(epoch_hours=1.0).config_hash() != Settings().config_hash()


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"\xff": 1}'])
def test_a_schema_file_that_does_not_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.json").write_bytes(content)
    with pytest.raises(BadConfig, match=r"scope schema .*s\.json: "):
        Settings(scope_schema=tmp_path / "s.json").schema_()


def test_a_subset_has_at_least_one_dimension(tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(msgspec.json.encode(DEFAULT_SCHEMA))
    document["modules"]["dm"]["max_dims"] = 0
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(BadConfig, match="max_dims is 0"):
        Settings(scope_schema=tmp_path / "s.json").schema_()


def test_the_shipped_schema_is_the_default() -> None:
    assert Settings().schema_() is DEFAULT_SCHEMA
