"""Requests of the side endpoints: JSON bodies, and forms with files that are passed on without being held.

What is read is the model's name, whether the answer streams, and what is billed by the piece; the rest is the
provider's affair.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import NO_FIELDS, CallerRequest
from tokenway.dialects.inbound import EVENTS, Inbound, InboundFields, decode_body, twice, with_model
from tokenway.model.catalog import HEARING, PICTURES, Dialect, Operation
from tokenway.model.errors import WireError, invalid_request
from tokenway.model.preferences import Preferences
from tokenway.model.request import Request
from tokenway.wire.limits import MODEL_NAME
from tokenway.wire.multipart import Body, boundary_of, field, parts_of
from tokenway.wire.splice import keys_pattern, layout, may_repeat

PATHS: Final[dict[Operation, str]] = {
    Operation.MODERATION: "/moderations",
    Operation.IMAGE: "/images/generations",
    Operation.IMAGE_EDIT: "/images/edits",
    Operation.IMAGE_VARIATION: "/images/variations",
    Operation.SPEECH: "/audio/speech",
    Operation.TRANSCRIPTION: "/audio/transcriptions",
    Operation.TRANSLATION: "/audio/translations",
    Operation.RERANK: "/rerank",
}
"""What is added to a provider's base URL."""

FORMS: Final = frozenset(
    {Operation.IMAGE_EDIT, Operation.IMAGE_VARIATION, Operation.TRANSCRIPTION, Operation.TRANSLATION}
)
"""Operations whose requests are forms with files."""

DEFAULT_MODELS: Final[dict[Operation, str]] = {
    Operation.MODERATION: "omni-moderation-latest",
    Operation.IMAGE_VARIATION: "dall-e-2",
}
"""What OpenAI's API takes where the caller names no model."""

REQUIRED: Final[dict[Operation, tuple[str, ...]]] = {
    Operation.MODERATION: ("input",),
    Operation.IMAGE: ("prompt",),
    Operation.SPEECH: ("input",),
    Operation.RERANK: ("query", "documents"),
}

AUDIO_BYTES_PER_TOKEN: Final = 64
"""A second of speech is ten tokens and, at the lowest rate of any codec in use, a thousand bytes."""

RANKED_TOGETHER: Final = 100
RANKED_TOKENS: Final = 500
"""How many documents Cohere ranks in one search, and how long one of them is at most, with the query."""

_COUNTED: Final = keys_pattern("input", "n", "size", "quality", "query", "documents")
_ABSENT: Final = msgspec.Raw()
_NOTHING: Final = (_ABSENT, msgspec.Raw(b"null"))


class SideFields(InboundFields):
    """What is read of a JSON body."""

    input: msgspec.Raw = _ABSENT
    prompt: msgspec.Raw = _ABSENT
    query: msgspec.Raw = _ABSENT
    documents: msgspec.Raw = _ABSENT
    stream_format: Any = None
    n: Any = None
    size: Any = None
    quality: Any = None


_decode: Final = msgspec.json.Decoder(SideFields).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


class SideRequest(Inbound):
    """A side request with a JSON body."""

    __slots__ = ("answers", "look", "stream_type")

    fields: SideFields


def _no_neutral(_body: bytes, _model: str, _stream: bool) -> Request:  # noqa: FBT001 - the shape of a reader
    raise invalid_request("No endpoint of this model has this operation.", param="model", code="wrong_endpoint")


def images_made(count: Any) -> int:
    """How many images are made; what is no number is the provider's to refuse."""
    return max(1, count) if isinstance(count, int) and not isinstance(count, bool) else 1


