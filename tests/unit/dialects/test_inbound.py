"""A caller's request: what is read of it, and that its bytes go upstream as they came."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.inbound import Inbound, InboundFields, decode_body, twice, with_model, wrong_type
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import Problem, Refusal, WireError
from tokenway.model.request import Request
from tokenway.wire.limits import MODEL_NAME


class Fields(InboundFields):
    """What an imagined dialect reads."""

    max_tokens: int | None = None
    tools: list[dict[str, int]] | None = None


decode = msgspec.json.Decoder(Fields).decode


def neutral(body: bytes, model: str, stream: bool) -> Request:
    """The reader of that dialect."""
    return Request(model, (), stream, user=str(len(body)))


def request(body: bytes, model: str = "", *, stream: bool = False) -> Inbound:
    """A request of it; `model` and `stream` are the path's."""
    fields = decode_body(decode, body)
    return Inbound(Dialect.ANTHROPIC, Operation.CHAT, body, fields, neutral, model=model, stream=stream)


def refused(body: bytes, model: str = "") -> Problem:
    """Why it is refused."""
    with pytest.raises(Refusal) as caught:
        request(body, model)
    assert caught.value.problem.status == 400
    return caught.value.problem


def test_a_body_says_its_model_and_whether_it_streams() -> None:
    """What a caller request has, whatever its dialect."""
    body = b'{"model":"m","stream":true}'
    made: CallerRequest = request(body)
    assert (made.dialect, made.operation, made.body, made.size) == (Dialect.ANTHROPIC, Operation.CHAT, body, 27)
    assert (made.model, made.stream, made.asks_usage, made.choices, made.answers) == ("m", True, True, 1, 1)
    assert (made.max_tokens, made.models, made.preferences) == (None, [], None)
    assert made.stream_type == b"text/event-stream; charset=utf-8"


def test_a_path_says_them_in_place_of_the_body() -> None:
    """Gemini and Bedrock have neither in the body; what stands there means nothing."""
    made = request(b'{"stream":true}', "m", stream=False)
    assert (made.model, made.stream) == ("m", False)
    assert request(b'{"model":"other"}', "m", stream=True).model == "m"


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":""}'])
def test_a_model_must_be_named(body: bytes) -> None:
    """In the body or the path."""
    problem = refused(body)
    assert (problem.param, problem.code) == ("model", "missing_required_parameter")


def test_a_models_name_has_a_bound() -> None:
    """The longest that is taken, and one more."""
    assert request(b"{}", "m" * MODEL_NAME).model == "m" * MODEL_NAME
    assert refused(b"{}", "m" * (MODEL_NAME + 1)).param == "model"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":"a","stream":false,"stream":true}',
        b'{"model":"a","max_tokens":1,"max_tokens":2}',
        b'{"model":"a","max_output_tokens":1,"max_output_tokens":2}',
    ],
)
def test_a_key_that_decides_comes_once(body: bytes) -> None:
    """Two readers could take two values; one of them would not be paid for."""
    assert refused(body).code == "duplicate_key"


def test_a_key_may_come_again_inside() -> None:
    """In another object it is another key."""
    assert request(b'{"model":"a","metadata":{"model":"b","model":"c"}}').model == "a"


# -- bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (b'{"model":"\xe4"}', "The body is not valid UTF-8 (byte 10).", None, None),
        (b'{"model":1}', "Expected `str | null`, got `int` in 'model'.", "model", "invalid_type"),
        (
            b'{"tools":[{"a":1},{"a":"x"}]}',
            "Expected `int`, got `str` in 'tools[1][...]'.",
            "tools[1][...]",
            "invalid_type",
        ),
        (b"[]", "Expected `object`, got `array`.", None, "invalid_type"),
        (
            b'{"provider":{"only":"p"}}',
            "Expected `array | null`, got `str` in 'provider.only'.",
            "provider.only",
            "invalid_type",
        ),
    ],
)
def test_a_body_of_a_wrong_type_is_refused_at_its_place(
    body: bytes, message: str, param: str | None, code: str | None
) -> None:
    """In words, with the field that is wrong."""
    problem = refused(body)
    assert (problem.message, problem.param, problem.code) == (message, param, code)


@pytest.mark.parametrize("body", [b"", b"{", b"{}}", b"nul", b'{"route":' + b"[" * 100_000, b"{'model':'m'}"])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    """In words, however deep it is nested."""
    assert refused(body).message.startswith("The body is not valid JSON")


