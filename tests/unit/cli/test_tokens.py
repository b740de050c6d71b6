"""`tokenway tokens`: offline counts."""

from __future__ import annotations

import importlib.util
import io
import json

import pytest

from tokenway.cli.main import run


def test_a_text_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON says how many, by which encoding, who counted and whether that is exact."""
    assert run(["tokens", "hello hello hello hello", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["encoding"] == "o200k_base"
    assert found["exact"] is (found["source"] != "estimate")
    assert found["tokens"] == (4 if found["exact"] else 6)


@pytest.mark.skipif(importlib.util.find_spec("toktok") is None, reason="the tokenizer of the extra `local` is absent")
def test_the_count_is_the_encodings_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred thousand equal letters, the trap of slow tokenizers, are counted too."""
    assert run(["tokens", "a" * 100_000, "--encoding", "cl100k_base"]) == 0
    assert capsys.readouterr().out == "12500 tokens (cl100k_base, by toktok-rs)\n"


def test_standard_input_is_the_text_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty one has no tokens."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["tokens", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == 0


def test_an_unknown_encoding_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """With the ones that are known."""
    assert run(["tokens", "x", "--encoding", "p50k"]) == 1
    assert "known are o200k_base, cl100k_base" in capsys.readouterr().err
