"""Side requests: what is read of a body or a form, and what of it goes upstream."""

from __future__ import annotations

import json
import mmap
import tempfile
from typing import Any

import msgspec
import pytest

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.side.request import (
    DEFAULT_MODELS,
    FORMS,
    PATHS,
    REQUIRED,
    FormRequest,
    parse,
    searches_made,
    spoken_characters,
)
from tokenway.model.catalog import PICTURES, Dialect, Operation
from tokenway.model.errors import Problem, Refusal
from tokenway.wire.limits import MODEL_NAME

BODIES: dict[Operation, dict[str, Any]] = {
    Operation.MODERATION: {"input": "x"},
    Operation.IMAGE: {"prompt": "x"},
    Operation.SPEECH: {"input": "x", "voice": "alloy"},
    Operation.RERANK: {"query": "x", "documents": ["y"]},
}
"""A body of each operation without its model."""
TYPE = b"multipart/form-data; boundary=XX"
FILE = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
END = b"--XX--\r\n"


def part(name: str, text: str) -> bytes:
    """A field of a form."""
    return f'--XX\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()


def body_of(operation: Operation, **more: Any) -> bytes:
    """A body for the model `m`, unless `more` says another."""
    return msgspec.json.encode({"model": "m"} | BODIES[operation] | more)


def refused(operation: Operation, body: bytes) -> Problem:
    """Why a body is refused."""
    with pytest.raises(Refusal) as caught:
        parse(operation, body, "")
    return caught.value.problem


def form(
    *fields: bytes, operation: Operation = Operation.TRANSCRIPTION, path_model: str = "", content_type: bytes = TYPE
) -> FormRequest:
    """A form of these parts."""
    return FormRequest(operation, b"".join(fields) + END, content_type, path_model)


def refused_form(*fields: bytes, operation: Operation = Operation.TRANSCRIPTION) -> Problem:
    """Why a form is refused."""
    with pytest.raises(Refusal) as caught:
        form(*fields, operation=operation)
    return caught.value.problem


def sent(request: FormRequest, model: str) -> bytes:
    """The form as it goes to an endpoint that calls the model so."""
    return b"".join(request.upstream_body(model))


def test_every_side_operation_has_a_path_and_a_kind_of_body() -> None:
    """A form, or JSON with something that it must have."""
    assert set(PATHS) == FORMS | set(REQUIRED)


# -- JSON --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", list(BODIES))
def test_a_body_says_its_model(operation: Operation) -> None:
    """And is passed as it came."""
    body = body_of(operation)
    request: CallerRequest = parse(operation, body, "")
    assert (request.dialect, request.operation, request.model) == (Dialect.OPENAI_CHAT, operation, "m")
    assert (request.body, request.size, request.choices, request.answers) == (body, len(body), 1, 1)
    assert request.upstream_body("m") == body
    assert msgspec.json.decode(bytes(request.upstream_body("n"))) == {"model": "n"} | BODIES[operation]  # type: ignore[arg-type]


@pytest.mark.parametrize(("operation", "names"), list(REQUIRED.items()))
@pytest.mark.parametrize("value", [msgspec.UNSET, None])
def test_what_must_be_there_is_missed(operation: Operation, names: tuple[str, ...], value: Any) -> None:
    """Absent or null."""
    for name in names:
        fields = {key: each for key, each in BODIES[operation].items() if key != name}
        given = {"model": "m"} | fields | ({} if value is msgspec.UNSET else {name: value})
        problem = refused(operation, msgspec.json.encode(given))
        assert (problem.status, problem.param, problem.code) == (400, name, "missing_required_parameter")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),
        (b"[]", "invalid_type"),
        (b'{"model":"m","input":"\xff"}', None),
        (b'{"model":1,"input":"x"}', "invalid_type"),
        (b'{"input":"x","model":"a","model":"b"}', "duplicate_key"),
        (b'{"model":"' + b"m" * (MODEL_NAME + 1) + b'","input":"x"}', None),
    ],
)
def test_a_body_that_cannot_be_served_is_refused(body: bytes, code: str | None) -> None:
    """With status 400."""
    problem = refused(Operation.MODERATION, body)
    assert (problem.status, problem.code) == (400, code)


@pytest.mark.parametrize("operation", [Operation.IMAGE, Operation.SPEECH, Operation.RERANK])
def test_most_operations_need_a_model(operation: Operation) -> None:
    """OpenAI's API has a default for moderations alone, of those with JSON bodies."""
    assert refused(operation, msgspec.json.encode(BODIES[operation])).param == "model"