def test_a_missing_field_is_called_so() -> None:
    """As OpenAI's API calls it."""

    class Needs(msgspec.Struct):
        name: str

    with pytest.raises(Refusal) as caught:
        decode_body(msgspec.json.Decoder(Needs).decode, b"{}")
    problem = caught.value.problem
    assert (problem.message, problem.param) == ("The field 'name' is missing.", "name")
    assert problem.code == "missing_required_parameter"


def test_a_message_without_a_place_has_no_param() -> None:
    """And keeps its words."""
    problem = wrong_type("Expected `int`, got `str`").problem
    assert (problem.message, problem.param) == ("Expected `int`, got `str`.", None)


def test_a_body_with_two_meanings_is_told_so() -> None:
    """With the reason, as a client error."""
    problem = twice(WireError("the object has a key twice")).problem
    assert (problem.status, problem.code) == (400, "duplicate_key")
    assert "the object has a key twice" in problem.message


# -- upstream ----------------------------------------------------------------------------------------------


def test_the_bytes_go_upstream_as_they_came() -> None:
    """Spacing, numbers and unknown members too; only the model's name is the upstream's."""
    body = b'{ "x": 1.50e1,\n "model" : "m", "model_x": "m", "y": {"model":"m"} }'
    assert request(body).upstream_body("m") is body
    assert request(body).upstream_body('n"') == body.replace(b' : "m"', b' : "n\\""')


def test_several_endpoints_get_their_own_names() -> None:
    """A retry begins with the caller's bytes again."""
    made = request(b'{"model":"m","stream":true}')
    assert [made.upstream_body(name) for name in ("long-name", "b", "m")] == [
        b'{"model":"long-name","stream":true}',
        b'{"model":"b","stream":true}',
        b'{"model":"m","stream":true}',
    ]


def test_a_model_in_the_path_is_not_put_into_the_body() -> None:
    """The path of the upstream has it."""
    assert request(b'{"contents":[]}', "m").upstream_body("n") == b'{"contents":[]}'


@pytest.mark.parametrize(
    "members",
    [
        b'"models":["b"]',
        b'"provider":{"only":["p"]}',
        b'"route":"fallback"',
        b'"session_id":""',
        b'"session_id":"s","route":1,"models":["b"],"provider":{"order":["p"]}',
    ],
)
def test_the_gateways_own_members_stay_here(members: bytes) -> None:
    """The rest keeps its bytes."""
    body = b'{"model":"m",%b,"x": 1.0}' % members
    assert request(body).upstream_body("n") == b'{"model":"n","x": 1.0}'


def test_fallbacks_and_preferences_are_read() -> None:
    """In every dialect alike."""
    made = request(b'{"model":"m","models":["a","b"],"provider":{"order":["p"],"allow_fallbacks":false}}')
    assert made.models == ["a", "b"]
    assert made.preferences is not None
    assert (made.preferences.order, made.preferences.allow_fallbacks, made.preferences.only) == (["p"], False, None)


def test_the_neutral_form_is_read_with_what_the_path_said() -> None:
    """By the dialect's own reader."""
    assert request(b'{"x":1}', "m", stream=True).neutral() == Request("m", (), True, user="7")


@given(
    st.dictionaries(
        st.text(max_size=5), st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    ),
    st.text(min_size=1, max_size=8),
)
def test_any_body_keeps_all_but_its_model(members: dict[str, Any], name: str) -> None:
    """What the upstream reads is what the caller wrote, under the upstream's name."""
    kept = {key: value for key, value in members.items() if key not in Fields.__struct_fields__}
    body = msgspec.json.encode(kept | {"model": "m"})
    made = request(body)
    assert msgspec.json.decode(made.upstream_body(name)) == kept | {"model": name}
    assert made.body == body


# -- a model in the path -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"model":"a","x":1}', b'{"x":1,"model":"m"}'),
        (b'{"x": 1.0}', b'{"x": 1.0,"model":"m"}'),
        (b"{}", b'{"model":"m"}'),
        (b'{"y":{"model":"a"}}', b'{"y":{"model":"a"},"model":"m"}'),
        (b'{"model":"a","model":"b"}', b'{"model":"a","model":"b"}'),
        (b"", b""),
        (b"[]", b"[]"),
    ],
)
def test_a_body_is_given_the_paths_model(body: bytes, named: bytes) -> None:
    """In place of its own; what cannot be served stays as it is, and its reader says why."""
    assert with_model(body, "m") == named
