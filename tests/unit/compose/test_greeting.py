"""What a person is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.records import settled
from tokenway.compose.greeting import engine_line, example_model, exchange_printer, remember, say_ready
from tokenway.compose.paths import CREDENTIALS, Credentials, read_credentials
from tokenway.control.config import load
from tokenway.local.models import LocalModel
from tokenway.local.supervise import EngineState, Phase
from tokenway.model.secret import Secret
from tokenway.model.settings import ServerSettings, Settings
from tokenway.store.sqlite import open_sqlite


def test_the_printed_command_asks_for_a_model_that_is_there(tmp_path: Path) -> None:
    """The local one, unless it is known to be absent."""
    assert example_model(Settings(), {"local", "local-embed"}) == "local"
    assert example_model(Settings(), {"local-embed"}) == "MODEL"
    file = tmp_path / "tokenway.yaml"
    file.write_text(
        "{providers: {local: {enabled: false}, lab: {base_url: 'http://127.0.0.1:9/v1'}}, "
        "models: {mock: {endpoints: [{provider: lab, model: m}]}}}"
    )
    configured = load(file, {}).demand()
    assert example_model(configured, set()) == "mock"
    assert example_model(configured, {"local"}) == "local"


MADE = Credentials("tw-key", "http://127.0.0.1:1", "default", "admin", "pass", "tok")


def test_how_to_use_it_is_said_with_what_was_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Once: a key that was made is in the command; later the command names the variable."""
    say_ready(ServerSettings(port=1, control_port=2), tmp_path, MADE, "mock")
    first = capsys.readouterr().out
    assert "Tokenway listens at   http://127.0.0.1:1/v1\n" in first
    assert "Your key, shown once  tw-key\n" in first
    assert "Sign in as            admin, password pass\n" in first
    assert "Control API's token   tok\n" in first
    assert "Control and metrics   http://127.0.0.1:2\n" in first
    assert "Bearer tw-key" in first
    assert first.rstrip().splitlines()[-1].lstrip().startswith('-d \'{"model": "mock"')
    say_ready(ServerSettings(port=1, control_port=2), tmp_path, None, "mock")
    later = capsys.readouterr().out
    assert "shown once" not in later
    assert "Sign in" not in later
    assert "Bearer $TOKENWAY_API_KEY" in later


def test_what_a_first_start_made_is_written_down(tmp_path: Path) -> None:
    """The next start changes the address beside it; what cannot be read is left to its owner."""
    store = open_sqlite(tmp_path / "t.db")
    first = store.accounts.bootstrap()
    store.close()
    assert first is not None
    made = remember(tmp_path, "http://127.0.0.1:1", first)
    assert made is not None
    assert (made.api_key, made.base_url) == (first.key.secret.reveal(), "http://127.0.0.1:1")
    assert (made.admin, made.password) == (first.user.name, first.password.reveal())
    assert read_credentials(tmp_path) == made
    assert remember(tmp_path, "http://127.0.0.1:2", None) is None
    assert read_credentials(tmp_path) == msgspec.structs.replace(made, base_url="http://127.0.0.1:2")
    (tmp_path / CREDENTIALS).write_text("damaged")
    assert remember(tmp_path, "http://127.0.0.1:3", None) is None
    assert (tmp_path / CREDENTIALS).read_text() == "damaged"


def test_what_became_of_the_engine_is_a_sentence() -> None:
    """Ready with its models, or why not."""
    models = tuple(LocalModel(name, name, (), "", 0, 2048) for name in ("local", "local-embed"))
    ready = EngineState(Phase.READY, "unix:x", Secret("k"), "x is missing.", models)
    assert engine_line(ready) == "The local engine is ready: local, local-embed. x is missing."
    absent = EngineState(Phase.UNAVAILABLE, "unix:x", Secret("k"), "Nothing is installed.")
    assert engine_line(absent) == "The local model is not available. Nothing is installed."


def test_exchanges_are_lines_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """One each."""
    exchange_printer()(settled(1))
    assert len(capsys.readouterr().out.splitlines()) == 1
