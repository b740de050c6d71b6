"""`tokenway doctor`: a line per probe, JSON, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import StubGateway
from tokenway.cli.main import run


@pytest.fixture
def quiet(home: Path) -> Path:
    """A home whose configuration lets the system choose the ports, so that no other server is met."""
    path = home / "tokenway.yaml"
    path.write_text("server: {port: 0, control_port: 0}\n")
    return path


def test_each_probe_is_a_line_with_its_level(quiet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sound installation gives status 0, and each line begins with ok or warn."""
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 8
    assert {line.split()[0] for line in lines} <= {"ok", "warn"}


def test_json_has_name_level_detail_and_advice(quiet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON form is a list of probes; advice is null where all is well."""
    run(["doctor", "--json"])
    probes = json.loads(capsys.readouterr().out)
    assert all(set(probe) == {"name", "level", "detail", "advice"} for probe in probes)
    assert all((probe["level"] == "ok") is (probe["advice"] is None) for probe in probes)


def test_a_failed_probe_is_exit_status_one_and_says_what_to_do(
    stub: StubGateway, quiet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another server on the port fails the diagnosis, with the option that moves the listener."""
    quiet.write_text(f"server: {{port: {stub.server.server_port}, control_port: 0}}\n")
    assert run(["doctor"]) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fail")]
    assert len(failed) == 1
    assert "--port" in failed[0]
