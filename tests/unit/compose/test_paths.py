"""`tokenway.compose.paths`: the file with the first key."""

from __future__ import annotations

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tokenway.compose.paths import CREDENTIALS, NODE, Credentials, node_id, read_credentials, write_credentials
from tokenway.model.errors import ConfigError


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Credentials survive, and the file is plain JSON with `api_key` and `base_url`."""
    credentials = Credentials("tw-x", "http://127.0.0.1:8080")
    path = write_credentials(tmp_path, credentials)
    assert read_credentials(tmp_path) == credentials
    assert json.loads(path.read_text())["api_key"] == "tw-x"


def test_an_older_file_is_still_read(tmp_path: Path) -> None:
    """One from before there was an admin who can sign in."""
    (tmp_path / CREDENTIALS).write_text(
        '{"api_key": "tw-x", "base_url": "http://127.0.0.1:8080", "project": "default"}'
    )
    assert read_credentials(tmp_path) == Credentials("tw-x", "http://127.0.0.1:8080")


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The file has mode 0600 and nothing else is left in the directory."""
    path = write_credentials(tmp_path, Credentials("tw-x"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [CREDENTIALS]


def test_no_file_is_no_credentials(tmp_path: Path) -> None:
    """Before the first start there is nothing, and a missing directory is the same."""
    assert read_credentials(tmp_path) is None
    assert read_credentials(tmp_path / "missing") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"api_key": 5}', "{}"])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: str) -> None:
    """A file that is not ours is an error with the way out, never an empty key."""
    (tmp_path / CREDENTIALS).write_text(content)
    with pytest.raises(ConfigError, match=r"damaged .*`tokenway keys create`"):
        read_credentials(tmp_path)


def test_a_machine_keeps_its_id(tmp_path: Path) -> None:
    """Made once, with the data directory, also by two that start at once; another directory has another."""
    data = tmp_path / "new" / "data"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(node_id, [data] * 32))
    assert made == {node_id(data)}
    (found,) = made
    assert re.fullmatch("[0-9a-f]{8}", found)
    assert [path.name for path in data.iterdir()] == [NODE]
    assert node_id(tmp_path / "other") != found


@pytest.mark.parametrize("text", ["", "0000000", "0000000g", "../etc/passwd", "0000 0000"])
def test_a_damaged_id_is_not_used(tmp_path: Path, text: str) -> None:
    """Another machine's rows must not be taken for ours."""
    (tmp_path / NODE).write_text(text)
    with pytest.raises(ConfigError, match="node is damaged: it should hold 8 hexadecimal digits"):
        node_id(tmp_path)


def test_an_id_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    """It names the file."""
    (tmp_path / NODE).mkdir()
    with pytest.raises(ConfigError, match="node cannot be used"):
        node_id(tmp_path)
