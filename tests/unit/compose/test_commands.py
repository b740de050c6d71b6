"""`tokenway.compose.commands`: what the command line asks of the layers below."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokenway.compose.commands import (
    check_configuration,
    compare_prices,
    configured_base_url,
    data_directory,
    effective_settings,
    import_litellm_file,
    stored,
)
from tokenway.model.errors import ConfigError
from tokenway.store.accounts.records import CLI


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty home in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path)}


def test_the_address_follows_environment_and_file(environment: dict[str, str], tmp_path: Path) -> None:
    """Default, then the file in the working directory, then the environment over it."""
    assert configured_base_url(environment) == "http://127.0.0.1:8080"
    (tmp_path / "tokenway.yaml").write_text("server: {port: 9000}\n")
    assert configured_base_url(environment) == "http://127.0.0.1:9000"
    assert configured_base_url({**environment, "TOKENWAY_PORT": "9001"}) == "http://127.0.0.1:9001"


def test_settings_with_errors_are_not_used(environment: dict[str, str], tmp_path: Path) -> None:
    """The sentence names the file and the command that lists what is wrong."""
    path = tmp_path / "bad.yaml"
    path.write_text("server: {port: high}\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml has errors; `tokenway check`"):
        effective_settings(path, environment)


def test_a_check_says_it_in_words_and_in_json(environment: dict[str, str], tmp_path: Path) -> None:
    """Both forms carry the same verdict; a usable configuration is summed up as well."""
    good = check_configuration(None, environment)
    assert good.ok
    assert "no configuration file" in good.text
    path = tmp_path / "bad.yaml"
    path.write_text("server: {port: high}\n")
    bad = check_configuration(path, environment)
    assert not bad.ok
    assert "bad.yaml:1" in bad.text
    assert json.loads(bad.json)["ok"] is False


def test_the_data_directory_is_the_flag_then_the_variable_then_the_users(environment: dict[str, str]) -> None:
    """The same order as for every other setting."""
    home = Path(environment["HOME"])
    assert data_directory(None, environment) == home / ".local" / "share" / "tokenway"
    named = {**environment, "TOKENWAY_DATA_DIR": "/srv/tokenway"}
    assert data_directory(None, named) == Path("/srv/tokenway")
    assert data_directory(Path("flag"), named) == Path("flag")


def test_a_store_is_made_only_when_asked_for(environment: dict[str, str], tmp_path: Path) -> None:
    """Reading makes no file; making does, and what was made is there the next time."""
    data = tmp_path / "data"
    with pytest.raises(ConfigError, match="There is no database"), stored(data, None, environment):
        pass
    assert not data.exists()
    with stored(data, None, environment, make=True) as store:
        store.accounts.projects.create("team", by=CLI)
    with stored(data, None, environment) as store:
        assert store.accounts.projects.get("team").name == "team"


def test_prices_are_compared_for_the_configuration_that_would_be_used(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """With the book that is shipped; nothing of a provider that is not enabled."""
    config = tmp_path / "f.yaml"
    config.write_text(
        "providers: {mistral: {api_key: k}}\n"
        "models: {a: {endpoints: [{provider: mistral, model: mistral-large-2411, price: {input: 9, output: 6}}]}}"
    )
    found = compare_prices(config, environment, 20_758)
    assert {each.provider for each in found if each.origin != "correction"} == {"mistral"}
    assert any((each.rate, each.says, each.other_says) == ("input", 9 * 10**9, 2 * 10**9) for each in found)


def test_a_proxys_file_is_read_and_converted(tmp_path: Path) -> None:
    """What is no text is refused with a sentence."""
    file = tmp_path / "config.yaml"
    file.write_text("model_list: [{model_name: a, litellm_params: {model: gpt-4o}}]")
    assert "provider: openai" in import_litellm_file(file).text
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        import_litellm_file(file)