@pytest.mark.parametrize("body", [b'{"input":"x"}', b'{"input":"x","model":null}', b'{"input":"x","model":""}'])
def test_a_default_model_is_named_upstream(body: bytes) -> None:
    """The endpoint that serves it may call it otherwise."""
    request = parse(Operation.MODERATION, body, "")
    assert request.model == DEFAULT_MODELS[Operation.MODERATION] == "omni-moderation-latest"
    assert msgspec.json.decode(request.upstream_body("omni-x")) == {"input": "x", "model": "omni-x"}


@pytest.mark.parametrize("body", [b'{"input":"x"}', b'{"input":"x","model":"other"}'])
def test_a_model_in_the_path_takes_the_place_of_the_bodys(body: bytes) -> None:
    """Azure's deployments: what is priced is what is asked for."""
    request = parse(Operation.MODERATION, body, "deployed")
    assert request.model == "deployed"
    assert msgspec.json.decode(request.upstream_body("deployed")) == {"input": "x", "model": "deployed"}
    assert msgspec.json.decode(request.upstream_body("own")) == {"input": "x", "model": "own"}


@pytest.mark.parametrize(
    ("fields", "look"),
    [
        ({}, ("", "")),
        ({"size": "1024x1792", "quality": "hd"}, ("1024x1792", "hd")),
        ({"size": None, "quality": "hd"}, ("", "hd")),
    ],
)
def test_how_an_image_is_to_look_decides_its_price(fields: dict[str, Any], look: tuple[str, str]) -> None:
    """In a body and in a form; nothing else is to look like anything."""
    assert parse(Operation.IMAGE, body_of(Operation.IMAGE, **fields), "").look == look
    written = [part(name, value) for name, value in fields.items() if value is not None]
    for operation in FORMS:
        request = form(part("model", "m"), *written, FILE, operation=operation)
        assert request.look == (look if operation in PICTURES else None)
    assert parse(Operation.SPEECH, body_of(Operation.SPEECH, **fields), "").look is None


@pytest.mark.parametrize(
    ("operation", "twice"),
    [
        (Operation.IMAGE, '"quality":"standard","quality":"hd"'),
        (Operation.IMAGE, '"size":"1024x1024","s\\u0069ze":"1024x1792"'),
        (Operation.IMAGE, '"n":1,"n":10'),
        (Operation.SPEECH, '"input":"hello"'),
        (Operation.RERANK, '"documents":[]'),
    ],
)
def test_what_decides_the_price_comes_once(operation: Operation, twice: str) -> None:
    """Two readers could make different things of it."""
    body = body_of(operation)[:-1] + b"," + twice.encode() + b"}"
    assert refused(operation, body).code == "duplicate_key"
    nested = body_of(operation, extra={"input": 1, "size": {"size": 2}, "n": 1, "quality": {"quality": "x"}})
    assert parse(operation, nested, "").model == "m"


@pytest.mark.parametrize(
    ("text", "many"), [("Hello.", 6), ("héllo\n", 6), ("\U0001f600", 1), ("", 0), (["a"], 0), (7, 0)]
)
def test_characters_are_those_of_the_text(text: object, many: int) -> None:
    """Not its bytes, nor those of its escapes; what is no text is the provider's to refuse."""
    plain = parse(Operation.SPEECH, body_of(Operation.SPEECH, input=text), "")
    assert spoken_characters(plain) == many
    if isinstance(text, str):
        escaped = json.dumps({"model": "m", "input": text}, ensure_ascii=True).encode()
        assert spoken_characters(parse(Operation.SPEECH, escaped, "")) == many


def test_only_speech_is_spoken() -> None:
    """Other inputs are not read aloud."""
    assert spoken_characters(parse(Operation.MODERATION, body_of(Operation.MODERATION), "")) == 0
    assert spoken_characters(form(part("model", "m"), FILE)) == 0


@pytest.mark.parametrize(
    ("query", "documents", "most"),
    [
        ("q", ["d"] * 10, 1),
        ("q", ["d"] * 100, 1),
        ("q", ["d"] * 250, 3),
        ("q", ["d" * 49_700], 2),
        ("q" * 600, ["d" * 1_000], 11),
        ("q", "no list", 1),
    ],
)
def test_a_ranking_takes_so_many_searches_at_most(query: str, documents: object, most: int) -> None:
    """A hundred documents each, long ones in pieces of 500 tokens with the query; a token is at least a byte."""
    raw = [msgspec.Raw(msgspec.json.encode(each)) for each in (query, documents)]
    assert searches_made(*raw) == most
    assert parse(Operation.RERANK, body_of(Operation.RERANK, query=query, documents=documents), "").answers == most


