"""Any text is a configuration with findings or one with settings; nothing a person writes raises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from tokenway.control.check import render_json, render_text
from tokenway.control.config import Loaded, load
from tokenway.control.findings import has_errors
from tokenway.control.publish import DEMONSTRATION, LocalOffer, build_snapshot
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tokenway.model.shape import Kind, Shape, fields_of, shape_of
from tokenway.model.snapshot import Snapshot
from tokenway.routing.plan import resolve

ENVIRONMENT = {"OPENAI_API_KEY": "sk-1", "NAME": "value", "ODD": "\udc80\x01", "HOME": "/nonexistent"}
OFFER = LocalOffer("http://127.0.0.1:1/v1", Secret("k"), DEMONSTRATION)

in_one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def names(shape: Shape) -> Iterator[str]:
    """Every name that a configuration may hold."""
    if shape.inner is not None:
        yield from names(shape.inner)
    if shape.kind is Kind.RECORD:
        for field in fields_of(shape.target).values():
            yield field.name
            yield from names(field.shape)


WORDS = st.sampled_from(
    [
        *dict.fromkeys(names(shape_of(Settings))),
        *("openai", "lab", "local", "mock", "gpt-4o", "lab/m", "openai_chat", "finish", "p90", "fp8", "day"),
        *("http://127.0.0.1:9/v1", "unix:/x:/v1", "http://[", "sqlite:///x", "valkey://x", "${NAME}", "${NOPE:-5s}"),
        *("${ODD}", "${NOPE}", "~", "", "true", "0", "-1", "1e99", "9" * 30, "5s", "1h", "32MiB", "\ud800", "é ü"),
    ]
)
TREES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=30,
)
PROVIDERS = {"lab": {"base_url": "http://127.0.0.1:9/v1"}, "groq": {"api_key": "k"}}
NAMES = st.sampled_from(
    ["a", "b", "local", "local-embed", "lab/m", "gpt-4o", "claude-3", "anthropic/x", "local/x", "lob/m"]
)
ENDPOINTS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["lab", "local", "openai", "groq", "mistral"]),
        "model": st.sampled_from(["m", "local"]),
    }
)
MODELS = st.dictionaries(
    NAMES,
    st.fixed_dictionaries(
        {"endpoints": st.lists(ENDPOINTS, min_size=1, max_size=2)},
        optional={"fallbacks": st.lists(NAMES, max_size=2)},
    ),
    max_size=3,
)
MARKS = st.text(alphabet="ab:-[]{}#&*!|>'\"%@`,?\n\t \\x0<~.${}\u2028\ufeffé", max_size=80)


def checked(text: str, directory: Path) -> Loaded:
    """What loading gives, after the properties that hold for every text."""
    file = directory / "f.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    loaded = load(file, ENVIRONMENT)
    assert (loaded.settings is None) == has_errors(loaded.findings)
    lines = text.count("\n") + text.count("\r") + text.count("\u2028") + text.count("\u2029") + text.count("\x85") + 1
    assert all(0 <= finding.line <= lines for finding in loaded.findings)
    assert len(render_text(loaded.findings).splitlines()) >= len(loaded.findings) + 1
    assert render_json(loaded.findings)
    if loaded.settings is not None:
        coherent(build_snapshot(loaded.settings, keys={}, environment=ENVIRONMENT, local=OFFER, version=1), loaded)
    return loaded


def coherent(snapshot: Snapshot, loaded: Loaded) -> None:
    """Every name in a snapshot leads somewhere, save those that a warning was about."""
    warned = {finding.path for finding in loaded.findings}
    for model in snapshot.models.values():
        assert all(endpoint.provider in snapshot.providers for endpoint in model.endpoints)
        assert model.endpoints
        assert all(resolve(snapshot, name) is not None for name in model.fallbacks)
    assert loaded.settings is not None
    if any(path.startswith("aliases.") for path in warned):
        return  # what leads to such an alias leads nowhere either, and the warning is about the alias
    assert all(resolve(snapshot, alias) is not None for alias in snapshot.aliases)
    for name, written in loaded.settings.models.items():
        unreachable = set(written.fallbacks) - set(snapshot.models[name].fallbacks)
        assert not unreachable or any(path.startswith(f"models.{name}.fallbacks") for path in warned)


@in_one_file
@given(text=st.text(max_size=200) | MARKS)
@example(text="a: &a [*a]")
@example(text='"\\UFFFFFFFF": 1')
@example(text="? {a: b}\n: c")
@example(text="[" * 2000)
def test_any_text_gives_findings_or_settings(text: str, tmp_path: Path) -> None:
    """Text of any kind, YAML or not."""
    checked(text, tmp_path)


@in_one_file
@given(tree=TREES)
def test_any_tree_gives_findings_or_settings(tree: Any, tmp_path: Path) -> None:
    """Well-formed YAML of any shape, made of names and values that settings know."""
    checked(yaml.safe_dump(tree, allow_unicode=True), tmp_path)


@in_one_file
@given(models=MODELS, aliases=st.dictionaries(NAMES, NAMES, max_size=4))
def test_what_passes_the_rules_leads_somewhere(models: Any, aliases: dict[str, str], tmp_path: Path) -> None:
    """Few names that meet in every way: whatever is accepted without a warning can be called."""
    tree = {"providers": PROVIDERS, "models": models, "aliases": aliases}
    loaded = checked(yaml.safe_dump(tree), tmp_path)
    event("accepted" if loaded.settings is not None else "refused")


@pytest.mark.parametrize("size", [1, 1000])
def test_a_thousand_models_are_read(size: int, tmp_path: Path) -> None:
    """A large configuration is like a small one."""
    models = {f"m{n}": {"endpoints": [{"provider": "lab", "model": f"u{n}"}]} for n in range(size)}
    loaded = checked(
        yaml.safe_dump({"providers": {"lab": {"base_url": "http://127.0.0.1:9/v1"}}, "models": models}), tmp_path
    )
    assert loaded.findings == ()
    assert len(loaded.demand().models) == size
