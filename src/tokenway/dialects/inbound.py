"""A caller's request in a dialect that names the model in its body or in its path: read once, spliced, not re-encoded.

The OpenAI chat dialect has a reader of its own (`openai_chat.request`), because more has to be changed there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from typing import Any, Final, Self, TypeVar

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS, RunFields
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal, WireError, invalid_request
from tokenway.model.preferences import Preferences
from tokenway.model.request import Request
from tokenway.wire.limits import MODEL_NAME
from tokenway.wire.splice import find_value, keys_pattern, layout, may_repeat, replace, set_members, without_members

_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`")
_DECIDING: Final = keys_pattern("model", "stream", "max_tokens", "max_output_tokens")
_encode: Final = msgspec.json.encode
_T = TypeVar("_T")

EVENTS: Final = b"text/event-stream; charset=utf-8"
"""Media type of a stream of server-sent events."""


class InboundFields(RunFields):
    """What is read of a body whatever its dialect; a dialect adds its own."""

    model: str | None = None
    stream: bool | None = None
    models: list[str] | None = None
    provider: Preferences | None = None
    route: Any = None


class Inbound:
    """One request of a caller; see `dialects.base.CallerRequest`."""

    __slots__ = (
        "_base",
        "_neutral",
        "_read",
        "body",
        "dialect",
        "fields",
        "max_tokens",
        "model",
        "operation",
        "stream",
    )

    asks_usage = True
    choices = 1
    answers = 1
    look: tuple[str, str] | None = None
    chain = ""
    stream_type = EVENTS
    has_stream_in_body = True
    """Whether the body asks for a stream; else the path does."""

    def __init__(
        self,
        dialect: Dialect,
        operation: Operation,
        body: bytes,
        fields: InboundFields,
        read: Callable[[bytes, str, bool], Request],
        *,
        model: str = "",
        stream: bool = False,
        max_tokens: int | None = None,
    ) -> None:
        """`model` and `stream` where the path says them, else they are the body's; `read` makes the neutral request.

        `read` takes body, model and stream. Raises Refusal where no model is named, or a key that decides comes twice.
        """
        self.dialect = dialect
        self.operation = operation
        self.body = body
        self.fields = fields
        self.model = model or fields.model or ""
        self.stream = stream or (not model and fields.stream is True)
        self.max_tokens = max_tokens
        self._read = read
        self._base: bytes | None = None
        self._neutral: Request | None = None
        if not self.model:
            raise invalid_request("The field 'model' is missing.", param="model", code="missing_required_parameter")
        if len(self.model) > MODEL_NAME:
            raise invalid_request(f"'model' is longer than {MODEL_NAME} characters.", param="model")
        if may_repeat(body, _DECIDING):
            try:
                layout(body)
            except WireError as error:
                raise twice(error) from None

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

    def upstream_body(self, model: str) -> bytes:
        """The caller's bytes without the gateway's own members, and with the upstream's name of the model."""
        try:
            base = self._base
            if base is None:
                base = self._base = self._prepared()
            name = self.fields.model
            if name is None or name == model:
                return base
            return replace(base, find_value(base, "model", _encode(name)), _encode(model))
        except WireError as error:
            raise twice(error) from None

    def streamed(self) -> Self:
        """The same request for an answer that streams; raises Refusal when the caller's object has a key twice."""
        found = copy(self)
        found.stream = True
        try:
            if self.has_stream_in_body:
                found.body = set_members(self.body, b'"stream":true', ("stream",))
        except WireError as error:
            raise twice(error) from None
        found._base = found._neutral = None  # noqa: SLF001 - what was made of the body before
        return found

    def _prepared(self) -> bytes:
        fields = self.fields
        if fields.models or fields.provider or fields.route or fields.has_session:
            return without_members(self.body, GATEWAY_FIELDS)
        return self.body

    def neutral(self) -> Request:
        """The request in the neutral form; raises Refusal (400) that names the field which is wrong."""
        if self._neutral is None:
            self._neutral = self._read(self.body, self.model, self.stream)
        return self._neutral


def decode_body(decode: Callable[[bytes], _T], body: bytes) -> _T:
    """A body by a typed decoder; raises Refusal (400) for invalid UTF-8 or JSON, or a wrong type with its place."""
    if not body.isascii():
        try:
            str(body, "utf-8")
        except UnicodeDecodeError as error:
            raise invalid_request(f"The body is not valid UTF-8 (byte {error.start}).") from None
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise wrong_type(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid_request(f"The body is not valid JSON: {error}.") from None


def with_model(body: bytes, model: str) -> bytes:
    """A body with the model that its path names in place of its own; unchanged where it is none that can be served."""
    try:
        return set_members(body, b'"model":' + _encode(model), ("model",))
    except (WireError, ValueError):
        return body


def twice(error: WireError) -> Refusal:
    """400 for a body of which two readers could make different things."""
    return invalid_request(f"The body cannot be read in one way only: {error}.", code="duplicate_key")


def wrong_type(message: str) -> Refusal:
    """400 for what msgspec says of a value, with its place as `param`."""
    place = _PLACE.search(message)
    param = place.group(1) if place else None
    text = _PLACE.sub("", message).rstrip(".")
    if "missing required field" in text:
        name = text.rsplit("`", 2)[1]
        return invalid_request(f"The field '{name}' is missing.", param=name, code="missing_required_parameter")
    where = f" in '{param}'" if param else ""
    return invalid_request(f"{text}{where}.", param=param or None, code="invalid_type")
