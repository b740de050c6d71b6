"""Whole answers of Converse, from and to the neutral form.

    {"output": {"message": {"role": "assistant", "content": [block, …]}}, "stopReason", "usage", "metrics"}

A block has one field: `text`, `toolUse`, `reasoningContent`, `citationsContent` (text with its sources), or media.
Converse tells neither an id nor a model. What it has no block for (sound, another vendor's own parts) is left out; a
refusal is text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, Maker
from tokenway.dialects.bedrock import schema
from tokenway.dialects.bedrock.blobs import make_blob, open_blob
from tokenway.dialects.bedrock.media import format_of, is_picture, media_type_of
from tokenway.dialects.seal import ANTHROPIC, OPENAI, seal
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, AnswerPart, Choice, Cited, Finished, FinishReason
from tokenway.model.request import Media, MediaKind, Reasoning, Refusal, Text, ToolCall

_NO_TEXT: Final = Text("")
_decode: Final = msgspec.json.Decoder(schema.Whole).decode
_encode: Final = msgspec.json.encode
_decode_any: Final = msgspec.json.Decoder().decode


def read_answer(body: bytes) -> Answer:
    """A whole answer with status 200; raises WireError when it is none."""
    answer = decode_whole(body)
    parts: list[AnswerPart] = []
    citations: list[Cited] = []
    try:
        for block in answer.output.message.content or ():
            part = _part(block)
            if part is None:
                continue
            sources = block.citations_content.citations if block.citations_content is not None else None
            is_behind = sources is not None and part == _NO_TEXT and bool(parts) and isinstance(parts[-1], Text)
            number = len(parts) - is_behind
            citations += [each for source in sources or () for each in cited(number, source)]
            if not is_behind:
                parts.append(part)
    except ValueError as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None
    finish = schema.finished(answer.stop_reason, answer.additional_model_response_fields)
    return Answer(
        "", "", 0, (Choice(tuple(parts), finish, tuple(citations)),), schema.meter(answer.usage, answer.service_tier)
    )


def decode_whole(body: bytes) -> schema.Whole:
    """A whole answer's fields; raises WireError when it is not one of this dialect."""
    try:
        return _decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None


def _part(block: schema.Block) -> AnswerPart | None:
    """The part of one block; None for one that is not for a caller. Raises ValueError for what is no base64."""
    if block.text is not None:
        return Text(block.text)
    if block.tool_use is not None:
        tool = block.tool_use
        if tool.type == schema.SERVER_TOOL:
            return None
        return ToolCall(tool.tool_use_id, tool.name, _compact(tool.input))
    if block.reasoning_content is not None:
        return _reasoning(block.reasoning_content)
    if block.citations_content is not None:
        pieces = [piece.get("text") for piece in block.citations_content.content or ()]
        return Text("".join([piece for piece in pieces if isinstance(piece, str)]))
    for kind in MediaKind:
        given: schema.Given | None = getattr(block, kind.value)
        if given is not None:
            return media_of(kind, given) or no_media(given)
    return None


def _reasoning(reasoned: schema.Reasoned) -> Reasoning | None:
    if reasoned.redacted_content is not None:
        return Reasoning(sealed=open_blob(reasoned.redacted_content), format=ANTHROPIC)
    shown = reasoned.reasoning_text
    return None if shown is None else Reasoning(shown.text or "", shown.signature or "", format=ANTHROPIC)


def _compact(raw: msgspec.Raw) -> str:
    """JSON without needless space; an empty object for none."""
    text = bytes(raw)
    return msgspec.json.format(text, indent=-1).decode() if text not in {b"", b"null"} else "{}"


def media_of(kind: MediaKind, given: schema.Given) -> Media | None:
    """Media in an answer, a place in S3 as a URL; None where they are not there."""
    source = given.source or {}
    place = source.get("s3Location")
    found = (source.get("bytes"), place.get("uri") if isinstance(place, dict) else None, source.get("text"))
    data, url, text = (each if isinstance(each, str) else "" for each in found)
    pieces = source.get("content")
    if isinstance(pieces, list):
        texts = [piece.get("text") for piece in pieces if isinstance(piece, dict)]
        text = "\n\n".join([each for each in texts if isinstance(each, str)])
    if not (data or url or text):
        return None
    return Media(kind, media_type_of(kind, given.format or ""), data, url, text=text, title=given.name or "")


def no_media(given: schema.Given) -> Refusal | None:
    """Why a picture was not made; None where nothing is said."""
    message = (given.error or {}).get("message")
    return Refusal(message) if isinstance(message, str) and message else None


