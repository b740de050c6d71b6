"""Gemini's own schemas as JSON schemas."""

from __future__ import annotations

from tokenway.dialects.gemini.openapi import json_schema


def test_types_counts_and_nested_schemas() -> None:
    """Types become lower-case at every depth, counts numbers, and both spellings are taken."""
    found = json_schema(
        {
            "type": "OBJECT",
            "property_ordering": ["a"],
            "properties": {
                "a": {
                    "type": "ARRAY",
                    "min_items": "1",
                    "maxItems": 3,
                    "items": {"type": "INTEGER", "format": "int64"},
                },
                "min_items": {"type": "STRING"},
                "b": {"any_of": [{"type": "NULL"}, {"type": "number"}]},
            },
            "required": ["a"],
        }
    )

    assert found == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "integer", "format": "int64"}},
            "min_items": {"type": "string"},
            "b": {"anyOf": [{"type": "null"}, {"type": "number"}]},
        },
        "required": ["a"],
    }


def test_nullable_becomes_a_type() -> None:
    """`nullable` and `example` in JSON Schema's words; an enumeration gets null as well."""
    assert json_schema({"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum", "example": "x"}) == {
        "type": ["string", "null"],
        "enum": ["x", None],
        "examples": ["x"],
    }
    assert json_schema({"anyOf": [{"type": "STRING"}], "nullable": True}) == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }
    assert json_schema({"type": "STRING", "nullable": False}) == {"type": "string"}


def test_properties_are_written_in_their_order() -> None:
    """Models that are held to a schema fill it in from the top; what the order does not name comes behind."""
    given = {"type": "OBJECT", "properties": {name: {} for name in "abc"}, "propertyOrdering": ["c", "x", 1, "b"]}
    assert list(json_schema(given)["properties"]) == ["c", "b", "a"]
    assert json_schema({"type": "OBJECT", "propertyOrdering": ["a"]}) == {"type": "object"}


def test_numbers_of_an_enumeration_are_numbers() -> None:
    """Gemini writes them as words."""
    found = json_schema({"type": "INTEGER", "format": "enum", "enum": ["101", "-2", "many"]})
    assert found == {"type": "integer", "enum": [101, -2, "many"]}
    assert json_schema({"type": "STRING", "enum": ["101"]})["enum"] == ["101"]


def test_references_get_their_sign() -> None:
    """`defs` and `ref` are JSON Schema's `$defs` and `$ref`, and a reference finds its definition."""
    assert json_schema({"defs": {"n": {"type": "NUMBER"}}, "ref": "#/defs/n", "type": "TYPE_UNSPECIFIED"}) == {
        "$defs": {"n": {"type": "number"}},
        "$ref": "#/$defs/n",
    }


def test_a_json_schema_stays_what_it_is() -> None:
    """What is one already, or is no schema at all, is not changed."""
    schema = {"type": ["string", "null"], "additionalProperties": False, "const": {"a_b": "STRING"}}
    assert json_schema(schema) == schema
    assert json_schema(True) is True
