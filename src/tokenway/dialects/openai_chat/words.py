"""Words and small shapes of the OpenAI chat dialect that its readers and writers share.

Finish reasons as OpenAI, Mistral and older servers write them; `reasoning_details` as OpenRouter does (its guide
"Reasoning tokens"); data URLs as RFC 2397 says.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2s
from typing import Any, Final

import msgspec

from tokenway.dialects.files import usual_type
from tokenway.model.event import Cited, FinishReason

FINISHES: Final[dict[str, FinishReason]] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
    "network_error": FinishReason.ERROR,
    "abort": FinishReason.ERROR,
}
"""What servers write: OpenAI and OpenRouter, Mistral (`model_length`), Zhipu (`sensitive`, `network_error`), DeepSeek
(`insufficient_system_resource`), vLLM and SGLang (`abort`). Any other word is one of many for a plain end."""


def finish_of(word: str) -> FinishReason:
    """Why a choice ended; Google puts its own reason behind the word: `content_filter: RECITATION`."""
    return FINISHES.get(word.partition(":")[0].strip().lower(), FinishReason.STOP)


TEXT: Final = "reasoning.text"
SUMMARY: Final = "reasoning.summary"
ENCRYPTED: Final = "reasoning.encrypted"

_UNKNOWN: Final = "unknown"
"""OpenRouter's format of a reasoning whose vendor it does not say."""


class Detail(msgspec.Struct, frozen=True, gc=False):
    """One item of `reasoning_details`; of a stream, a piece of one. `index` is None where it is not told."""

    kind: str
    text: str = ""
    signature: str = ""
    sealed: str = ""
    format: str = ""
    id: str = ""
    index: int | None = None


NO_DETAIL: Final = Detail("")
"""Reasoning that came as plain text."""


def continues(former: Detail, detail: Detail) -> bool:
    """Whether a piece belongs to the reasoning that began with `former`: nothing that both say tells them apart."""
    return (
        (former.kind == SUMMARY) is (detail.kind == SUMMARY)
        and (former.index == detail.index or former.index is None or detail.index is None)
        and (former.id == detail.id or not former.id or not detail.id)
    )


def is_known(item: Any) -> bool:
    """Whether an item of `reasoning_details` is of a known type."""
    return isinstance(item, dict) and item.get("type") in (TEXT, SUMMARY, ENCRYPTED)


def details_of(items: Any) -> list[Detail]:
    """The items of a `reasoning_details` value that are of a known type and say anything."""
    found = []
    for item in items if isinstance(items, list) else ():
        if not is_known(item):
            continue
        kind: str = item["type"]
        index = item.get("index")
        whose = text_of(item.get("format"))
        detail = Detail(
            kind,
            text_of(item.get("summary" if kind == SUMMARY else "text")),
            text_of(item.get("signature")),
            text_of(item.get("data")) if kind == ENCRYPTED else "",
            "" if whose == _UNKNOWN else whose,
            text_of(item.get("id")),
            index if isinstance(index, int) else None,
        )
        if detail.text or detail.signature or detail.sealed:
            found.append(detail)
    return found


def annotated(item: Any, part: int, choice: int) -> Cited | None:
    """The source that an annotation tells; None for one of another kind. An empty range is one that is not known."""
    cited = item.get("url_citation") if isinstance(item, dict) else None
    if not isinstance(cited, dict):
        return None
    start, end = cited.get("start_index"), cited.get("end_index")
    if not isinstance(start, int) or not isinstance(end, int) or (start, end) == (0, 0):
        start = end = -1
    url, title, text = (text_of(cited.get(name)) for name in ("url", "title", "content"))
    return Cited(part, url, title, text, start, end, choice)


def searched(found: Any, part: int, choice: int) -> list[Cited]:
    """The sources in a list of what was searched: Perplexity's results, or addresses alone as xAI has them."""
    shapes = [item if isinstance(item, dict) else {"url": item} for item in found] if isinstance(found, list) else []
    told = [[text_of(shape.get(name)) for name in ("url", "title", "snippet")] for shape in shapes]
    return [Cited(part, url, title, text, choice=choice) for url, title, text in told if url]


def text_of(value: Any) -> str:
    """A text; empty for anything else."""
    return value if isinstance(value, str) else ""


def made_call_id(*seed: object) -> str:
    """An id for a tool call that came without one: the same for the same seed, as no chance is at hand here."""
    return "call_" + blake2s("\0".join(map(str, seed)).encode("utf-8", "replace"), digest_size=12).hexdigest()


def data_url(media_type: str, data: str) -> str:
    """Base64 as a URL."""
    return f"data:{media_type};base64,{data}"


def split_data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a data URL; None when it is none, or not in base64."""
    head, comma, data = url.partition(",")
    kind, *parameters = head.removeprefix("data:").split(";")
    if not comma or not head.startswith("data:") or "base64" not in map(str.strip, parameters):
        return None
    return usual_type(kind), data


_BEGINNINGS: Final = (
    ("iVBORw0", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
)
"""How base64 of well-known files begins."""


def sniffed(data: str, default: str, known: Sequence[tuple[str, str]] = _BEGINNINGS) -> str:
    """The media type of base64 whose sender did not say it."""
    return next((kind for beginning, kind in known if data.startswith(beginning)), default)