@pytest.mark.parametrize(
    ("operation", "fields", "stream", "stream_type"),
    [
        (Operation.IMAGE, {}, False, b"text/event-stream; charset=utf-8"),
        (Operation.IMAGE, {"stream": True}, True, b"text/event-stream; charset=utf-8"),
        (Operation.IMAGE, {"stream": False}, False, b"text/event-stream; charset=utf-8"),
        (Operation.SPEECH, {}, True, b""),
        (Operation.SPEECH, {"stream_format": "audio"}, True, b""),
        (Operation.SPEECH, {"stream_format": "sse"}, True, b"text/event-stream; charset=utf-8"),
    ],
)
def test_what_streams_as_what(operation: Operation, fields: dict[str, Any], stream: bool, stream_type: bytes) -> None:
    """Sound is forwarded as it comes, in the provider's own type unless events are asked for."""
    request = parse(operation, body_of(operation, **fields), "")
    assert (request.stream, request.stream_type) == (stream, stream_type)


@pytest.mark.parametrize(
    ("operation", "tokens"),
    [(Operation.MODERATION, 0), (Operation.RERANK, 0), (Operation.IMAGE, None), (Operation.SPEECH, None)],
)
def test_what_can_come_out(operation: Operation, tokens: int | None) -> None:
    """Judgements and ranks have no output tokens; images and sound have no limit in their request."""
    assert parse(operation, body_of(operation), "").max_tokens == tokens


@pytest.mark.parametrize(
    ("count", "answers"), [(1, 1), (10, 10), (0, 1), (-5, 1), (None, 1), (True, 1), ("3", 1), (2.5, 1)]
)
def test_several_images_are_several_answers(count: object, answers: int) -> None:
    """Money is set aside for each; a count that is none is the provider's to refuse."""
    request = parse(Operation.IMAGE, body_of(Operation.IMAGE, n=count), "")
    assert (request.answers, request.choices) == (answers, 1)


def test_a_count_means_nothing_elsewhere() -> None:
    """Only images are made several at a time."""
    assert parse(Operation.MODERATION, body_of(Operation.MODERATION, n=7), "").answers == 1


def test_the_gateways_own_members_stay_here() -> None:
    """Preferences and fallbacks are read, and not sent."""
    request = parse(Operation.RERANK, body_of(Operation.RERANK, models=["b"], provider={"only": ["p"]}), "")
    assert request.models == ["b"]
    assert request.preferences is not None
    assert request.preferences.only == ["p"]
    assert request.upstream_body("m") == body_of(Operation.RERANK)


def test_no_other_dialect_has_them() -> None:
    """A neutral form is refused, with the model as the reason."""
    for request in (parse(Operation.RERANK, body_of(Operation.RERANK), ""), form(FILE, part("model", "m"))):
        with pytest.raises(Refusal) as caught:
            request.neutral()
        assert (caught.value.problem.status, caught.value.problem.code) == (400, "wrong_endpoint")


# -- forms -------------------------------------------------------------------------------------------------


def test_a_form_says_its_model() -> None:
    """Wherever its field stands; everything else is passed as it came."""
    request: CallerRequest = form(FILE, part("model", "whisper-1"), part("language", "de"))
    assert (request.dialect, request.operation, request.model) == (
        Dialect.OPENAI_CHAT,
        Operation.TRANSCRIPTION,
        "whisper-1",
    )
    assert (request.stream, request.choices, request.answers, request.max_tokens) == (False, 1, 1, None)
    assert isinstance(request, FormRequest)
    assert sent(request, "whisper-1") == FILE + part("model", "whisper-1") + part("language", "de") + END
    assert sent(request, "w2") == FILE + part("model", "w2") + part("language", "de") + END


def test_a_form_is_not_copied() -> None:
    """The pieces are views of what came."""
    content = FILE + part("model", "m") + END
    views = FormRequest(Operation.TRANSCRIPTION, content, TYPE).upstream_body("n")
    assert [view.obj for view in views if isinstance(view, memoryview)] == [content, content]


def test_a_mapped_form_is_read_like_memory() -> None:
    """A large one is in a file."""
    content = FILE + part("model", "m") + END
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    request = FormRequest(Operation.TRANSCRIPTION, mapped, TYPE)
    assert request.model == "m"
    assert sent(request, "n") == FILE + part("model", "n") + END
    assert request.size == 1


