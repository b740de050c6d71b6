"""A published configuration over a file's: places, nulls, masks, differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.control.config import Source, load, written
from tokenway.control.findings import has_errors
from tokenway.control.published import (
    FILES_OWN,
    SECTIONS,
    Published,
    differences,
    masked,
    secrets_of,
    unmasked,
    with_secrets,
)
from tokenway.model.secret import Secret
from tokenway.store.seal import Seal

MARK = Seal(["m" * 32]).mark
FILE: dict[str, Any] = {
    "providers": {"lab": {"base_url": "http://127.0.0.1:9/v1", "api_key": "sk-file"}},
    "models": {
        "m": {"endpoints": [{"provider": "lab", "model": "x"}], "fallbacks": ["n"]},
        "n": {"endpoints": [{"provider": "lab", "model": "z"}]},
    },
    "aliases": {"a": "m"},
    "timeouts": {"connect": "3s", "total": "10m"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
SECTION = st.sampled_from([*SECTIONS, *FILES_OWN, "other"])


def over(tmp_path: Path, document: dict[str, Any]) -> Any:
    """What comes of a document over the file; raises ConfigError."""
    path = tmp_path / "tokenway.yaml"
    path.write_text(json.dumps(FILE))
    return load(path, {}, {}, Published(1, document))


def test_entries_take_the_place_of_entries(tmp_path: Path) -> None:
    """Whole, by name; the others stay."""
    settings = over(tmp_path, {"models": {"m": {"endpoints": [{"provider": "lab", "model": "y"}]}}}).demand()
    assert settings.models["m"].endpoints[0].model == "y"
    assert settings.models["m"].fallbacks == ()
    assert "n" in settings.models
    assert settings.aliases == {"a": "m"}


def test_fields_stand_by_themselves(tmp_path: Path) -> None:
    """What is not said stays the file's; null goes back to the default."""
    settings = over(tmp_path, {"timeouts": {"connect": 1.5}}).demand()
    assert (settings.timeouts.connect, settings.timeouts.total) == (1.5, 600.0)
    settings = over(tmp_path, {"timeouts": {"total": None}, "retries": {"max": 5}}).demand()
    assert (settings.timeouts.connect, settings.timeouts.total, settings.retries.max) == (3.0, 900.0, 5)


def test_variables_and_flags_lie_over_it(tmp_path: Path) -> None:
    """Environment over published over file."""
    path = tmp_path / "tokenway.yaml"
    path.write_text(json.dumps(FILE))
    environment = {"TOKENWAY_TIMEOUTS_CONNECT": "7s"}
    loaded = load(path, environment, {}, Published(3, {"timeouts": {"connect": "5s", "first_token": "6s"}}))
    assert (loaded.demand().timeouts.connect, loaded.demand().timeouts.first_token) == (7.0, 6.0)
    assert loaded.version == 3


@pytest.mark.parametrize("section", sorted(FILES_OWN))
def test_what_is_the_machines_stays_the_files(tmp_path: Path, section: str) -> None:
    """A finding with the path says so."""
    loaded = over(tmp_path, {section: None if section == "store" else {}})
    assert [(each.path, each.file) for each in loaded.findings] == [(section, "published configuration 1")]
    assert loaded.settings is None


def test_a_text_without_a_file_is_enough() -> None:
    """Where there is no file, the published configuration is all there is."""
    document = {"providers": {"p": {"base_url": "http://127.0.0.1:1/v1"}}}
    assert "p" in Source({}, {}).read_with(None, Published(1, document)).demand().providers
    assert written(None, {}, Published(1, document)) == document


def test_secrets_are_found_wherever_they_stand() -> None:
    """Keys, lists of keys, signing keys, headers."""
    document = {
        "providers": {
            "a": {"api_key": "k1", "api_keys": ["k2", "k3"], "headers": {"x": "k4"}, "base_url": "plain"},
            "b": {"aws": {"access_key": "k5", "secret_key": "k6", "region": "plain"}},
        },
        "aliases": {"api_key": "plain"},
    }
    assert set(secrets_of(document).values()) == {"k1", "k2", "k3", "k4", "k5", "k6"}
    text = json.dumps(masked(document, MARK), ensure_ascii=False)
    assert not any(f"k{number}" in text for number in range(1, 7))
    assert text.count("plain") == 3


def test_masks_stand_for_their_secrets() -> None:
    """Also where a list has become shorter, or an entry has another name."""
    kept = {"providers": {"a": {"api_keys": ["k1", "k2", "k3"]}}}
    shown = masked(kept, MARK)["providers"]["a"]["api_keys"]
    restored, findings = unmasked({"providers": {"b": {"api_keys": shown[1:]}}}, kept, MARK)
    assert restored == {"providers": {"b": {"api_keys": ["k2", "k3"]}}}
    assert findings == []
    _, findings = unmasked({"providers": {"b": {"api_key": Secret.MASK + "0" * 12}}}, kept, MARK)
    assert [each.path for each in findings] == ["providers.b.api_key"]


@given(document=st.dictionaries(SECTION, JSON, max_size=4))
def test_any_document_gives_findings_or_settings(document: dict[str, Any]) -> None:
    """Whatever JSON holds: nothing raises, and what is shown of it can be shown."""
    loaded = Source({}, {}).read_with(None, Published(1, document))
    assert (loaded.settings is None) == has_errors(loaded.findings)
    said = written(None, {}, Published(1, document))
    json.dumps([[each.path, each.old, each.new] for each in differences({}, said, MARK)])
    assert with_secrets(document, lambda _, text: text) is not None


@given(old=st.dictionaries(st.sampled_from(SECTIONS), JSON), new=st.dictionaries(st.sampled_from(SECTIONS), JSON))
def test_differences_go_both_ways(old: dict[str, Any], new: dict[str, Any]) -> None:
    """What was added one way is removed the other, and a thing does not differ from itself."""
    there, back = differences(old, new, MARK), differences(new, old, MARK)
    assert [(each.path, each.old, each.new) for each in there] == [(each.path, each.new, each.old) for each in back]
    assert differences(old, old, MARK) == []
