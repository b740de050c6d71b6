"""The sockets that the supervisor binds."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tokenway.compose import listeners as module
from tokenway.compose.listeners import PATH_MAX, bind, workers_listener
from tokenway.model.errors import ConfigError


def test_bind_waits_only_for_a_port_that_may_become_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of another machine is refused at once; a taken one is had as soon as it is let go."""
    monkeypatch.setattr(module, "BIND_SECONDS", 3600.0)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:1 .*--port"):
        bind("192.0.2.1", 1, "--port")
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]
    monkeypatch.setattr("time.sleep", lambda _seconds: other.close())
    with bind("127.0.0.1", port, "--port") as listener:
        assert listener.getsockname()[1] == port
        assert listener.getblocking() is False


def test_the_workers_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """It lies in the data directory and is gone afterwards; one that was left behind is in nobody's way."""
    (tmp_path / "control.sock").write_text("left behind")
    mask = os.umask(0)
    try:
        with workers_listener(tmp_path) as (listener, path):
            assert path == tmp_path / "control.sock"
            assert path.stat().st_mode & 0o777 == 0o600
            assert listener.getblocking() is False
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(path))
        assert os.umask(0) == 0
    finally:
        os.umask(mask)
    assert not path.exists()


def test_a_path_that_is_too_long_is_left_for_a_short_one(tmp_path: Path) -> None:
    """In a folder that only this user can enter, and that does not stay."""
    deep = tmp_path / ("d" * PATH_MAX)
    deep.mkdir()
    with workers_listener(deep) as (_, path):
        assert path.parent != deep
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
    assert not path.parent.exists()


def test_a_relative_data_directory_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path that workers are told is whole."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    with workers_listener(Path("data")) as (_, path):
        assert path == tmp_path / "data" / "control.sock"
