"""Neutral messages as the `contents` of a Gemini request.

* System and developer messages go to `systemInstruction`, wherever they stood.
* Turns of one role are joined: Gemini wants the results of all calls of a turn in one content, right after it, so
  results have a content of their own and what else the user says follows in another.
* Generation 3 takes media inside of a result; for older models it follows the results, with a word on where it is from.
* A signature stands at the part that it came with. A model of generation 3 refuses a tool call without one: the first
  call of a turn that has none, because another model made it, gets the stand-in that Google documents.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, Upstream
from tokenway.dialects.gemini.media import media_part
from tokenway.dialects.gemini.schema import FOREIGN_PARTS
from tokenway.dialects.gemini.signature import STAND_IN
from tokenway.dialects.gemini.thinking import generation
from tokenway.dialects.seal import GEMINI
from tokenway.model.errors import Refusal, invalid_request
from tokenway.model.request import (
    Foreign,
    Media,
    Message,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from tokenway.model.request import Refusal as RefusalPart

_decode_args: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Piece = dict[str, Any]


class Contents:
    """Collects what the messages of one request become; `dropped` gets the names of what could not be said."""

    def __init__(self, upstream: Upstream, dropped: dict[str, None]) -> None:
        self.system: list[Piece] = []
        self.contents: list[dict[str, object]] = []
        self._dropped = dropped
        self._takes_urls = upstream.quirks.image_urls
        self._is_third = (generation(upstream.model) or (0, 0)) >= (3, 0)
        self._names: dict[str, str] = {}
        """Tools by the ids of their calls."""
        self._parts: list[Piece] = []
        self._kind = ""
        """What the content under way is: `model`, `user`, or `results`, which is a user's as well."""
        self._after: list[Piece] = []
        """Media out of results, for a content behind them."""
        self._signature = ""
        """A signature whose text has not come yet."""

    def add(self, message: Message) -> None:
        """Takes in one message; raises Refusal (400) for what cannot be said."""
        if message.name:
            self._drop("name")
        if message.role in {Role.SYSTEM, Role.DEVELOPER}:
            self._add_system(message)
        elif message.role is Role.ASSISTANT:
            self._turn("model")
            for part in message.parts:
                self._say(part)
            self._place_signature()
        else:
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            if results:
                self._turn("results")
                for result in results:
                    self._parts.append(self._result(result))
            if len(results) < len(message.parts):
                self._turn("user")
                for part in message.parts:
                    if not isinstance(part, ToolResult):
                        self._say(part)

    def finish(self) -> None:
        """The last message was added."""
        self._turn("")

    # -- turns -------------------------------------------------------------------------------------------

    def _turn(self, kind: str) -> None:
        """Begins a content of this kind, or goes on with one."""
        if kind == self._kind:
            return
        if self._parts:
            self.contents.append({"role": "model" if self._kind == "model" else "user", "parts": self._parts})
        self._parts = []
        was, self._kind = self._kind, kind
        if was == "results" and self._after:
            after, self._after = self._after, []
            if kind == "user":
                self._parts = after
            else:
                self.contents.append({"role": "user", "parts": after})

    def _add_system(self, message: Message) -> None:
        for part in message.parts:
            if isinstance(part, Foreign):
                self._drop(part.name)
                continue
            if not isinstance(part, Text):
                raise invalid_request(
                    "A Gemini model takes text only as its system instruction.",
                    param=getattr(part, "place", "") or "systemInstruction",
                    code="unsupported_media",
                )
            self._hint(part.cache)
            if part.text:
                self.system.append({"text": part.text})

    def _drop(self, name: str) -> None:
        self._dropped[name] = None

    def _hint(self, cache: str) -> None:
        if cache:
            self._drop("cache_control")

    # -- parts -------------------------------------------------------------------------------------------

    def _say(self, part: object) -> None:
        """Adds one part of a turn that is no result."""
        match part:
            case Text():
                self._hint(part.cache)
                self._text(part.text)
            case RefusalPart():
                self._text(part.text)
            case Media():
                self._parts.append(self._media(part))
            case Reasoning():
                self._reasoning(part)
            case ToolCall():
                self._place_signature()
                self._parts.append(self._call(part))
            case Foreign():
                self._foreign(part)

    def _text(self, text: str) -> None:
        if text:
            piece: Piece = {"text": text}
            if self._signature:
                piece["thoughtSignature"], self._signature = self._signature, ""
            self._parts.append(piece)

    def _reasoning(self, part: Reasoning) -> None:
        """Thoughts of a Gemini model go back to it; others mean nothing to it."""
        if part.format != GEMINI:
            self._drop("reasoning")
        elif part.text:
            piece: Piece = {"text": part.text, "thought": True}
            if part.signature or part.sealed:
                piece["thoughtSignature"] = part.signature or part.sealed
            self._parts.append(piece)
        elif part.sealed or part.signature:
            last = self._parts[-1] if self._parts else {}
            self._place_signature()
            if set(last) == {"text"}:
                last["thoughtSignature"] = part.sealed or part.signature
            else:
                self._signature = part.sealed or part.signature

    def _place_signature(self) -> None:
        """A signature to which no text came stands alone."""
        if self._signature:
            self._parts.append({"text": "", "thoughtSignature": self._signature})
            self._signature = ""

    def _call(self, call: ToolCall) -> Piece:
        self._hint(call.cache)
        self._names[call.id] = call.name
        found: dict[str, object] = {"name": call.name, "args": _arguments(call)}
        if call.id:
            found["id"] = call.id
        piece: Piece = {"functionCall": found}
        if call.signature and call.format == GEMINI:
            piece["thoughtSignature"] = call.signature
        elif self._is_third and not any("functionCall" in each for each in self._parts):
            piece["thoughtSignature"] = STAND_IN
        return piece

    def _result(self, result: ToolResult) -> Piece:
        self._hint(result.cache)
        name = result.name or self._names.get(result.id, "")
        if not name:
            raise _without_call(result.id)
        texts = [part.text for part in result.content if isinstance(part, Text)]
        inside: list[Piece] = []
        for part in result.content:
            self._hint(part.cache)
            if isinstance(part, Media):
                inside.append(self._media(part))
        found: dict[str, object] = {
            "name": name,
            "response": {"error" if result.is_error else "output": "\n".join(texts)},
        }
        if result.id:
            found["id"] = result.id
        if inside and self._is_third and not any("text" in each for each in inside):
            found["parts"] = inside
        elif inside:
            self._after += [{"text": f"From the result of {name}:"}, *inside]
        return {"functionResponse": found}

    def _media(self, media: Media) -> Piece:
        self._hint(media.cache)
        if media.detail not in {"", "auto"}:
            self._drop("detail")
        if media.title:
            self._drop("title")
        return media_part(media, takes_urls=self._takes_urls)

    def _foreign(self, part: Foreign) -> None:
        """Parts that only Gemini knows go back as they came."""
        try:
            piece = _decode_args(part.raw) if part.name in FOREIGN_PARTS else None
        except UNREADABLE:
            piece = None
        if piece is None:
            self._drop(part.name)
        else:
            self._parts.append(piece)


def _arguments(call: ToolCall) -> object:
    """A call's arguments as the object that Gemini wants."""
    if not call.arguments.strip():
        return {}
    try:
        return _decode_args(call.arguments)
    except UNREADABLE as error:
        raise invalid_request(
            f"The arguments of the tool call '{call.id[:60]}' ({call.name[:60]}) are not a JSON object: {error}.",
            param="arguments",
            code="invalid_json",
        ) from None


def _without_call(call: str) -> Refusal:
    return invalid_request(
        f"The tool result '{call[:60]}' has no call before it, so the name of its tool is not known.",
        param="tool_call_id",
        code="tool_call_missing",
    )