@pytest.mark.parametrize(
    ("text", "stream"), [("true", True), ("True", True), ("1", True), ("false", False), ("0", False), ("", False)]
)
def test_a_form_may_ask_for_a_stream(text: str, stream: bool) -> None:
    """By the words that form libraries write."""
    assert form(FILE, part("model", "m"), part("stream", text)).stream is stream


@pytest.mark.parametrize(
    ("text", "answers"), [("4", 4), ("0", 1), ("", 1), ("-2", 1), ("x", 1), ("\u0664", 1), ("9" * 100, 1)]
)
def test_a_form_may_ask_for_several_images(text: str, answers: int) -> None:
    """Money is set aside for each; a count that is none is the provider's to refuse."""
    fields = (FILE, part("model", "m"), part("n", text))
    assert form(*fields, operation=Operation.IMAGE_EDIT).answers == answers


@pytest.mark.parametrize("field", ["model", "stream", "n"])
def test_a_field_that_decides_comes_once(field: str) -> None:
    """The provider could take the other one, which nobody has priced."""
    problem = refused_form(FILE, part("model", "m"), part(field, "a"), part(field, "b"))
    assert (problem.status, problem.code) == (400, "invalid_form")
    assert f"'{field}' comes twice" in problem.message


def test_a_model_that_is_a_file_is_refused() -> None:
    """What is read as its name must be what the provider reads."""
    as_file = FILE.replace(b'"file"', b'"model"')
    assert refused_form(FILE, as_file).code == "invalid_form"


@pytest.mark.parametrize("content_type", [b"", b"application/json", b"multipart/form-data"])
def test_a_form_needs_its_boundary(content_type: bytes) -> None:
    """Nothing of it can be read without."""
    with pytest.raises(Refusal) as caught:
        form(FILE, part("model", "m"), content_type=content_type)
    assert caught.value.problem.code == "invalid_form"


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (Operation.TRANSCRIPTION, "file"),
        (Operation.TRANSLATION, "file"),
        (Operation.IMAGE_EDIT, "image"),
        (Operation.IMAGE_VARIATION, "image"),
    ],
)
def test_a_form_needs_its_file(operation: Operation, name: str) -> None:
    """The refusal says under which name."""
    problem = refused_form(part("model", "m"), operation=operation)
    assert (problem.param, problem.code) == (name, "missing_required_parameter")


@pytest.mark.parametrize("operation", [Operation.TRANSCRIPTION, Operation.TRANSLATION, Operation.IMAGE_EDIT])
def test_a_form_needs_its_model(operation: Operation) -> None:
    """An empty one is none."""
    for fields in ((FILE,), (FILE, part("model", ""))):
        assert refused_form(*fields, operation=operation).param == "model"


@pytest.mark.parametrize("model", ["m" * (MODEL_NAME + 1), "m\r\n--XX", "m\0", "m\u2028"])
def test_a_name_that_cannot_be_a_models_is_refused(model: str) -> None:
    """Too long, or with characters that would end its line."""
    with pytest.raises(Refusal) as caught:
        form(FILE, path_model=model)
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "model")


def test_a_default_model_is_named_upstream_in_a_form() -> None:
    """In a part before the others, behind what precedes the form."""
    request = FormRequest(Operation.IMAGE_VARIATION, b"preamble\r\n" + FILE + END, TYPE)
    assert request.model == DEFAULT_MODELS[Operation.IMAGE_VARIATION] == "dall-e-2"
    assert sent(request, "d2") == b"preamble\r\n" + part("model", "d2") + FILE + END


def test_a_model_in_the_path_takes_the_place_of_the_forms() -> None:
    """Azure's deployments: what is priced is what is asked for."""
    request = form(FILE, part("model", "dear"), path_model="cheap")
    assert request.model == "cheap"
    assert sent(request, "cheap") == FILE + part("model", "cheap") + END
    assert sent(form(FILE, path_model="cheap"), "cheap") == part("model", "cheap") + FILE + END


def test_a_form_is_as_many_tokens_as_its_text_and_its_sound_can_be() -> None:
    """A token takes a byte of text, and 64 bytes of sound, at least."""
    sound = FILE.replace(b"RIFF", b"\0" * 6400)
    request = form(sound, part("model", "m"), part("prompt", "x" * 1000), part("language", "de"))
    assert request.size == 100 + 1 + 1000 + 2