def searches_made(query: msgspec.Raw, documents: msgspec.Raw) -> int:
    """How many searches a ranking is at most, as Cohere bills it: a query with up to a hundred documents is one.

    A document that has more than 500 tokens together with the query is as many as it takes, and a token is at least a
    byte. What is no list is the provider's to refuse.
    """
    try:
        many = len(_decode_list(documents))
    except (msgspec.DecodeError, RecursionError):
        return 1
    pieces = many + len(documents) // max(1, RANKED_TOKENS - len(query))
    return max(1, -(-pieces // RANKED_TOGETHER))


def spoken_characters(request: CallerRequest) -> int:
    """How many characters are to be spoken; zero where nothing is, or where it is the provider's to refuse."""
    if request.operation is not Operation.SPEECH or not isinstance(request, SideRequest):
        return 0
    try:
        return len(_decode_text(request.fields.input))
    except (msgspec.DecodeError, RecursionError):
        return 0


def parse(operation: Operation, body: bytes, path_model: str) -> SideRequest:
    """A JSON body to a request; raises Refusal (400) as `inbound.decode_body`, or where something is missing."""
    fields = decode_body(_decode, body)
    named = path_model or ("" if fields.model else DEFAULT_MODELS.get(operation, ""))
    if named:
        body = with_model(body, named)
        fields = decode_body(_decode, body)
    if may_repeat(body, _COUNTED):
        try:
            layout(body)
        except WireError as error:
            raise twice(error) from None
    for name in REQUIRED.get(operation, ()):
        if getattr(fields, name) in _NOTHING:
            raise invalid_request(f"The field '{name}' is missing.", param=name, code="missing_required_parameter")
    is_sound = operation is Operation.SPEECH
    request = SideRequest(
        Dialect.OPENAI_CHAT,
        operation,
        body,
        fields,
        _no_neutral,
        stream=fields.stream is True or is_sound,
        max_tokens=0 if operation in {Operation.MODERATION, Operation.RERANK} else None,
    )
    request.answers, request.look = 1, None
    if operation is Operation.RERANK:
        request.answers = searches_made(fields.query, fields.documents)
    if operation in PICTURES:
        request.answers = images_made(fields.n)
        request.look = (str(fields.size or ""), str(fields.quality or ""))
    request.stream_type = b"" if is_sound and fields.stream_format != "sse" else EVENTS
    return request


class FormRequest:
    """A side request that is a form; see `dialects.base.CallerRequest`. `content_type` has the form's boundary."""

    dialect = Dialect.OPENAI_CHAT
    asks_usage = True
    choices = 1
    body = b""
    chain = ""
    fields = NO_FIELDS
    models: tuple[str, ...] = ()
    preferences: Preferences | None = None
    stream_type = EVENTS
    max_tokens: int | None = None

    def __init__(self, operation: Operation, content: Body, content_type: bytes, path_model: str = "") -> None:
        """Raises Refusal (400) for a form that is broken or lacks its model or file."""
        self.operation = operation
        self.content_type = content_type
        self._content = content
        try:
            self._boundary = boundary_of(content_type)
            parts = parts_of(content, self._boundary)
            self._named = field(content, parts, "model")
            self.stream = (field(content, parts, "stream") or "").lower() in {"true", "1"}
            count = field(content, parts, "n") or ""
            look = (field(content, parts, "size") or "", field(content, parts, "quality") or "")
        except WireError as error:
            raise invalid_request(f"The form cannot be read: {error}.", code="invalid_form") from None
        self.answers = images_made(int(count)) if count.isascii() and count.isdigit() and len(count) < 10 else 1
        self.look = look if operation in PICTURES else None
        self.size = sum((each.end - each.start) // (AUDIO_BYTES_PER_TOKEN if each.is_file else 1) for each in parts)
        """The most prompt tokens that it can be."""
        self._span = next(((each.start, each.end) for each in parts if each.name == "model"), None)
        self.model = path_model or self._named or DEFAULT_MODELS.get(operation, "")
        if not self.model:
            raise invalid_request("The field 'model' is missing.", param="model", code="missing_required_parameter")
        if len(self.model) > MODEL_NAME:
            raise invalid_request(f"'model' is longer than {MODEL_NAME} characters.", param="model")
        if not self.model.isprintable():
            raise invalid_request("'model' holds characters that no name has.", param="model")
        if not any(each.is_file for each in parts):
            name = "file" if operation in HEARING else "image"
            raise invalid_request(f"The file '{name}' is missing.", param=name, code="missing_required_parameter")

    def upstream_body(self, model: str) -> list[bytes | memoryview]:
        """The form with the upstream's name of the model, in pieces that are not copied."""
        whole = memoryview(self._content)  # type: ignore[arg-type]  # bytes or a mapped file
        if self._named == model:
            return [whole]
        if self._span is not None:
            start, end = self._span
            return [whole[:start], model.encode(), whole[end:]]
        start = self._content.find(b"--" + self._boundary)
        head = b'--%b\r\ncontent-disposition: form-data; name="model"\r\n\r\n' % self._boundary
        return [whole[:start], b"%b%b\r\n" % (head, model.encode()), whole[start:]]

    def neutral(self) -> Request:
        """No other dialect has it."""
        return _no_neutral(b"", "", False)