def cited(part: int, citation: schema.Cited) -> Iterator[Cited]:
    """A source of a part: a page of the web, or what a search result names; a place in a document has no address."""
    web = (citation.location or {}).get("web")
    url = web.get("url") if isinstance(web, dict) else citation.source
    if not isinstance(url, str):
        return
    texts = [piece.get("text") for piece in citation.source_content or ()]
    yield Cited(part, url, citation.title or "", "".join([text for text in texts if isinstance(text, str)]))


# -- writing -------------------------------------------------------------------------------------------------


def write_answer(answer: Answer, maker: Maker) -> bytes:
    """A whole answer for a caller; of several choices the first."""
    del maker  # Converse says neither an id nor a model
    choice = answer.choices[0] if answer.choices else Choice((), Finished(FinishReason.STOP))
    content: list[dict[str, object]] = []
    for number, part in enumerate(choice.parts):
        sources = [each for each in choice.citations if each.part == number]
        content.extend(_blocks(part, sources))
    shape: dict[str, object] = {
        "output": {"message": {"role": "assistant", "content": content}},
        **schema.finish_members(choice.finish),
        "metrics": {"latencyMs": 0},
    }
    if answer.metered.usage is not None:
        shape["usage"] = schema.usage_object(answer.metered.usage)
    return _encode(shape)


def _blocks(part: AnswerPart, sources: list[Cited]) -> Iterator[dict[str, object]]:
    match part:
        case Text() | Refusal():
            yield {"text": part.text}
            if sources:  # behind the text, as in a stream: who only reads texts must not miss one that has sources
                yield {"citationsContent": {"content": [], "citations": list(map(citation_of, sources))}}
        case ToolCall():
            tool = {"toolUseId": part.id, "name": part.name, "input": tool_input(part.arguments, is_custom=part.custom)}
            yield {"toolUse": tool}
            if part.signature:
                yield {"reasoningContent": {"redactedContent": make_blob(sealed_call(part))}}
        case Reasoning():
            yield from _reasoning_blocks(part)
        case Media() if is_picture(part):
            yield {"image": {"format": format_of(part), "source": {"bytes": part.data}}}
        case Media() if part.text or part.url:
            yield {"text": part.text or link(part)}


def link(media: Media) -> str:
    """Media by an address, which Converse has no block for: a link in Markdown."""
    mark = "!" if media.kind is MediaKind.IMAGE else ""
    return f"{mark}[{media.title or media.kind.value}]({media.url})"


def _reasoning_blocks(part: Reasoning) -> Iterator[dict[str, object]]:
    signature, sealed = seals(part.signature, part.sealed, part.format, has_text=bool(part.text))
    if part.text or signature or not sealed:
        text = {"text": part.text, **({"signature": signature} if signature else {})}
        yield {"reasoningContent": {"reasoningText": text}}
    if sealed:
        yield {"reasoningContent": {"redactedContent": make_blob(sealed)}}


def seals(signature: str, sealed: str, whose: str, *, has_text: bool) -> tuple[str, str]:
    """What stands in `signature` and in `redactedContent` for a reasoning of any vendor.

    OpenAI's sealed content belongs to its summary, so it goes where a signature would.
    """
    if whose == OPENAI and has_text and not signature:
        return seal(sealed, whose, ANTHROPIC), ""
    return seal(signature, whose, ANTHROPIC), seal(sealed, whose, ANTHROPIC)


def sealed_call(call: ToolCall) -> str:
    """The signature of a tool call, as it may stand in a block of its own behind the call."""
    return seal(call.signature, call.format, ANTHROPIC, call=call.id)


def citation_of(source: Cited) -> dict[str, object]:
    """A source in Bedrock's shape."""
    shape: dict[str, object] = {"location": {"web": {"url": source.url}}}
    if source.title:
        shape["title"] = source.title
    if source.text:
        shape["sourceContent"] = [{"text": source.text}]
    return shape


def tool_input(arguments: str, *, is_custom: bool = False) -> Any:
    """A tool's arguments as the object that they are; text that is none stands in one, under `arguments`."""
    if is_custom:
        return {"arguments": arguments}
    if not arguments.strip():
        return {}
    try:
        value = _decode_any(arguments)
    except UNREADABLE:
        return {"arguments": arguments}
    return msgspec.Raw(arguments.encode()) if isinstance(value, dict) else {"arguments": arguments}
