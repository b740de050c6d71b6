"""Finding and loading the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tokenway.control.config import FLAGS, find_config, find_data, load, store_url
from tokenway.model.errors import ConfigError
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings


def written(directory: Path, text: str) -> Path:
    """A configuration file with this text."""
    file = directory / "tokenway.yaml"
    file.write_text(text)
    return file


def test_without_a_file_everything_is_default() -> None:
    """No configuration is a valid configuration."""
    loaded = load(None, {})
    assert (loaded.settings, loaded.findings, loaded.path) == (Settings(), (), None)


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Each source wins over the next, setting by setting."""
    file = written(tmp_path, "server: {port: 1001, control_port: 1002, workers: 3, drain: 4s}\n")
    environment = {"TOKENWAY_SERVER_PORT": "2001", "TOKENWAY_CONTROL_PORT": "2002", "TOKENWAY_WORKERS": ""}
    server = load(file, environment, {"server.port": "3001"}).demand().server
    assert (server.port, server.control_port, server.workers, server.drain) == (3001, 2002, 3, 4.0)
    assert server.host == "127.0.0.1"


def test_a_short_variable_beats_the_long_one() -> None:
    """TOKENWAY_PORT is the flag's own variable."""
    environment = {"TOKENWAY_PORT": "7", "TOKENWAY_SERVER_PORT": "6"}
    assert load(None, environment).demand().server.port == 7


def test_a_mistake_names_the_source_it_came_from() -> None:
    """A variable and a flag are named like a file would be."""
    findings = load(None, {"TOKENWAY_TIMEOUTS_TOTAL": "x"}, {"server.control_port": "x"}).findings
    assert [(finding.file, finding.line, finding.path) for finding in findings] == [
        ("$TOKENWAY_TIMEOUTS_TOTAL", 0, "timeouts.total"),
        ("--control-port", 0, "server.control_port"),
    ]


def test_a_control_character_in_a_variable_is_found() -> None:
    """The environment is checked like the file."""
    (finding,) = load(None, {"TOKENWAY_HOST": "a\x1bb"}).findings
    assert (finding.file, finding.severity) == ("$TOKENWAY_HOST", "error")


def test_a_misspelt_variable_is_a_warning() -> None:
    """It would have no effect; other variables with the same beginning are somebody's own."""
    findings = load(None, {"TOKENWAY_SERVER_PROT": "1", "TOKENWAY_CI_KEY": "x"}).findings
    assert [(finding.file, finding.severity) for finding in findings] == [("$TOKENWAY_SERVER_PROT", "warning")]
    assert "TOKENWAY_SERVER_PORT" in findings[0].nearest


@pytest.mark.parametrize("text", ["server: [1]\n", "server: 7\n"])
def test_a_variable_does_not_hide_a_broken_section(text: str, tmp_path: Path) -> None:
    """The file's own mistake is reported, not papered over."""
    findings = load(written(tmp_path, text), {"TOKENWAY_PORT": "1"}).findings
    assert [(finding.line, finding.path) for finding in findings] == [(1, "server")]


def test_a_variable_changes_one_use_of_an_alias_only(tmp_path: Path) -> None:
    """A node that is used twice is not the same node twice."""
    file = written(tmp_path, "retries: &r {max: 3}\nserver: *r\n")
    settings = load(file, {"TOKENWAY_RETRIES_MAX": "9"})
    assert [finding.path for finding in settings.findings] == ["server.max"]


def test_every_finding_comes_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    """Text, types and rules report together."""
    file = written(tmp_path, 'server: {prt: 1}\nstore: x\nretries: {max: -1}\naliases: {a: "${NOPE}"}\n')
    loaded = load(file, {})
    assert loaded.settings is None
    assert [finding.line for finding in loaded.findings] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("content", "line", "reason"), [(b"a: 1\n\xff\n", 2, "not UTF-8"), (b"\xff\xfea\x00", 1, "not UTF-8")]
)
def test_a_file_that_is_not_text_is_a_finding(content: bytes, line: int, reason: str, tmp_path: Path) -> None:
    """The line of the first bad byte is told."""
    file = tmp_path / "f.yaml"
    file.write_bytes(content)
    (finding,) = load(file, {}).findings
    assert finding.line == line
    assert reason in finding.reason


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Editors of other systems put one at the start."""
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfretries: {max: 1}\n")
    assert load(file, {}).demand().retries.max == 1


@pytest.mark.parametrize("name", ["nowhere.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_a_finding(name: str, tmp_path: Path) -> None:
    """It was named, so it has to be there."""
    loaded = load(tmp_path / name, {})
    assert loaded.settings is None
    assert "cannot be read" in loaded.findings[0].reason


def test_demanding_settings_that_cannot_be_used_raises_every_error(tmp_path: Path) -> None:
    """The error holds a line for each mistake."""
    loaded = load(written(tmp_path, "a: 1\nb: 2\n"), {})
    with pytest.raises(ConfigError) as caught:
        loaded.demand()
    assert len(str(caught.value).splitlines()) == 2


def test_the_file_is_found_in_order(tmp_path: Path) -> None:
    """The flag, the variable, the working directory, then the user's own directory."""
    home, work = tmp_path / "home", tmp_path / "work"
    own = home / ".config" / "tokenway"
    own.mkdir(parents=True)
    work.mkdir()
    environment = {"HOME": str(home)}
    assert find_config(None, environment, work) is None
    users = written(own, "")
    assert find_config(None, environment, work) == users
    here = written(work, "")
    assert find_config(None, environment, work) == here
    assert find_config(None, {**environment, "TOKENWAY_CONFIG": "/v.yaml"}, work) == Path("/v.yaml")
    assert find_config(Path("f.yaml"), {**environment, "TOKENWAY_CONFIG": "/v.yaml"}, work) == Path("f.yaml")


def test_xdg_directories_are_used_when_they_are_absolute(tmp_path: Path) -> None:
    """A relative value is ignored, as the specification asks."""
    assert find_data(None, {"XDG_DATA_HOME": str(tmp_path), "HOME": "/h"}) == tmp_path / "tokenway"
    assert find_data(None, {"XDG_DATA_HOME": "data", "HOME": "/h"}) == Path("/h/.local/share/tokenway")
    assert find_data(None, {"TOKENWAY_DATA_DIR": "d", "HOME": "/h"}) == Path("d")
    assert find_data(Path("x"), {"TOKENWAY_DATA_DIR": "d"}) == Path("x")


def test_the_store_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    """Unless the setting says otherwise."""
    assert store_url(Settings(), tmp_path) == f"sqlite:///{tmp_path}/tokenway.db"
    assert store_url(Settings(store=Secret("sqlite:////x.db")), tmp_path) == "sqlite:////x.db"


def test_each_flag_is_named_after_its_setting() -> None:
    """The names that findings use are the flags of `serve`."""
    assert sorted(FLAGS.values()) == ["--control-port", "--host", "--port", "--workers"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_finding(tmp_path: Path) -> None:
    """The reason is the system's."""
    file = written(tmp_path, "")
    file.chmod(0)
    assert "Permission" in load(file, {}).findings[0].reason
