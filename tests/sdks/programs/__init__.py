"""Small programs of clients that are built upon the vendors' protocols, run as their users run them.

Each is started as `python -m tests.sdks.programs.NAME ORIGIN KEY (DIALECT TEXT-MODEL TOOLS-MODEL)…` with any number of
tasks of three words, and prints a JSON list with what it saw in each. They are processes of their own because they
take seconds to import, change global state, and leave connections open.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from typing import Any, Final, TypedDict

import pytest

PROMPT: Final = "What is the weather?"
TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "openrouter": ("openai_chat",),
    "litellm": ("openai_chat", "anthropic"),
    "langchain_openai": ("openai_chat", "openai_responses"),
    "pydantic_ai": ("openai_chat", "openai_responses", "anthropic"),
}
"""The packages, each with the dialects that it is tried in."""

Task = tuple[str, str, str]
"""Dialect, model that answers with a text, model that calls a tool."""


class Saw(TypedDict):
    """What a program saw in one task."""

    whole: str
    streamed: str
    input: int
    output: int
    tool: str


Look = Callable[[str, str, str, str, str], Awaitable[Saw]]
"""(origin, key, dialect, text model, tools model)."""


def report(look: Look) -> None:
    """The main function of each program."""
    origin, key, *words = sys.argv[1:]

    async def collect() -> list[Saw]:
        tasks = zip(words[::3], words[1::3], words[2::3], strict=True)
        return [await look(origin, key, *task) for task in tasks]

    print(json.dumps(asyncio.run(collect())))


async def run(package: str, origin: str, key: str, tasks: Sequence[Task]) -> list[Saw]:
    """Runs a program to its end; skips the test where its package is not installed."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.sdks.programs.{package}_program",
        origin,
        key,
        *chain.from_iterable(tasks),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Without this, litellm asks the network for prices while it is imported.
        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    told: list[Saw] = json.loads(out.splitlines()[-1])
    return told
