"""The paths that are relayed: which dialect a caller speaks there, and what it asks for.

Some dialects name the model and the streaming in the path. `/api/v1` and Azure's `/openai/v1` and `/openai` are the
same as `/v1`, and Azure's `/openai/deployments/{name}` is `/v1` with that model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from tokenway.model.catalog import Dialect, Operation


class Door(msgspec.Struct, frozen=True):
    """One path. `model` is empty and `stream` False where the body says them."""

    dialect: Dialect
    operation: Operation
    model: str = ""
    stream: bool = False
    is_form: bool = False
    """Whether the request is a form with files, which may be large."""


_OPENAI: Final[dict[str, Door]] = {
    "/chat/completions": Door(Dialect.OPENAI_CHAT, Operation.CHAT),
    "/completions": Door(Dialect.OPENAI_CHAT, Operation.COMPLETION),
    "/embeddings": Door(Dialect.OPENAI_CHAT, Operation.EMBEDDING),
    "/moderations": Door(Dialect.OPENAI_CHAT, Operation.MODERATION),
    "/images/generations": Door(Dialect.OPENAI_CHAT, Operation.IMAGE),
    "/images/edits": Door(Dialect.OPENAI_CHAT, Operation.IMAGE_EDIT, is_form=True),
    "/images/variations": Door(Dialect.OPENAI_CHAT, Operation.IMAGE_VARIATION, is_form=True),
    "/audio/speech": Door(Dialect.OPENAI_CHAT, Operation.SPEECH),
    "/audio/transcriptions": Door(Dialect.OPENAI_CHAT, Operation.TRANSCRIPTION, is_form=True),
    "/audio/translations": Door(Dialect.OPENAI_CHAT, Operation.TRANSLATION, is_form=True),
    "/rerank": Door(Dialect.OPENAI_CHAT, Operation.RERANK),
    "/responses": Door(Dialect.OPENAI_RESPONSES, Operation.CHAT),
    "/responses/input_tokens": Door(Dialect.OPENAI_RESPONSES, Operation.COUNT),
    "/responses/compact": Door(Dialect.OPENAI_RESPONSES, Operation.COMPACT),
}
_ANTHROPIC: Final[dict[str, Door]] = {
    "/messages": Door(Dialect.ANTHROPIC, Operation.CHAT),
    "/messages/count_tokens": Door(Dialect.ANTHROPIC, Operation.COUNT),
}

CHAT: Final = _OPENAI["/chat/completions"]
"""Where a refusal comes from that is told before any path is known."""

FIXED: Final[dict[bytes, Door]] = {
    f"{prefix}{path}".encode(): door
    for prefix, doors in (
        ("/v1", _OPENAI | _ANTHROPIC),
        ("/api/v1", _OPENAI | _ANTHROPIC),
        ("/openai/v1", _OPENAI),
        ("/openai", _OPENAI),
    )
    for path, door in doors.items()
}
"""The paths without anything that changes in them."""

_GEMINI_VERBS: Final[dict[str, tuple[Operation, bool]]] = {
    "generateContent": (Operation.CHAT, False),
    "streamGenerateContent": (Operation.CHAT, True),
    "countTokens": (Operation.COUNT, False),
    "embedContent": (Operation.EMBED_CONTENT, False),
    "batchEmbedContents": (Operation.EMBEDDING, False),
}


def _gemini(found: re.Match[bytes]) -> Door | None:
    verb = _GEMINI_VERBS.get(found[2].decode("latin-1"))
    return None if verb is None else Door(Dialect.GEMINI, verb[0], _name(found[1]), verb[1])


def _bedrock(found: re.Match[bytes]) -> Door:
    return Door(Dialect.BEDROCK, Operation.CHAT, _name(found[1]), found[2] is not None)


def _azure(found: re.Match[bytes]) -> Door | None:
    door = _OPENAI.get(found[2].decode("latin-1"))
    return None if door is None else msgspec.structs.replace(door, model=_name(found[1]))


_CHANGING: Final[tuple[tuple[re.Pattern[bytes], Callable[[re.Match[bytes]], Door | None]], ...]] = (
    (re.compile(rb"(?:/api)?/v1(?:beta[0-9]?|alpha)?/(?:models/)?(.+):([A-Za-z]+)"), _gemini),
    (re.compile(rb"/model/([^/]+)/converse(-stream)?"), _bedrock),
    (re.compile(rb"/openai/deployments/([^/]+)(/[a-z_/]+)"), _azure),
)


def find(path: bytes) -> Door | None:
    """The door at a path (without its query); None where nothing is relayed."""
    door = FIXED.get(path)
    if door is not None:
        return door
    for pattern, make in _CHANGING:
        found = pattern.fullmatch(path)
        if found is not None:
            return make(found)
    return None


def dialect_at(path: bytes, headers: Mapping[bytes, bytes]) -> Dialect:
    """The dialect of a path's callers, whether anything is there or not: by its beginning, or their headers."""
    plain = path.removeprefix(b"/api")
    if _GOOGLES.match(plain) or (b"x-goog-api-key" in headers and plain.startswith(_MODELS)):
        return Dialect.GEMINI
    if plain.startswith(b"/v1/messages") or b"anthropic-version" in headers:
        return Dialect.ANTHROPIC
    if plain.startswith(b"/model/"):
        return Dialect.BEDROCK
    return Dialect.OPENAI_CHAT


_GOOGLES: Final = re.compile(rb"/v1(beta[0-9]?|alpha)(/|$)|/v1/models/.+:[a-z]+[A-Z][A-Za-z]*$")
"""What Google's clients ask for: their verbs are in camel case, and the tags of others' models are not."""
_MODELS: Final = (b"/v1/models",)


def _name(quoted: bytes) -> str:
    """A model's name as a path has it."""
    return unquote(quoted.decode("latin-1"))
