"""Schemas that vendors enforce."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.dialects.strict import described, enforceable, is_any_object, is_enforceable, is_strict
from tokenway.model.request import NO_JSON, FormatKind, ResponseFormat

TEXT = {"type": "string"}


def raw(schema: Any) -> msgspec.Raw:
    """A schema as text."""
    return msgspec.Raw(msgspec.json.encode(schema))


def closed(**members: Any) -> dict[str, Any]:
    """An object that has these members and no other."""
    return {"type": "object", "properties": members, "additionalProperties": False}


def test_objects_are_closed_wherever_they_stand() -> None:
    """In members, lists, definitions and alternatives; one that says that it is open is told so, and declared."""
    inner = {"type": "object", "properties": {"b": TEXT}}
    schema = {
        "type": ["object", "null"],
        "properties": {"a": {"type": "array", "items": inner}, "c": {"oneOf": [inner, TEXT]}},
        "$defs": {"d": inner},
    }
    assert enforceable(schema) == (
        {
            "type": ["object", "null"],
            "properties": {
                "a": {"type": "array", "items": closed(b=TEXT)},
                "c": {"anyOf": [closed(b=TEXT), TEXT]},
            },
            "$defs": {"d": closed(b=TEXT)},
            "additionalProperties": False,
        },
        (),
    )
    assert enforceable({"type": "object", "additionalProperties": TEXT}) == (
        {
            "type": "object",
            "additionalProperties": False,
            "description": '{additionalProperties: {"type":"string"}}',
        },
        ("additionalProperties",),
    )
    assert enforceable(True) == (True, ())


@pytest.mark.parametrize(
    ("schema", "expected", "told"),
    [
        ({"minimum": 1, "maximum": 9}, {"description": "{minimum: 1, maximum: 9}"}, ("minimum", "maximum")),
        ({"description": "d", "maxLength": 3}, {"description": "d\n\n{maxLength: 3}"}, ("maxLength",)),
        ({"minItems": 1}, {"minItems": 1}, ()),
        ({"minItems": 2}, {"description": "{minItems: 2}"}, ("minItems",)),
        ({"format": "date"}, {"format": "date"}, ()),
        ({"format": "int32"}, {"description": '{format: "int32"}'}, ("format",)),
        ({"pattern": "^[a-z]+$"}, {"pattern": "^[a-z]+$"}, ()),
        ({"pattern": "^(?!a)"}, {"description": '{pattern: "^(?!a)"}'}, ("pattern",)),
    ],
)
def test_bounds_are_told_in_the_description(
    schema: dict[str, Any], expected: dict[str, Any], told: tuple[str, ...]
) -> None:
    """Those that the vendor's grammars cannot hold an answer to."""
    assert enforceable(schema) == (expected, told)


def test_a_member_may_be_called_like_a_keyword() -> None:
    """What stands in a table of members is its name."""
    assert enforceable(closed(minimum=TEXT, format=TEXT)) == (closed(minimum=TEXT, format=TEXT), ())


def test_a_description_stands_in_the_schema() -> None:
    """Unless that has one of its own."""
    wanted = ResponseFormat(FormatKind.SCHEMA, "n", raw(closed()), "a city")
    assert msgspec.json.decode(described(wanted)) == {"description": "a city", **closed()}
    own = msgspec.structs.replace(wanted, schema=raw({"description": "own"}))
    assert described(own) is own.schema
    silent = msgspec.structs.replace(wanted, description="")
    assert described(silent) is silent.schema


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, True),
        ({"type": "object", "properties": {}, "additionalProperties": True}, True),
        ({"type": "object", "additionalProperties": TEXT}, True),
        ({"type": "object", "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": TEXT}}, False),
        ({"type": "object", "anyOf": [{"properties": {"a": TEXT}}]}, False),
        ({"type": "array"}, False),
        (True, False),
    ],
)
def test_a_schema_of_any_object(schema: Any, expected: bool) -> None:
    """Closed, it would take an empty one only."""
    assert is_any_object(schema) is expected


def test_what_can_be_enforced_as_it_is() -> None:
    """A tool's schema is part of what a prompt cache knows, and is not rewritten."""
    assert is_enforceable(NO_JSON)
    assert is_enforceable(raw(closed(a=TEXT)))
    assert not is_enforceable(raw({"type": "object", "properties": {}}))
    assert not is_enforceable(raw(closed(a={"type": "integer", "minimum": 0})))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (closed(), True),
        (closed(a=TEXT) | {"required": ["a"]}, True),
        (closed(a=TEXT), False),
        ({"type": "object", "properties": {}}, False),
        (closed(a=closed(b=TEXT)) | {"required": ["a"]}, False),
        (closed(a={"anyOf": [TEXT, closed(b=TEXT)]}) | {"required": ["a"]}, False),
        (closed(a={"type": "array", "items": closed(b=TEXT)}) | {"required": ["a"]}, False),
        (closed() | {"$defs": {"d": closed(b=TEXT)}}, False),
        (closed(a={"allOf": [TEXT]}) | {"required": ["a"]}, False),
        (closed(a=TEXT) | {"required": "a"}, False),
    ],
)
def test_what_openai_takes_as_strict(schema: dict[str, Any], expected: bool) -> None:
    """Objects are closed, and need all of their members, wherever they stand."""
    assert is_strict(raw(schema)) is expected


def test_a_function_without_parameters_is_strict() -> None:
    """There is nothing that could be open."""
    assert is_strict(NO_JSON)
