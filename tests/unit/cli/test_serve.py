"""`tokenway serve`: what the command line hands on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tokenway.cli.main import run
from tokenway.control.config import load


@pytest.fixture
def started(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been started; starting it is tested end to end."""
    calls: list[dict[str, Any]] = []

    def serve(*, config: Path | None, overrides: Mapping[str, str], data_dir: Path | None) -> int:
        calls.append({"config": config, "overrides": overrides, "data_dir": data_dir})
        return 3

    monkeypatch.setattr("tokenway.compose.serve.serve", serve)
    return calls


def test_without_options_nothing_is_overridden(started: list[dict[str, Any]]) -> None:
    """File and environment decide; the exit status is the gateway's."""
    assert run(["serve"]) == 3
    assert started == [{"config": None, "overrides": {}, "data_dir": None}]


def test_every_option_becomes_the_setting_it_names(started: list[dict[str, Any]]) -> None:
    """The overrides are settings that the configuration knows, so a flag beats the environment and the file."""
    options = "--host 127.0.0.2 --port 0 --control-port 9001 --workers 2 --data-dir here --config other.yaml"
    run(["serve", *options.split()])
    (call,) = started
    assert (call["config"], call["data_dir"]) == (Path("other.yaml"), Path("here"))
    settings = load(None, {"TOKENWAY_PORT": "1", "TOKENWAY_WORKERS": "7"}, call["overrides"]).demand().server
    assert (settings.host, settings.port, settings.control_port, settings.workers) == ("127.0.0.2", 0, 9001, 2)
