"""Embeddings between OpenAI's form and Google's, in each direction."""

from __future__ import annotations

import base64
import struct

import msgspec
import pytest

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.embeddings import SPEAKERS, translate, write_request
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Refusal, WireError
from tokenway.model.usage import UNMETERED, Metered, Usage

OPENAI_BODY = b'{"model":"m","input":["a","b"],"dimensions":3,"user":"u"}'
GEMINI_BODY = (
    b'{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"},'
    b'{"model":"models/m","content":{"parts":[{"text":"b"}]}}]}'
)
OPENAI_ANSWER = (
    b'{"object":"list","model":"x","data":[{"object":"embedding","index":0,"embedding":[0.5,1.0]},'
    b'{"object":"embedding","index":1,"embedding":[0.25,0.0]}],"usage":{"prompt_tokens":2,"total_tokens":2}}'
)
GEMINI_ANSWER = b'{"embeddings":[{"values":[0.5,1.0]},{"values":[0.25,0.0]}]}'


def asked(dialect: Dialect, body: bytes, operation: Operation = Operation.EMBEDDING) -> CallerRequest:
    """A caller's request."""
    return FORMATS[dialect].parse(operation, body, "m" if dialect is Dialect.GEMINI else "", False)


def test_two_dialects_have_embeddings() -> None:
    """For any two of them there is a conversion each way."""
    assert {Dialect.OPENAI_CHAT, Dialect.GEMINI} == SPEAKERS


def test_a_request_from_openai_to_google() -> None:
    """Each text is a request of its own; who asks is not told, and declared."""
    written = write_request(asked(Dialect.OPENAI_CHAT, OPENAI_BODY), Dialect.GEMINI, "e-1")
    one, two = msgspec.json.decode(written.body)["requests"]
    assert one == {"model": "models/e-1", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3}
    assert two["content"] == {"parts": [{"text": "b"}]}
    assert written.dropped == ("user",)


def test_a_request_from_google_to_openai() -> None:
    """The texts become a list; what they are for is not told, and declared."""
    written = write_request(asked(Dialect.GEMINI, GEMINI_BODY), Dialect.OPENAI_CHAT, "e-1")
    assert msgspec.json.decode(written.body) == {
        "model": "e-1",
        "input": ["a", "b"],
        "encoding_format": "float",
    }
    assert written.dropped == ("taskType",)


def test_what_the_other_has_no_form_for_is_refused() -> None:
    """Token ids belong to one model."""
    with pytest.raises(Refusal) as caught:
        write_request(asked(Dialect.OPENAI_CHAT, b'{"model":"m","input":[[1,2]]}'), Dialect.GEMINI, "e-1")
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "input[0]")


def test_an_answer_from_google_to_openai() -> None:
    """Under the name that the caller asked for; no usage is made up."""
    answer, body = translate(asked(Dialect.OPENAI_CHAT, OPENAI_BODY), Dialect.GEMINI, GEMINI_ANSWER)
    shown = msgspec.json.decode(body)
    assert answer.metered == UNMETERED
    assert (shown["object"], shown["model"]) == ("list", "m")
    assert [(each["index"], each["embedding"]) for each in shown["data"]] == [(0, [0.5, 1.0]), (1, [0.25, 0.0])]


def test_an_answer_from_google_to_openai_in_base64() -> None:
    """As the official client asks for it: 32-bit floats, the least byte first."""
    body = b'{"model":"m","input":"a","encoding_format":"base64"}'
    _, written = translate(asked(Dialect.OPENAI_CHAT, body), Dialect.GEMINI, b'{"embeddings":[{"values":[0.5,1]}]}')
    assert base64.b64decode(msgspec.json.decode(written)["data"][0]["embedding"]) == struct.pack("<2f", 0.5, 1.0)


def test_an_answer_from_openai_to_google() -> None:
    """With what was counted."""
    answer, body = translate(asked(Dialect.GEMINI, GEMINI_BODY), Dialect.OPENAI_CHAT, OPENAI_ANSWER)
    assert answer.metered == Metered(given=True, usage=Usage(input_uncached=2))
    assert [each["values"] for each in msgspec.json.decode(body)["embeddings"]] == [[0.5, 1.0], [0.25, 0.0]]


def test_an_answer_for_one_content_is_one_vector() -> None:
    """`embedContent` has no list."""
    request = asked(Dialect.GEMINI, b'{"content":{"parts":[{"text":"a"}]}}', Operation.EMBED_CONTENT)
    one = b'{"data":[{"index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":1,"total_tokens":1}}'
    _, body = translate(request, Dialect.OPENAI_CHAT, one)
    assert msgspec.json.decode(body)["embedding"]["values"] == [0.5]


@pytest.mark.parametrize(
    ("caller", "body"),
    [
        (Dialect.OPENAI_CHAT, b"{}"),
        (Dialect.OPENAI_CHAT, b"<html>"),
        (Dialect.GEMINI, b"{}"),
        (Dialect.GEMINI, b'{"data":[{"embedding":"x"}]}'),
    ],
)
def test_what_is_no_answer(caller: Dialect, body: bytes) -> None:
    """Of either dialect."""
    [upstream] = SPEAKERS - {caller}
    request = asked(caller, OPENAI_BODY if caller is Dialect.OPENAI_CHAT else GEMINI_BODY)
    with pytest.raises(WireError):
        translate(request, upstream, body)
