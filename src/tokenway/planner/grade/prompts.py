"""The text that perplexity is measured on, and the prompts that endpoints are compared with."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.answers import Json, Prompt

_FOLDER: Final = files("tokenway.planner")


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, who wrote it, where it is from, and why it may be used."""

    title: str
    author: str
    year: int
    source: str
    rights: str
    text: str


class PromptSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts, and the tools (name to description and parameters) that some of them offer."""

    tools: dict[str, Json]
    prompts: tuple[Prompt, ...]


@cache
def shipped_text() -> Text:
    """The text that is shipped."""
    return msgspec.toml.decode(_FOLDER.joinpath("data/grade_text.toml").read_bytes(), type=Text)


@cache
def shipped_prompts() -> PromptSet:
    """The prompts that are shipped."""
    return msgspec.toml.decode(_FOLDER.joinpath("data/grade_prompts.toml").read_bytes(), type=PromptSet)


def chosen(prompts: PromptSet, limit: int | None) -> PromptSet:
    """All prompts, or so many of them that every kind keeps its part. Raises PlanError for a limit below one."""
    if limit is None or limit >= len(prompts.prompts):
        return prompts
    if limit < 1:
        raise PlanError("At least one prompt has to be asked.")
    every = len(prompts.prompts) / limit
    kept = tuple(prompts.prompts[int(number * every)] for number in range(limit))
    return PromptSet(prompts.tools, kept)
