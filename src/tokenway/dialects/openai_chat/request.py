"""Requests of the OpenAI chat dialect: read once, rewritten by splicing.

The caller's bytes go upstream as they came, but for three things: the model's name, the usage flag of a
stream, and the members that are meant for the gateway.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.inbound import EVENTS, decode_body, twice
from tokenway.dialects.openai_chat.read import read
from tokenway.dialects.openai_chat.schema import ABSENT, RequestFields
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import WireError, invalid_request
from tokenway.model.preferences import Preferences
from tokenway.model.request import Request
from tokenway.wire.splice import append_member, keys_pattern, layout, may_repeat, replace, set_members, without_members

_decode: Final = msgspec.json.Decoder(RequestFields).decode
_encode: Final = msgspec.json.encode
_COMPLETION: Final = Operation.COMPLETION
_EMBEDDING: Final = Operation.EMBEDDING
_DIALECT: Final = Dialect.OPENAI_CHAT
_NOTHING: Final = (ABSENT, msgspec.Raw(b"null"))

PATHS: Final[dict[Operation, str]] = {
    Operation.CHAT: "/chat/completions",
    Operation.COMPLETION: "/completions",
    Operation.EMBEDDING: "/embeddings",
}
"""What is added to a provider's base URL."""

_DECIDING: Final = keys_pattern(
    "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "best_of"
)
"""Keys that decide which model answers, how, and what it can cost: if one came twice, two readers could differ."""

_MODEL_VALUE: Final = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")')
"""Finds the model's name where no other key can be called so."""

_REQUIRED: Final[dict[Operation, str]] = {
    Operation.CHAT: "messages",
    Operation.COMPLETION: "prompt",
    Operation.EMBEDDING: "input",
}


class ChatRequest:
    """One request as its caller sent it, with what the gateway read of it."""

    stream_type = EVENTS
    look = None
    chain = ""

    __slots__ = ("_has_keys_once", "_usage_flagged", "body", "fields", "operation", "stream")

    def __init__(self, operation: Operation, body: bytes, fields: RequestFields, *, has_keys_once: bool) -> None:
        """`has_keys_once` is whether no key that decides comes twice anywhere in the body."""
        self._has_keys_once = has_keys_once
        self.operation = operation
        self.body = body
        self.fields = fields
        self.stream = fields.stream is True and operation is not _EMBEDDING
        self._usage_flagged: bytes | None = None

    @property
    def asks_usage(self) -> bool:
        """Whether the caller wants the usage of a stream."""
        options = self.fields.stream_options
        return options is not None and options.include_usage is True

    @property
    def dialect(self) -> Dialect:
        """The wire format."""
        return _DIALECT

    @property
    def model(self) -> str:
        """The name that the caller asks for."""
        return self.fields.model

    @property
    def size(self) -> int:
        """The most prompt tokens that it can be."""
        return len(self.body)

    @property
    def models(self) -> list[str]:
        """The caller's own fallbacks."""
        return self.fields.models or []

    @property
    def preferences(self) -> Preferences | None:
        """The caller's `provider` object."""
        return self.fields.provider

    @property
    def max_tokens(self) -> int | None:
        """The caller's limit on the answer's tokens; 0 for embeddings, which have none."""
        if self.operation is _EMBEDDING:
            return 0
        older, newer = self.fields.max_tokens, self.fields.max_completion_tokens
        if older is None or newer is None:
            return newer if older is None else older
        return max(older, newer)

    @property
    def prompts(self) -> int:
        """How many prompts are answered: legacy completions take a list of them; a list of numbers is one."""
        if self.operation is not _COMPLETION:
            return 1  # a chat is one prompt, and an embedding has no answers
        text = self.fields.prompt
        if not bytes(text).startswith(b"["):
            return 1
        items = msgspec.json.decode(text, type=list[msgspec.Raw])
        return len(items) if items and bytes(items[0])[:1] in {b'"', b"["} else 1

    @property
    def choices(self) -> int:
        """How many choices the answer has: `n` for each prompt."""
        return (self.fields.n or 1) * self.prompts

    @property
    def answers(self) -> int:
        """How many answers are made: `n`, or `best_of` where it is larger, for each prompt."""
        fields = self.fields
        if fields.n is None and fields.best_of is None and self.operation is not _COMPLETION:
            return 1
        return max(fields.n or 1, fields.best_of or 1) * self.prompts

    def upstream_body(self, model: str) -> bytes:
        """The body to send to an endpoint that calls the model `model`; the request itself is not changed.

        Raises Refusal when the caller's object has a key twice.
        """
        try:
            base = self._usage_flagged
            if base is None:
                base = self._usage_flagged = self._prepared()
            if model == self.fields.model:
                return base
            found = _MODEL_VALUE.search(base) if self._has_keys_once else None
            span = layout(base)["model"][1] if found is None else found.span(1)
            return replace(base, span, _encode(model))
        except WireError as error:
            raise twice(error) from None

    def neutral(self) -> Request:
        """The request in the neutral form; raises Refusal (400) that names the field which is wrong."""
        return read(self.operation, self.body, self.model, stream=self.stream)

    def streamed(self) -> ChatRequest:
        """The same request for an answer that streams; raises Refusal when the caller's object has a key twice."""
        try:
            body = set_members(self.body, b'"stream":true', ("stream",))
        except WireError as error:
            raise twice(error) from None
        found = ChatRequest(self.operation, body, self.fields, has_keys_once=self._has_keys_once)
        found.stream = True
        return found

    def _prepared(self) -> bytes:
        """The body with the usage flag set for streams and without the gateway's own members."""
        fields = self.fields
        body = self.body
        if fields.models or fields.provider or fields.route or fields.has_session:
            body = without_members(body, GATEWAY_FIELDS)
        if not self.stream or self.asks_usage:
            return body
        if fields.stream_options is None and b'"stream_options"' not in body:
            return append_member(body, b'"stream_options":{"include_usage":true}')
        return self._with_usage_option(body)

    def _with_usage_option(self, body: bytes) -> bytes:
        """The body with `include_usage` set in the options that the caller gave."""
        span = layout(body)["stream_options"][1]
        options = msgspec.json.decode(body[span[0] : span[1]], type=dict[str, msgspec.Raw] | None) or {}
        options["include_usage"] = msgspec.Raw(b"true")
        return replace(body, span, _encode(options))


def parse(operation: Operation, body: bytes) -> ChatRequest:
    """A request body to a ChatRequest.

    Raises Refusal (400) for invalid UTF-8 or JSON, a wrong type, a missing field, a nonsensical number, or a
    deciding key that comes twice.
    """
    fields = decode_body(_decode, body)
    required = _REQUIRED[operation]
    if getattr(fields, required) in _NOTHING:
        raise invalid_request(f"The field '{required}' is missing.", param=required, code="missing_required_parameter")
    has_keys_once = not may_repeat(body, _DECIDING)
    if not has_keys_once:
        try:
            layout(body)
        except WireError as error:
            raise twice(error) from None
    return ChatRequest(operation, body, fields, has_keys_once=has_keys_once)
