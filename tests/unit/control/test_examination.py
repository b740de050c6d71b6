"""Where settings stand and which names lead to a model."""

from __future__ import annotations

import pytest

from tokenway.control.document import read_document
from tokenway.control.examination import Examination, shown
from tokenway.model.settings import ProviderSettings, Settings

TEXT = """\
providers:
  lab: {base_url: http://127.0.0.1:9/v1}
  local: {models: {tiny: /x.gguf}}
models:
  mock:
    endpoints:
      - provider: lab
        model: m
      -
        provider: lab
aliases:
  short: mock
"""


@pytest.fixture
def subject() -> Examination:
    """An examination of the text above, with a key for OpenAI in the environment."""
    root = read_document(TEXT, "f", {}).root
    assert root is not None
    settings = Settings(providers={"local": ProviderSettings(models={"tiny": "/x.gguf"})})
    return Examination(settings, root, {"OPENAI_API_KEY": "sk-1"})


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("models", "mock"), 5),
        (("models", "mock", "endpoints", 1, "provider"), 10),
        (("models", "mock", "endpoints", 0, "price", "input"), 7),
        (("aliases", "short"), 12),
    ],
)
def test_a_finding_stands_where_its_setting_was_written(
    subject: Examination, path: tuple[str | int, ...], line: int
) -> None:
    """At its name, or at the nearest part of its path when it was left out."""
    subject.say(path, "reason")
    assert (subject.findings[0].file, subject.findings[0].line) == ("f", line)
    assert subject.place(path) == f"line {line}"


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("mock", True),
        ("short", True),
        ("local", True),
        ("local-embed", True),
        ("tiny", True),
        ("lab/anything", True),
        ("openai/gpt-4o", True),
        ("gpt-4o", True),
        ("claude-3-5-sonnet", False),
        ("anthropic/claude", False),
        ("local/other", False),
        ("lab/", False),
        ("mocc", False),
    ],
)
def test_a_name_resolves_as_for_a_caller(subject: Examination, name: str, reached: bool) -> None:
    """Models, aliases, provider/model of an enabled provider, then the families of enabled providers."""
    assert subject.resolves(name) is reached


def test_patterns_match_what_was_written(subject: Examination) -> None:
    """A star stands for any name or position, and nothing matches what is not there."""
    assert list(subject.matching(("models", "*", "endpoints", "*", "model"))) == [
        ("models", "mock", "endpoints", 0, "model")
    ]
    assert list(subject.matching(("models", "*", "fallbacks"))) == []
    assert list(subject.matching(("aliases", "short", "*"))) == []


def test_a_list_with_losses_is_not_whole(subject: Examination) -> None:
    """Positions in settings and text agree only when nothing was left out."""
    assert subject.is_whole(("models", "mock", "endpoints"), 2)
    assert not subject.is_whole(("models", "mock", "endpoints"), 1)
    assert not subject.is_whole(("auth", "keys"), 0)


def test_a_path_is_shown_as_people_write_it() -> None:
    """Dots between names, brackets around positions."""
    assert shown(("models", "a", "endpoints", 0, "price")) == "models.a.endpoints[0].price"
