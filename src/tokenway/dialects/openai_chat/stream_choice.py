"""One choice of a chat stream: what chunks add to it becomes parts, of which at most one is open.

    open part    more of the same part    something else             finish reason
    none         -                        Opened, Added              Finished
    one          Added                    Closed, Opened, Added      Closed, Finished
    finished     -                        only citations             -

"The same part" is text after text, and a piece of the same tool call, or of the same item of `reasoning_details`. Tool
calls come one after the other; more of an earlier one is a WireError, since its part is closed.

Sources: OpenAI API reference, "The chat completion chunk object"; OpenRouter's guides for reasoning and images;
DeepSeek's and vLLM's documentation of `reasoning_content`; Mistral's of thinking chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenway.dialects.base import fault_text
from tokenway.dialects.openai_chat.schema import EventChoice, EventDelta
from tokenway.dialects.openai_chat.words import (
    ENCRYPTED,
    NO_DETAIL,
    SUMMARY,
    Detail,
    annotated,
    continues,
    details_of,
    finish_of,
    made_call_id,
    searched,
    sniffed,
    split_data_url,
    text_of,
)
from tokenway.dialects.seal import GEMINI, unseal
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Closed,
    Event,
    Finished,
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Whole,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning
from tokenway.wire.limits import ANSWER

_encode: Final = msgspec.json.encode

_TEXT: Final = PartKind.TEXT
_REASONING: Final = PartKind.REASONING
_REFUSAL: Final = PartKind.REFUSAL
_CALL: Final = PartKind.TOOL_CALL
_LEGACY: Final = "function_call"
"""In place of an index: the one call of a server that knows no more."""


class _Call:
    """One tool call: `part` is -1 until its name is known, which is what makes it a part."""

    __slots__ = ("custom", "has_arguments", "id", "index", "name", "part", "pending")

    def __init__(self, index: object) -> None:
        self.index = index
        self.id = self.name = self.pending = ""
        self.custom = self.has_arguments = False
        self.part = -1


class Choice:
    """One choice of an answer; see the table above. The methods append to `out`."""

    __slots__ = (
        "_audio",
        "_call",
        "_calls",
        "_detail",
        "_format",
        "_seed",
        "_signature",
        "_sources",
        "_whole",
        "has_sources",
        "is_finished",
        "kind",
        "number",
        "out",
        "part",
        "refusal_part",
        "text_part",
    )

    def __init__(self, number: int, seed: tuple[object, ...], out: list[Event], *, whole: bool) -> None:
        self.number = number
        self.out = out
        self.kind: PartKind | None = None
        """The open part's kind; `part` is the number of the last part."""
        self.part = self.text_part = self.refusal_part = -1
        self.is_finished = False
        self._detail = NO_DETAIL
        """The first piece of the open part, where that is reasoning."""
        self._call: _Call | None = None
        """The call that had the last piece."""
        self._signature = self._format = ""
        self._calls: list[_Call] = []
        self._audio: dict[str, Any] = {}
        self.has_sources = False
        self._sources: list[Any] = []
        """Annotations that came before any text."""
        self._seed = seed
        self._whole = whole

    # -- parts -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends the open part, if there is one."""
        if self.kind is not None:
            call = self._call
            if self.kind is _CALL and call is not None and not call.has_arguments and not call.custom:
                self._add("{}")  # a call of a function without parameters: arguments are always an object
            self.out.append(Closed(self.part, self._signature, "", self._format, self.number))
            self.kind = None
            self._signature = self._format = ""

    def _open(self, kind: PartKind, detail: Detail = NO_DETAIL) -> None:
        """Begins a part behind the one that is open."""
        self.close()
        self.part += 1
        self.kind, self._detail, self._format = kind, detail, detail.format
        is_summary = detail.kind == SUMMARY
        self.out.append(Opened(self.part, kind, detail.id, "", False, detail.format, is_summary, self.number))

    def _add(self, text: str) -> None:
        self.out.append(Added(self.part, text, self.number))

    def _put(self, value: Media | Reasoning | Foreign) -> None:
        self.close()
        self.part += 1
        self.out.append(Whole(self.part, value, self.number))

    def text(self, text: str) -> None:
        """More of the answer's text."""
        if self.kind is not _TEXT:
            self._open(_TEXT)
        self.text_part = self.part
        self._add(text)
        if self._sources:
            sources, self._sources = self._sources, []
            self.take_annotations(sources)

    def refusal(self, text: str) -> None:
        """More of a refusal."""
        if self.kind is not _REFUSAL:
            self._open(_REFUSAL)
        self.refusal_part = self.part
        self._add(text)

    def reasoning(self, text: str) -> None:
        """More reasoning, without a mark of which."""
        if self.kind is not _REASONING:
            self._open(_REASONING)
        self._add(text)

    # -- the members of a delta --------------------------------------------------------------------------

    def take_reasoning(self, delta: EventDelta) -> None:
        """Reasoning, which gateways send in two fields at once: the one that says more counts."""
        details = details_of(delta.reasoning_details) if delta.reasoning_details else ()
        if not any(detail.text for detail in details):
            text = text_of(delta.reasoning_content) or text_of(delta.reasoning)
            if text:
                self.reasoning(text)
        for detail in details:
            self._think(detail)
        google = _google(delta.extra_content)
        if google:
            self._think(Detail("", signature=google, format=GEMINI))

    def _think(self, detail: Detail) -> None:
        former = self._detail
        if detail.kind == ENCRYPTED:
            if self.kind is _REASONING and detail.id and detail.id == former.id:
                self.out.append(Closed(self.part, "", detail.sealed, detail.format or self._format, self.number))
                self.kind = None
            else:
                self._put(Reasoning(sealed=detail.sealed, format=detail.format, id=detail.id))
            return
        if self.kind is not _REASONING or not continues(former, detail):
            self._open(_REASONING, detail)
        if detail.text:
            self._add(detail.text)
        if detail.signature:
            self._signature = detail.signature
            self._format = detail.format or self._format
            self.close()

    def take_content(self, content: Any) -> None:
        """Text, or Mistral's list of chunks."""
        if isinstance(content, str):
            if content:
                self.text(content)
            return
        for item in content if isinstance(content, list) else ():
            if isinstance(item, dict):
                self._content_item(item)

    def _content_item(self, item: dict[str, Any]) -> None:
        match item.get("type"):
            case "text":
                self.take_content(text_of(item.get("text")))
            case "thinking":
                inner = item.get("thinking")
                texts = inner if isinstance(inner, list) else [{"text": inner}]
                text = "".join(text_of(each.get("text")) for each in texts if isinstance(each, dict))
                if text:
                    self.reasoning(text)
            case "refusal":
                self.take_refusal(item.get("refusal"))
            case "image_url":
                self.take_images([item])
            case str(name):
                self._put(Foreign(name, msgspec.Raw(_encode(item))))

    def take_refusal(self, refusal: Any) -> None:
        """A refusal; a few servers send an empty one with every chunk."""
        if isinstance(refusal, str) and refusal:
            self.refusal(refusal)

    def take_images(self, images: Any) -> None:
        """OpenRouter's images, each whole."""
        for item in images if isinstance(images, list) else ():
            image = item.get("image_url") if isinstance(item, dict) else None
            url = text_of(image.get("url") if isinstance(image, dict) else image)
            if not url:
                continue
            split = split_data_url(url)
            if split is None:
                self._put(Media(MediaKind.IMAGE, url=url))
            else:
                self._put(Media(MediaKind.IMAGE, split[0] or sniffed(split[1], "image/png"), split[1]))

    def take_audio(self, audio: Any) -> None:
        """A piece of OpenAI's sound: gathered, and told whole at the finish."""
        for name, value in audio.items() if isinstance(audio, dict) else ():
            if not value:
                continue
            former = self._audio.get(name)
            is_piece = isinstance(value, str) and isinstance(former, str) and name != "id"
            self._audio[name] = former + value if is_piece else value
        if len(text_of(self._audio.get("data"))) > ANSWER:
            raise WireError(f"the sound of an answer is larger than {ANSWER} bytes")

    def take_calls(self, calls: Any) -> None:
        """Pieces of tool calls, or whole ones."""
        for item in calls if isinstance(calls, list) else ():
            if isinstance(item, dict):
                self._take_call(item)

    def take_function(self, function: Any) -> None:
        """The one call of older servers, which has no id."""
        is_repeat = bool(self._calls) and self._calls[0].index != _LEGACY
        if isinstance(function, dict) and (function.get("name") or function.get("arguments")) and not is_repeat:
            self._take_call({"index": _LEGACY, "function": function})

    def _take_call(self, item: dict[str, Any]) -> None:
        custom = item.get("custom")
        inner = custom if isinstance(custom, dict) else item.get("function")
        inner = inner if isinstance(inner, dict) else {}
        name, given = text_of(inner.get("name")), text_of(item.get("id"))
        arguments = inner.get("input") if isinstance(custom, dict) else inner.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = _encode(arguments).decode()
        call = self._which(item.get("index"), given, name)
        call.id, call.name = call.id or given, call.name or name
        call.custom = call.custom or isinstance(custom, dict)
        call.pending += arguments or ""
        if call.name:
            self._go_on(call, _google(item.get("extra_content")))

    def _which(self, index: Any, given: str, name: str) -> _Call:
        """The call that a piece belongs to: by its index, else by its id, else the last; a new one where none fits.

        A few servers have the same index for all calls: another id with a name, or a name again where there are
        no ids, is another call.
        """
        found = None
        if self._whole and index != _LEGACY:
            pass
        elif index is not None:
            found = next((call for call in reversed(self._calls) if call.index == index), None)
        elif given:
            found = next((call for call in reversed(self._calls) if call.id == given), None)
        elif self._calls and not name:
            found = self._calls[-1]
        if found is not None and name:
            is_other = given != found.id if given and found.id else not given and not found.id and found.has_arguments
            if is_other and index != _LEGACY:
                found = None
        if found is None:
            found = _Call(index)
            self._calls.append(found)
        return found

    def _go_on(self, call: _Call, signature: str) -> None:
        """Tells what has come of a call whose name is known."""
        if call.part < 0:
            self.close()
            self.part += 1
            call.part = self.part
            self.kind, self._call = _CALL, call
            identity = call.id or made_call_id(*self._seed, self.number, len(self._calls), call.name)
            self.out.append(Opened(self.part, _CALL, identity, call.name, call.custom, choice=self.number))
        if not call.pending and not signature:
            return
        if self._call is not call or self.kind is not _CALL:
            raise WireError("a tool call goes on after another part has begun")
        if call.pending:
            self._add(call.pending)
            call.pending = ""
            call.has_arguments = True
        if signature:
            own = unseal(signature, GEMINI)
            self._signature, self._format = own.value, own.format

    def take_annotations(self, annotations: Any) -> None:
        """Citations of sources on the web, which belong to the text before them; without one they wait for it."""
        if self.text_part < 0 and isinstance(annotations, list):
            self._sources += annotations
            return
        for item in annotations if isinstance(annotations, list) else ():
            cited = annotated(item, self.text_part, self.number)
            if cited is not None:
                self.has_sources = True
                self.out.append(cited)

    def take_found(self, found: Any) -> None:
        """What a search found, told beside the choices; not where the text has sources of its own."""
        if not self.has_sources and self.text_part >= 0:
            self.out += searched(found, self.text_part, self.number)

    def take_logprobs(self, logprobs: Any, name: str, part: int) -> None:
        """Log probabilities of the text's tokens (`content`) or the refusal's."""
        tokens = logprobs.get(name) if isinstance(logprobs, dict) else None
        if part >= 0 and isinstance(tokens, list) and tokens:
            self.out.append(Logprobs(part, msgspec.Raw(_encode(tokens)), self.number))

    # -- the end -----------------------------------------------------------------------------------------

    def finish(self, choice: EventChoice | None = None) -> None:
        """The choice is complete; without a choice, because the stream is."""
        if self.is_finished:
            return
        for call in self._calls:
            if call.part < 0:
                self._go_on(call, "")
        self.close()
        if any(self._audio.get(name) for name in ("id", "data", "transcript")):
            self._put(Foreign("audio", msgspec.Raw(_encode(self._audio))))
        self.is_finished = True
        word = text_of(choice.finish_reason) if choice is not None else ""
        native = word if choice is None or choice.native_finish_reason is msgspec.UNSET else choice.native_finish_reason
        reason = finish_of(word)
        if reason is FinishReason.STOP and self._calls:
            reason = FinishReason.TOOL_CALLS  # a call that was forced ends with `stop`
        stop = choice.stop_reason if choice is not None and isinstance(choice.stop_reason, str) else None
        error = choice.error if choice is not None and reason is FinishReason.ERROR else None
        self.out.append(Finished(reason, text_of(native), stop, fault_text(error) if error else "", self.number))


MEMBERS: Final[tuple[tuple[str, Callable[[Choice, Any], None]], ...]] = (
    ("refusal", Choice.take_refusal),
    ("images", Choice.take_images),
    ("audio", Choice.take_audio),
    ("tool_calls", Choice.take_calls),
    ("function_call", Choice.take_function),
)
"""What a delta adds behind its reasoning and its text, in the order in which it counts."""


def _google(extra: Any) -> str:
    """Google's signature in an `extra_content`."""
    google = extra.get("google") if isinstance(extra, dict) else None
    return text_of(google.get("thought_signature")) if isinstance(google, dict) else ""
