"""What a dialect is: the records and small interfaces that every wire format implements.

A dialect serves on two sides. On the **caller's** side it reads requests and writes answers and errors; on the
**upstream's** side it writes requests and reads answers and errors. Where both sides speak the same one, nothing is
converted: `Format.passing` looks at the bytes as they pass. Where they differ, the neutral records of
`model.request` and `model.event` stand between a reader of one and a writer of the other.

`Format` gathers the functions of one dialect in one record; `dialects.registry` has the table of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from tokenway.model.catalog import Capabilities, Dialect, Operation, Quirks
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.event import Answer, Event
from tokenway.model.preferences import Preferences
from tokenway.model.request import NO_JSON, Request, Written
from tokenway.model.usage import Metered

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for text that is not the JSON it wants: it leaves the last two as Python has them."""

FAULT_TEXT: Final = 400
"""Characters of an upstream's own message that are passed on."""

GATEWAY_FIELDS: Final = ("models", "provider", "route", "session_id", "litellm_session_id", "litellm_trace_id")
"""Members of a request that are meant for the gateway and never sent upstream."""


class RunFields(msgspec.Struct):
    """The members of a body that name a conversation, whatever its dialect; `dialects.runs` decodes what it needs."""

    session_id: msgspec.Raw = NO_JSON
    prompt_cache_key: msgspec.Raw = NO_JSON
    metadata: msgspec.Raw = NO_JSON
    client_metadata: msgspec.Raw = NO_JSON
    conversation: msgspec.Raw = NO_JSON
    litellm_session_id: msgspec.Raw = NO_JSON
    litellm_trace_id: msgspec.Raw = NO_JSON

    @property
    def has_session(self) -> bool:
        """Whether there is any member that is meant for the gateway alone."""
        return not (
            self.session_id is NO_JSON and self.litellm_session_id is NO_JSON and self.litellm_trace_id is NO_JSON
        )


NO_FIELDS: Final = RunFields()
"""Of a request whose body has no such members."""


class CallerRequest(Protocol):
    """One request as its caller sent it, with what the gateway reads of it whatever its dialect.

    `max_tokens` is the caller's limit on the answer, None without one; `choices` how many answers there will be,
    `answers` how many are made and billed, or how many searches at most. `asks_usage` is whether the caller wants
    usage in a stream: where the dialect always has it, it is True.
    """

    @property
    def dialect(self) -> Dialect:
        """The wire format."""

    @property
    def operation(self) -> Operation:
        """What is asked for."""

    @property
    def body(self) -> bytes:
        """The body as it came."""

    @property
    def model(self) -> str:
        """The name that the caller asks for."""

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""

    @property
    def asks_usage(self) -> bool:
        """Whether the caller wants the usage of a stream."""

    @property
    def max_tokens(self) -> int | None:
        """The caller's limit on the answer's tokens."""

    @property
    def choices(self) -> int:
        """How many choices the answer has."""

    @property
    def answers(self) -> int:
        """How many answers are made."""

    @property
    def look(self) -> tuple[str, str] | None:
        """The size and quality that are asked for, empty where nothing is said; None where no images are."""

    @property
    def stream_type(self) -> bytes:
        """Media type of a stream for this caller; empty where it is whatever the upstream says."""

    @property
    def size(self) -> int:
        """The most prompt tokens that the request can be: a token covers at least a byte of text."""

    @property
    def fields(self) -> RunFields:
        """The members of the body that name its conversation, and whatever else its dialect reads."""

    @property
    def chain(self) -> str:
        """The id of the first response of the chain that it goes on with, where that is known; mostly empty."""

    @property
    def models(self) -> Sequence[str]:
        """The caller's own fallbacks."""

    @property
    def preferences(self) -> Preferences | None:
        """The caller's `provider` object."""

    def upstream_body(self, model: str) -> bytes | list[bytes | memoryview]:
        """The body for an endpoint of the same dialect that calls the model `model`: spliced, not re-encoded.

        In pieces where it would be too large to copy.
        """

    def neutral(self) -> Request:
        """The request in the neutral form; raises Refusal (400) that names the field which is wrong.

        The reader validates what it needs: roles, types, base64, that a tool's result follows its call.
        """


class Upstream(msgspec.Struct, frozen=True):
    """Whom a request is written for: its own name of the model, what it can, and where it differs from its dialect."""

    model: str
    capabilities: Capabilities = Capabilities()
    quirks: Quirks = Quirks()


class UpstreamError(msgspec.Struct, frozen=True):
    """What an upstream's error answer says. `is_ours` is whether the body is an error of this dialect at all.

    `retry_after` is a hint in the body, in seconds.
    """

    message: str = ""
    code: str = ""
    is_ours: bool = False
    type: ErrorType | None = None
    retry_after: float | None = None


class WholeAnswer(msgspec.Struct, frozen=True, gc=False):
    """What the gateway reads of an answer that does not stream. `usage` is its usage object as it is written."""

    metered: Metered
    finish_reason: str
    usage: bytes = b""


