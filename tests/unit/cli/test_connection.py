"""`tokenway.cli.connection`: which gateway and which key a command uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import StubGateway
from tokenway.cli.connection import Connection, connect
from tokenway.cli.errors import BadUsage
from tokenway.compose.paths import Credentials, write_credentials
from tokenway.model.errors import ConfigError
from tokenway.model.secret import Secret


def sent_key(stub: StubGateway, connection: Connection | None) -> str | None:
    """The credential that reaches the gateway."""
    stub.serves("/v1/models", {"data": []})
    connect(connection).get("/v1/models")
    return stub.requests[-1][2].get("authorization")


def data_directory(home: Path, credentials: Credentials) -> Path:
    """A data directory with these credentials, where the environment points to."""
    directory = home / "data" / "tokenway"
    directory.mkdir(parents=True)
    write_credentials(directory, credentials)
    return directory


def test_the_default_is_the_usual_address(home: Path) -> None:
    """With nothing said anywhere it is the default listener."""
    assert connect(None).base_url == "http://127.0.0.1:8080"


def test_the_configuration_gives_the_address(home: Path) -> None:
    """A listener on every address is reached through loopback."""
    (home / "tokenway.yaml").write_text("server: {host: 0.0.0.0, port: 9123}\n")
    assert connect(None).base_url == "http://127.0.0.1:9123"


def test_a_broken_configuration_is_said_not_guessed_over(home: Path) -> None:
    """A file with errors gives no address, and the sentence says what to do."""
    (home / "tokenway.yaml").write_text("server: {prot: 1}\n")
    with pytest.raises(ConfigError, match="`tokenway check`"):
        connect(None)
    assert connect(Connection(base_url="http://127.0.0.1:1")).base_url == "http://127.0.0.1:1"


def test_option_then_environment_then_file(stub: StubGateway, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and the address each come from the first place that has them."""
    directory = data_directory(home, Credentials("tw-file", stub.base_url))
    assert sent_key(stub, None) == "Bearer tw-file"
    monkeypatch.setenv("TOKENWAY_API_KEY", "tw-variable")
    assert sent_key(stub, None) == "Bearer tw-variable"
    assert sent_key(stub, Connection(key="tw-option")) == "Bearer tw-option"
    monkeypatch.setenv("TOKENWAY_BASE_URL", "http://127.0.0.1:2")
    assert connect(Connection(data_dir=directory)).base_url == "http://127.0.0.1:2"
    assert connect(Connection(base_url="http://127.0.0.1:3")).base_url == "http://127.0.0.1:3"


def test_another_data_directory_has_other_credentials(stub: StubGateway, home: Path) -> None:
    """--data-dir says whose credentials.json is meant."""
    data_directory(home, Credentials("tw-usual", stub.base_url))
    other = home / "other"
    other.mkdir()
    write_credentials(other, Credentials("tw-other", stub.base_url))
    assert sent_key(stub, Connection(data_dir=other)) == "Bearer tw-other"


def test_the_first_key_stays_on_this_machine(home: Path) -> None:
    """credentials.json is for its own gateway; another host gets a key only when one is given for it."""
    data_directory(home, Credentials("tw-file", "http://10.0.0.5:8080"))
    assert connect(None)._key == Secret("tw-file")
    assert connect(Connection(base_url="http://localhost:9000/v1"))._key == Secret("tw-file")
    assert connect(Connection(base_url="https://gateway.example"))._key is None
    assert connect(Connection(base_url="https://gateway.example", key="tw-given"))._key == Secret("tw-given")


@pytest.mark.parametrize("address", ["nonsense", "http://[::1", "http://h:port"])
def test_a_wrong_address_is_bad_usage_whatever_is_wrong(home: Path, address: str) -> None:
    """No address that a person can type ends in a traceback."""
    data_directory(home, Credentials("tw-file"))
    with pytest.raises(BadUsage):
        connect(Connection(base_url=address))
