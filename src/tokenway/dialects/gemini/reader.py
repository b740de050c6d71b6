"""A Gemini stream to neutral events.

Every frame is a response with what has been added since; a whole answer is one frame. There are no marks for where a
part begins or ends: text goes on as long as text follows. So a choice is in one of three states, and what a piece does
depends on the state it comes in. An answer ends with its body; older models write a finish reason into every chunk, so
what is owed (closed parts, finish reasons) is given by `end`.

    state     piece        what happens
    IDLE      text         a text part opens, and gets it
    TEXT      text         added
    THOUGHT   text         the thought closes, a text part opens, and gets it
    IDLE      thought      a reasoning part opens, and gets it
    TEXT      thought      the text closes, a reasoning part opens, and gets it
    THOUGHT   thought      added
    THOUGHT   thought end  a signature without text: the thought closes with it; IDLE
    others    thought end  a sealed reasoning
    any       seal         a signature beside a text: kept, a sealed reasoning once the text is over
    any       call         what is open closes; the call opens, gets its arguments and closes; IDLE
    any       whole        media, or a part of Gemini's own: what is open closes; whole; IDLE
    any       nothing      nothing: the last chunk often has an empty text

    frame     error        `Failed`
    end       all candidates have finished, or the prompt was blocked: what is owed, then `Ended`; else nothing
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, fault_text
from tokenway.dialects.gemini.citations import read_citations
from tokenway.dialects.gemini.logprobs import read_logprobs
from tokenway.dialects.gemini.media_types import guessed_type, kind_of
from tokenway.dialects.gemini.schema import (
    ABSENT,
    FINISH,
    NOTHING,
    Blob,
    Candidate,
    FileData,
    FunctionCall,
    Part,
    Response,
)
from tokenway.dialects.gemini.usage import meter
from tokenway.dialects.seal import GEMINI
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Closed,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Started,
    Whole,
)
from tokenway.model.request import Foreign, Media, Reasoning

_decode: Final = msgspec.json.Decoder(Response).decode
_decode_any: Final = msgspec.json.Decoder().decode
_decode_call: Final = msgspec.json.Decoder(FunctionCall).decode
_decode_blob: Final = msgspec.json.Decoder(Blob).decode
_decode_file: Final = msgspec.json.Decoder(FileData).decode
_encode: Final = msgspec.json.encode
_TOLD: Final = (FinishReason.CONTENT_FILTER, FinishReason.ERROR)
"""The reasons whose message tells the caller anything."""
_READ: Final = frozenset({"text", "thought", "thoughtSignature", "functionCall", "inlineData", "fileData"})
"""Members of a piece that are read; another one makes it a part of Gemini's own."""


class State(IntEnum):
    """What is open; see the table above."""

    IDLE = 0
    TEXT = 1
    THOUGHT = 2


class Kind(IntEnum):
    """What a piece is; see the table above."""

    TEXT = 0
    THOUGHT = 1
    THOUGHT_END = 2
    SEAL = 3
    CALL = 4
    WHOLE = 5


_IDLE: Final = State.IDLE
_TEXT: Final = State.TEXT
_THOUGHT: Final = State.THOUGHT