class AnswerStream(Protocol):
    """One streamed answer on its way to the caller: bytes of the upstream in, bytes for the caller out.

    Whole events only go out, and the last ones are held back until `tail`, so that a caller does not see the end
    before the ledger has it. Times are monotonic seconds given by the caller; 0.0 means not yet.
    """

    is_calm: bool
    """Neither the end nor an error has come."""
    fault: str
    """Text of an error in the stream, empty without one."""
    fault_event: bytes
    """That error as the caller may get it unchanged; empty where it must be written anew."""
    metered: Metered
    finish_reason: str
    first_delta: float
    first_answer: float
    last_delta: float

    @property
    def answer_id(self) -> str:
        """The answer's id as the caller knows it, where an error at its end must repeat that; else empty."""

    @property
    def sequence(self) -> int:
        """The number of the event that comes next, where the caller's dialect counts them; else 0."""

    def accepts(self, content_type: bytes) -> bool:
        """Whether an answer of this media type (in lower case) is such a stream."""

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete."""

    @property
    def gap_counts(self) -> tuple[int, ...]:
        """Pauses between deltas, counted by powers of two milliseconds."""

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece; raises WireError when it is no stream of the dialect."""

    def finish(self) -> bytes:
        """What a last event without its end still gives; call it when the body has ended."""

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The events that end the answer.

        `cost` are members for its usage (`"cost":…`), where the dialect has room for them, and `extra` a member for
        its last event; both may be empty.
        """


class EventReader(Protocol):
    """Reads an upstream's stream, frame by frame, into neutral events; made for one answer, a state table inside."""

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one frame: the data of a server-sent event, or a whole AWS message.

        Raises WireError when it is not one of this dialect, or cannot come now.
        """

    def end(self) -> Sequence[Event]:
        """What the end of the body means: the events still owed, if the answer is whole without an end mark."""


class EventWriter(Protocol):
    """Writes neutral events as a caller's stream; made for one answer.

    `write` forwards everything but the finish, the usage and the end, which it keeps; `tail` writes those.
    """

    def write(self, event: Event) -> bytes:
        """The bytes for one event; often none, sometimes several of the dialect's events."""

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """As `AnswerStream.tail`."""

    def follow(self, frame: bytes, events: Sequence[Event]) -> None:
        """Takes over an answer that another has begun to write, frame by frame, before anything is written here.

        A frame comes with its events. What is written then goes on behind it, with its numbers and ids.
        """


class Maker(msgspec.Struct, frozen=True):
    """What a writer needs to know of the exchange: its id, the model's name for the caller, Unix time, the request.

    For a stream that has begun: `answer` is the id of the answer that its events have told, where it is not made of the
    exchange's, and `sequence` the number of the next event, for an error in a dialect that numbers them.
    """

    exchange: str
    model: str
    created: int
    request: CallerRequest
    answer: str = ""
    sequence: int = 0


class Framing(Protocol):
    """Cuts the bytes of a stream into frames, whatever the pieces they come in."""

    def feed(self, data: bytes) -> Sequence[bytes]:
        """The frames that `data` completes; raises WireError when one passes its bound or is broken."""

    def rest(self) -> Sequence[bytes]:
        """A last frame that lacks nothing but its end mark, and forgets it."""


class Format(msgspec.Struct, frozen=True):
    """One dialect. The fields say on which side each function is used."""

    dialect: Dialect
    stream_type: bytes
    """Media type of an upstream's streamed answer."""

    # -- caller's side
    parse: Callable[[Operation, bytes, str, bool], CallerRequest]
    """(operation, body, model in the path or empty, whether the path asks for a stream); raises Refusal."""
    passing: Callable[[CallerRequest], AnswerStream]
    """Looks at a stream of the same dialect as it passes."""
    read_whole: Callable[[Operation, bytes], WholeAnswer]
    """Looks at a whole answer of the same dialect; raises WireError when it is none."""
    priced: Callable[[bytes, bytes, bytes], bytes]
    """(answer, cost members, its usage object): the answer with its cost, where the dialect has room for one."""
    writer: Callable[[Maker], EventWriter]
    write_answer: Callable[[Answer, Maker], bytes]
    error_body: Callable[[Problem, str], bytes]
    """(problem, exchange id)."""
    error_event: Callable[[Problem, Maker], bytes]
    """The end of a stream that broke, well-formed."""
    told: Callable[[bytes], Sequence[bytes] | None]
    """(whole events that have gone to a caller): their frames, None where anything but text has been told in them, or
    the text is over for good; raises WireError, and what a decoder raises, for what cannot be read."""

    # -- upstream's side
    path: Callable[[Operation, str, bool], str]
    """(operation, upstream model, stream): what is added to the base URL."""
    write_request: Callable[[Request, Upstream], Written]
    """Raises Refusal (400, with the caller's place of it) for what the upstream's dialect cannot say at all."""
    framing: Callable[[], Framing]
    reader: Callable[[], EventReader]
    read_answer: Callable[[bytes], Answer]
    """A whole answer with status 200; raises WireError when it is none."""
    read_error: Callable[[int, bytes], UpstreamError]

    spelling: Mapping[str, str] = {}
    """The caller's names of neutral fields, where they differ: `top_k` is Gemini's `topK`."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with every request, unless the caller or the provider says otherwise."""
    has_refusals: bool = False
    """Whether an answer has a place for a refusal; elsewhere it is text, and the reason to stop says what it is."""
    has_choices: bool = False
    """Whether one call can make several answers (`n`)."""
    has_prefill: bool = True
    """Whether an upstream can be told to go on with a text (`Request.continues`), where its endpoint can do that."""
    credential_header: str = "authorization"
    forwarded: tuple[bytes, ...] = ()
    """Beginnings of the caller's header names that go on to an upstream of the same dialect."""
    id_header: bytes = b""
    """The header in which this dialect's callers look for an answer's id, beside `x-request-id`."""
    returned: tuple[bytes, ...] = ()
    """Beginnings of the upstream's header names that go back to a caller of the same dialect."""
    statuses: Mapping[ErrorType, int] = {}
    """Statuses of failures where this dialect's callers know another than the problem's: Anthropic's 529."""


def fault_text(error: Any) -> str:
    """What an upstream's `error` value says, short enough for a message."""
    text = error.get("message") if isinstance(error, dict) else error
    return str(text or error)[:FAULT_TEXT]
