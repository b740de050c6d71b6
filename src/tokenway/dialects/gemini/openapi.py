"""Gemini's own schemas, a subset of OpenAPI 3.0, as JSON schemas.

`parameters` and `responseSchema` have upper-case types, `nullable`, `example`, counts as text, and an order of
properties, which becomes the order they are written in; everybody else takes JSON Schema. Gemini takes that too, as
`parametersJsonSchema` and `responseJsonSchema`, so nothing has to be converted the other way.

Source: `Schema` in the Gemini API reference and in the types of python-genai 3.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tokenway.dialects.gemini.names import camel

_TYPES: Final = {
    "STRING": "string",
    "NUMBER": "number",
    "INTEGER": "integer",
    "BOOLEAN": "boolean",
    "ARRAY": "array",
    "OBJECT": "object",
    "NULL": "null",
}
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_SCHEMAS: Final = frozenset({"items", "additionalProperties", "not"})
_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_TABLES: Final = frozenset({"properties", "defs", "$defs"})
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
"""A whole number as Gemini has it among the words of an enumeration."""
_RENAMED: Final = {"defs": "$defs", "ref": "$ref"}
_WITHOUT_MEANING: Final = frozenset({"propertyOrdering", "nullable", "example"})
"""Handled apart."""


def json_schema(schema: Any) -> Any:
    """A schema of Gemini's as a JSON schema; what is one already stays what it is."""
    if not isinstance(schema, dict):
        return schema
    given = {camel(key): value for key, value in schema.items()}
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _WITHOUT_MEANING and value is not None:
            found[_RENAMED.get(key, key)] = _member(key, value)
    if found.get("format") == "enum":
        del found["format"]
    if found.get("type") == "integer" and isinstance(found.get("enum"), list):
        found["enum"] = [
            int(word) if isinstance(word, str) and _WHOLE.fullmatch(word) else word for word in found["enum"]
        ]
    if found.get("type") == "TYPE_UNSPECIFIED":
        del found["type"]
    order, properties = given.get("propertyOrdering"), found.get("properties")
    if isinstance(order, list) and isinstance(properties, dict):
        first = [name for name in order if isinstance(name, str) and name in properties]
        found["properties"] = {name: properties[name] for name in dict.fromkeys([*first, *properties])}
    if "example" in given:
        found["examples"] = [given["example"]]
    if given.get("nullable") is True:
        _allow_null(found)
    return found


def _member(key: str, value: Any) -> Any:
    if key == "type" and isinstance(value, str):
        return _TYPES.get(value.upper(), value)
    if key == "ref" and isinstance(value, str):
        return value.replace("#/defs/", "#/$defs/", 1)
    if key in _COUNTS and isinstance(value, str) and value.isdecimal():
        return int(value)
    if key in _SCHEMAS:
        return json_schema(value)
    if key in _LISTS and isinstance(value, list):
        return [json_schema(each) for each in value]
    if key in _TABLES and isinstance(value, dict):
        return {name: json_schema(each) for name, each in value.items()}
    return value


def _allow_null(schema: dict[str, Any]) -> None:
    """Says `nullable` in JSON Schema's words."""
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