class _Choice:
    """One candidate in the making; its methods are the table's right side."""

    __slots__ = ("calls", "finish", "ids", "message", "number", "out", "part", "seal", "seen", "state", "texts")

    def __init__(self, number: int, ids: str, out: list[Event]) -> None:
        """`ids` is what the ids of calls without one begin with; `out` takes the events."""
        self.number = number
        self.ids = ids
        self.out = out
        self.state = _IDLE
        self.part = -1
        """The number of the part that is open, or was the last."""
        self.texts: dict[int, list[str]] = {}
        """The text parts by their number, for stretches of them that are cited."""
        self.seal = ""
        self.calls = 0
        self.finish: str | None = None
        self.message = ""
        self.seen: set[tuple[object, ...]] = set()

    def open_text(self, text: str) -> None:
        """A text part begins."""
        self.close()
        self.part += 1
        self.state = _TEXT
        self.texts[self.part] = [text]
        self.out += (Opened(self.part, PartKind.TEXT, choice=self.number), Added(self.part, text, self.number))

    def more_text(self, text: str) -> None:
        """The text goes on; what is sealed behind it belongs to what was said before."""
        if self.seal:
            self.open_text(text)
            return
        self.texts[self.part].append(text)
        self.out.append(Added(self.part, text, self.number))

    def open_thought(self, text: str) -> None:
        """A thought begins; Google calls what it shows of them summaries."""
        self.close()
        self.part += 1
        self.state = _THOUGHT
        opened = Opened(self.part, PartKind.REASONING, format=GEMINI, summary=True, choice=self.number)
        self.out += (opened, Added(self.part, text, self.number))

    def more_thought(self, text: str) -> None:
        """The thought goes on."""
        self.out.append(Added(self.part, text, self.number))

    def sign_thought(self, signature: str) -> None:
        """The thought is over, and signed."""
        self.out.append(Closed(self.part, signature, "", GEMINI, self.number))
        self.state = _IDLE

    def give_sealed(self, signature: str) -> None:
        """Thoughts that are not shown."""
        self.keep_seal(signature)
        self.close()

    def keep_seal(self, signature: str) -> None:
        """A signature beside a text; the text may still be cited, so it stays open."""
        if self.seal or self.state is _THOUGHT:
            self.close()
        self.seal = signature

    def give_call(self, part: Part) -> None:
        """A tool call; one without an id gets the same one whenever this answer is read."""
        self.close()
        call = _decode_call(part.function_call)
        if call.partial_args or call.will_continue:
            raise WireError("a tool call came in pieces, which was not asked for")
        self.part += 1
        number = self.part
        arguments = "{}" if call.args in NOTHING else msgspec.json.format(bytes(call.args), indent=-1).decode()
        signature = part.thought_signature or ""
        name = call.id or f"{self.ids}{self.calls}"
        self.calls += 1
        self.out += (
            Opened(number, PartKind.TOOL_CALL, name, call.name or "", choice=self.number),
            Added(number, arguments, self.number),
            Closed(number, signature, "", GEMINI if signature else "", self.number),
        )

    def give_whole(self, value: Media | Foreign) -> None:
        """A part that comes in one piece."""
        self.close()
        self.part += 1
        self.out.append(Whole(self.part, value, self.number))

    def close(self) -> None:
        """What is open is over, and what seals it follows."""
        if self.state is not _IDLE:
            self.out.append(Closed(self.part, choice=self.number))
            self.state = _IDLE
        if self.seal:
            self.part += 1
            self.out.append(Whole(self.part, Reasoning(sealed=self.seal, format=GEMINI), self.number))
            self.seal = ""

    def cite(self, candidate: Candidate) -> None:
        """What the texts rest on, also those that are over; chunks repeat what earlier ones said."""
        if not self.texts:
            return
        texts = {part: "".join(pieces) for part, pieces in self.texts.items()}
        self.texts = {part: [text] for part, text in texts.items()}
        grounding, citations = candidate.grounding_metadata, candidate.citation_metadata
        for cited in read_citations(grounding, citations, texts, self.number):
            key = (cited.part, cited.url, cited.start, cited.end)
            if key not in self.seen:
                self.seen.add(key)
                self.out.append(cited)

    def finished(self, blocked: str, message: str) -> Finished:
        """Why this choice ended; `blocked` is why the prompt was, where no candidate says more."""
        native = self.finish or blocked
        reason = FINISH.get(native, FinishReason.STOP)
        if self.finish is None and blocked:
            reason = FinishReason.CONTENT_FILTER
        elif self.calls and reason is FinishReason.STOP:
            reason = FinishReason.TOOL_CALLS
        detail = (self.message or message) if reason in _TOLD else ""
        return Finished(reason, native, detail=detail, choice=self.number)


_TABLE: Final[dict[tuple[State, Kind], Callable[[_Choice, Any], None]]] = {
    (_IDLE, Kind.TEXT): _Choice.open_text,
    (_TEXT, Kind.TEXT): _Choice.more_text,
    (_THOUGHT, Kind.TEXT): _Choice.open_text,
    (_IDLE, Kind.THOUGHT): _Choice.open_thought,
    (_TEXT, Kind.THOUGHT): _Choice.open_thought,
    (_THOUGHT, Kind.THOUGHT): _Choice.more_thought,
    (_IDLE, Kind.THOUGHT_END): _Choice.give_sealed,
    (_TEXT, Kind.THOUGHT_END): _Choice.give_sealed,
    (_THOUGHT, Kind.THOUGHT_END): _Choice.sign_thought,
    **{(state, Kind.SEAL): _Choice.keep_seal for state in State},
    **{(state, Kind.CALL): _Choice.give_call for state in State},
    **{(state, Kind.WHOLE): _Choice.give_whole for state in State},
}
_TEXTS: Final = {state: _TABLE[state, Kind.TEXT] for state in State}
"""The column of the table that almost every piece takes."""


