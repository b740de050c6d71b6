"""Which renderer a request is for, and what it says that decides the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from tests.fake_provider.dialects import anthropic, bedrock, gemini, openai_chat, openai_media, openai_responses
from tests.fake_provider.dialects.base import Ask, FormPart, Voice

PLAIN: Final = "openai_chat"
"""The dialect of everything that no path below claims: it also has completions, embeddings and the list of models."""

VOICES: Final[Mapping[str, Voice]] = MappingProxyType(
    {
        "openai_chat": openai_chat.VOICE,
        "openai_responses": openai_responses.VOICE,
        "anthropic": anthropic.VOICE,
        "gemini": gemini.VOICE,
        "bedrock": bedrock.VOICE,
        "openai_media": openai_media.VOICE,
    }
)

_PATHS: Final = (
    (re.compile(r"/responses$"), "openai_responses", "responses"),
    (re.compile(r"/responses/(?P<kind>input_tokens|compact)$"), "openai_responses", ""),
    (re.compile(r"/messages$"), "anthropic", "messages"),
    (re.compile(r"/messages/(?P<kind>count_tokens)$"), "anthropic", ""),
    (
        re.compile(r"/publishers/anthropic/models/(?P<model>[^/]+):(?P<kind>(?:rawP|streamRawP)redict)$"),
        "anthropic",
        "",
    ),
    (re.compile(r"/models/(?P<model>[^/]+):(?P<kind>\w+)$"), "gemini", ""),
    (re.compile(r"/model/(?P<model>[^/]+)/(?P<kind>converse|converse-stream)$"), "bedrock", ""),
    (re.compile(r"/(?P<kind>moderations|rerank|images/\w+|audio/\w+)$"), "openai_media", ""),
)
_STREAMING: Final = frozenset({"streamGenerateContent", "converse-stream"})
_TRUE: Final = (True, "true")
_BOUNDARY: Final = re.compile(r'boundary=(?:"(?P<quoted>[^"]+)"|(?P<bare>[^;\s]+))')
_NAMED: Final = re.compile(r'\b(name|filename)="([^"]*)"')


def read(path: str, content_type: str, body: bytes) -> Ask:
    """The request as a renderer needs it. Raises ValueError for a body that is no JSON."""
    plain, _, query = path.partition("?")
    asked = dict(parse_qsl(query))
    form = read_form(content_type, body) if content_type.startswith("multipart/form-data") else ()
    fields: dict[str, Any] = {part.name: part.data.decode() for part in form if not part.filename}
    decoded = fields if form else json.loads(body) if body else {}
    for pattern, dialect, named in _PATHS:
        found = pattern.search(plain)
        if found:
            parts = found.groupdict()
            kind = parts.get("kind", named)
            if kind == "rerank":
                asked["version"] = plain.split("/")[1]
            model = unquote(parts["model"]) if "model" in parts else str(decoded.get("model", ""))
            stream = kind in _STREAMING or decoded.get("stream") in _TRUE
            if kind.endswith("awPredict"):
                kind, model = read_hosted(kind, model, decoded)
            return Ask(dialect, kind, model, stream, decoded, asked, form)
    kind = plain.rpartition("/")[2]
    stream = decoded.get("stream") is True
    return Ask(PLAIN, kind, str(decoded.get("model", "")), stream, decoded, asked)


def read_hosted(kind: str, model: str, decoded: Mapping[str, Any]) -> tuple[str, str]:
    """What Vertex AI's addresses of Claude mean. Raises ValueError for what Google refuses."""
    counts = model == "count-tokens"
    if decoded.get("anthropic_version") != "vertex-2023-10-16":
        raise ValueError("anthropic_version: Field required")
    if counts != ("model" in decoded):
        raise ValueError("model: Extra inputs are not permitted")
    if (kind == "streamRawPredict") != (decoded.get("stream") is True):
        raise ValueError("the path says otherwise than the body whether the answer streams")
    return ("count_tokens", str(decoded["model"])) if counts else ("messages", model)


def read_form(content_type: str, body: bytes) -> tuple[FormPart, ...]:
    """The parts of a multipart form."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise ValueError("a form without a boundary")
    mark = b"--" + (boundary["quoted"] or boundary["bare"]).encode()
    parts = []
    for piece in body.split(mark)[1:-1]:
        head, _, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n"))
        named = dict(_NAMED.findall(head.decode()))
        media_type = lines.get("content-type", "")
        parts.append(FormPart(named["name"], data.removesuffix(b"\r\n"), named.get("filename", ""), media_type))
    return tuple(parts)
