"""A secret does not slip out."""

from __future__ import annotations

import copy
import json
import pickle  # noqa: TID251 - shown to be refused
from collections.abc import Callable

import msgspec
import pytest

from tokenway.model.secret import Secret

SECRET = Secret("sk-very-secret")


@pytest.mark.parametrize("show", [str, repr, lambda it: f"{it}", lambda it: f"{it!r}", lambda it: f"{[it]}", ascii])
def test_it_cannot_be_printed(show: Callable[[Secret], str]) -> None:
    """Every way of making text of it gives the mask."""
    assert "very" not in show(SECRET)


@pytest.mark.parametrize(
    "store", [json.dumps, msgspec.json.encode, msgspec.msgpack.encode, pickle.dumps, copy.deepcopy]
)
def test_it_cannot_be_serialised(store: Callable[[object], object]) -> None:
    """Not by accident: whoever wants the text asks for it."""
    with pytest.raises(TypeError):
        store(SECRET)


def test_it_can_be_revealed_and_compared() -> None:
    """The text is there for the wire; equal secrets are equal and hash alike, and a secret equals no text."""
    assert SECRET.reveal() == "sk-very-secret"
    assert Secret("sk-very-secret") == SECRET
    assert hash(Secret("sk-very-secret")) == hash(SECRET)
    assert Secret("other") != SECRET
    assert SECRET != "sk-very-secret"


def test_an_empty_one_is_false() -> None:
    """Like the text that it holds."""
    assert not Secret("")
    assert SECRET