class Reader:
    """Reads one answer; see `dialects.base.EventReader`."""

    __slots__ = ("_blocked", "_choices", "_ids", "_message", "_out", "_started")

    def __init__(self) -> None:
        self._started = False
        self._choices: dict[int, _Choice] = {}
        self._ids = ""
        self._blocked = ""
        self._message = ""
        self._out: list[Event] = []

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one response; raises WireError when it is none."""
        if not frame:
            return ()
        try:
            return self._read(_decode(frame), frame)
        except UNREADABLE as error:
            raise WireError(f"an event is not one of this dialect: {error}") from None

    def _read(self, response: Response, frame: bytes) -> list[Event]:
        out = self._out
        out.clear()
        if response.error:
            return [_failed(response.error)]
        if not self._started:
            self._start(response)
        for candidate in response.candidates or ():
            self._take(candidate, frame)
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason:
            self._blocked = feedback.block_reason
            self._message = feedback.block_reason_message or ""
        if response.usage_metadata is not ABSENT:
            metered = meter(response.usage_metadata)
            if metered.given:
                out.append(Counted(metered))
        return out.copy()

    def _take(self, candidate: Candidate, frame: bytes) -> None:
        """What one chunk adds to a candidate."""
        number = candidate.index or 0
        choice = self._choices.get(number) or self._new_choice(number)
        content = candidate.content
        if content is not None and content.parts:
            for part in content.parts:
                text = part.text
                if text and not part.thought and part.thought_signature is None:
                    _TEXTS[choice.state](choice, text)
                else:
                    for kind, value in _kinds(part, candidate, frame):
                        _TABLE[choice.state, kind](choice, value)
        if candidate.finish_reason:
            choice.finish = candidate.finish_reason
            choice.message = candidate.finish_message or ""
        if candidate.grounding_metadata is not ABSENT or candidate.citation_metadata is not ABSENT:
            choice.cite(candidate)
        if candidate.logprobs_result is not ABSENT and choice.texts:
            tokens = read_logprobs(candidate.logprobs_result)
            if tokens is not None:
                self._out.append(Logprobs(max(choice.texts), tokens, number))

    def end(self, *, is_complete: bool = False) -> Sequence[Event]:
        """What is owed when the body ends; nothing when the answer is not whole.

        `is_complete` is for an answer that is known to be there: then a finish reason may be missing.
        """
        choices = self._choices or ({0: self._new_choice(0)} if self._blocked else {})
        is_whole = is_complete or self._blocked or all(choice.finish for choice in choices.values())
        if not choices or not is_whole:
            return ()
        self._out.clear()
        for choice in choices.values():
            choice.close()
        found = self._out.copy()
        found += [choices[number].finished(self._blocked, self._message) for number in sorted(choices)]
        found.append(Ended())
        return found

    def _start(self, response: Response) -> None:
        if response.candidates is None and response.prompt_feedback is None and response.usage_metadata in NOTHING:
            raise WireError("the first event is not a response of this dialect")
        self._started = True
        self._ids = f"call_{response.response_id}_" if response.response_id else "call_"
        self._out.append(Started(response.response_id or "", response.model_version or "", _unix(response.create_time)))

    def _new_choice(self, number: int) -> _Choice:
        ids = f"{self._ids}{number}_" if number else self._ids
        self._choices[number] = choice = _Choice(number, ids, self._out)
        return choice


def _kinds(part: Part, candidate: Candidate, frame: bytes) -> list[tuple[Kind, Any]]:
    """What a piece is; a text with a signature is two."""
    signature = part.thought_signature
    if part.function_call not in NOTHING:
        return [(Kind.CALL, part)]
    if part.inline_data not in NOTHING:
        blob = _decode_blob(part.inline_data)
        kind = blob.mime_type or ""
        found: list[tuple[Kind, Any]] = [(Kind.WHOLE, Media(kind_of(kind), kind, data=blob.data or ""))]
    elif part.file_data not in NOTHING:
        file = _decode_file(part.file_data)
        url = file.file_uri or ""
        kind = file.mime_type or ""
        found = [(Kind.WHOLE, Media(kind_of(kind or guessed_type(url)), kind, url=url))]
    elif part.text is None and not part.thought:
        foreign = _foreign(part, candidate, frame)
        if foreign is not None:
            return [(Kind.WHOLE, foreign)]
        found = []
    elif part.text:
        found = [(Kind.THOUGHT if part.thought else Kind.TEXT, part.text)]
    else:
        found = []
    if signature:
        found.append((Kind.THOUGHT_END if part.thought else Kind.SEAL, signature))
    return found


def _foreign(part: Part, candidate: Candidate, frame: bytes) -> Foreign | None:
    """A piece of a kind that is not read, as it came; None where it says nothing."""
    place = next(number for number, each in enumerate(_parts(candidate)) if each is part)
    for other in _decode_any(frame)["candidates"]:
        pieces = (other.get("content") or {}).get("parts") or []
        if (other.get("index") or 0) == (candidate.index or 0) and len(pieces) > place:
            name = next((key for key, value in pieces[place].items() if key not in _READ and value is not None), "")
            return Foreign(name, msgspec.Raw(_encode(pieces[place]))) if name else None
    return None


def _parts(candidate: Candidate) -> list[Part]:
    return (candidate.content.parts if candidate.content is not None else None) or []


def _failed(error: Any) -> Failed:
    status = error.get("status") if isinstance(error, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return Failed(fault_text(error), status if isinstance(status, str) else "", code if isinstance(code, int) else 0)


def _unix(text: Any) -> int:
    """Vertex's `createTime` in seconds; 0 where there is none."""
    try:
        return int(msgspec.convert(text, datetime).timestamp())
    except (msgspec.ValidationError, OverflowError, ValueError):
        return 0
