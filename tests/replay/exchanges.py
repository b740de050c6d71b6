"""Recorded exchanges with providers, where a file of them is at hand.

The file has one exchange a line, as JSON with `dialect`, `stream`, `request` and `response`. It is found by the
variable TOKENWAY_RECORDINGS, or in a folder `recordings` of a directory beside the repository.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest

from tokenway.model.catalog import Dialect

NAME: Final = "recordings.jsonl.gz"
DIALECTS: Final = tuple(Dialect)


@dataclass(frozen=True)
class Exchange:
    """One exchange. `body` is the request's, `answer` the response's; each is empty where it was not recorded.

    `model` is the upstream's name for it: in the body, or in the path where the dialect has it there.
    """

    id: str
    source: str
    dialect: Dialect
    stream: bool
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer_headers: dict[str, str]
    answer: bytes

    @property
    def model(self) -> str:
        """The upstream's name of the model; one made up where no request was recorded."""
        found = re.search(r"/models?/(.+?)(?::[A-Za-z]+|/converse(?:-stream)?)$", self.path)
        if self.dialect in {Dialect.GEMINI, Dialect.BEDROCK}:
            return unquote(found[1]) if found else "recorded-model"
        return str(json.loads(self.body).get("model") or "recorded-model") if self.body else "recorded-model"

    @property
    def has_answer(self) -> bool:
        """Whether the provider answered with a success of its dialect: a few are from servers that only echo."""
        return self.status == 200 and _is_answer(self)

    @property
    def media_type(self) -> str:
        """The answer's."""
        return self.answer_headers.get("content-type", "")


MARKS: Final = {
    Dialect.OPENAI_CHAT: ("choices",),
    Dialect.OPENAI_RESPONSES: ("output", "response"),
    Dialect.ANTHROPIC: ("content", "message"),
    Dialect.GEMINI: ("candidates", "promptFeedback"),
    Dialect.BEDROCK: ("output",),
}
"""Members of a whole answer, or of a stream's first event, of each dialect."""


def _is_answer(each: Exchange) -> bool:
    if each.dialect is Dialect.BEDROCK and each.stream:
        return True
    text = each.answer.decode()
    if each.stream:
        text = text.partition("data:")[2].partition("\n")[0]
    try:
        decoded = json.loads(text)
    except ValueError:
        return False
    return isinstance(decoded, dict) and any(mark in decoded for mark in MARKS[each.dialect])


def find() -> Path | None:
    """The file of recordings; None when there is none."""
    named = os.environ.get("TOKENWAY_RECORDINGS")
    if named:
        return Path(named)
    root = Path(__file__).resolve().parents[2]
    return next(iter(sorted(root.parent.glob(f"*/recordings/{NAME}"))), None)


@cache
def lines() -> tuple[dict[str, Any], ...]:
    """Every exchange as it stands in the file; skips the test, with its reason, where there is no file."""
    path = find()
    if path is None or not path.is_file():
        pytest.skip("no file of recorded exchanges is at hand; TOKENWAY_RECORDINGS names one")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return tuple(json.loads(line) for line in file)


@cache
def exchanges() -> tuple[Exchange, ...]:
    """The chats of the five dialects."""
    return tuple(_exchange(each) for each in lines() if each["dialect"] in DIALECTS)


def answered() -> tuple[Exchange, ...]:
    """Those with a success of their dialect."""
    return tuple(each for each in exchanges() if each.has_answer)


def asked() -> tuple[Exchange, ...]:
    """Those with a request that a provider took or may take; what a provider refused may be refused here."""
    return tuple(each for each in exchanges() if each.body and each.status in {0, 200})


def _exchange(each: dict[str, Any]) -> Exchange:
    request = each["request"] or {}
    response = each["response"] or {}
    return Exchange(
        id=each["id"],
        source=each["source"],
        dialect=Dialect(each["dialect"]),
        stream=bool(each["stream"]),
        path=request.get("path") or "",
        query=request.get("query") or "",
        headers={name.lower(): _text(value) for name, value in (request.get("headers") or {}).items()},
        body=_bytes(request),
        status=response.get("status") or 0,
        answer_headers={name.lower(): _text(value) for name, value in (response.get("headers") or {}).items()},
        answer=_bytes(response),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _bytes(side: dict[str, Any]) -> bytes:
    coded = side.get("body_base64") or side.get("base64")
    return base64.b64decode(coded) if coded else (side.get("body") or "").encode()
