"""JSON schemas that a vendor enforces while the model writes: what each can, and how one is made to fit.

OpenAI enforces a schema whose objects are closed and need all of their members, and refuses any other that is said to
be strict. Anthropic and Bedrock want objects closed and refuse bounds of numbers, of lengths and of lists: these are
told to the model in the description, as Anthropic's own libraries do, and are declared, since nobody enforces them.
A narrower schema than the caller's is no loss: every answer by it is one by the caller's.

Sources: OpenAI's guide "Structured model outputs" (Supported schemas), Anthropic's "Structured outputs" (JSON Schema
limitations), the Amazon Bedrock user guide ("Get validated JSON results from models").
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tokenway.model.request import NO_JSON, ResponseFormat

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode

_TABLES: Final = frozenset({"properties", "$defs", "definitions"})
_LISTS: Final = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_BOUNDS: Final = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("maxItems", "uniqueItems", "contains", "minContains", "maxContains", "minProperties", "maxProperties"),
        *("patternProperties", "propertyNames"),
    }
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_SHAPING: Final = frozenset({"anyOf", "allOf", "oneOf", "$ref"})
"""Keywords that say what an object has, beside its properties."""
_BEYOND_GRAMMARS: Final = re.compile(r"\(\?[=!<]|\\[bB1-9]")
"""What a pattern may not have: looking around, borders of words, references to what was matched."""
_NOT_STRICT: Final = frozenset({"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"})


def enforceable(schema: Any) -> tuple[Any, tuple[str, ...]]:
    """A schema as Anthropic and Bedrock take it, and the keywords of it that are only told to the model."""
    told: dict[str, None] = {}
    return _closed(schema, told), tuple(told)


def is_any_object(schema: Any) -> bool:
    """Whether a schema takes any object, as JSON without a schema does: closed, it would take an empty one only."""
    return (
        isinstance(schema, dict)
        and _is_object(schema)
        and schema.get("additionalProperties") is not False
        and not schema.get("properties")
        and _SHAPING.isdisjoint(schema)
    )


def _closed(schema: Any, told: dict[str, None]) -> Any:
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    only_told: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _TABLES and isinstance(value, dict):
            found[key] = {name: _closed(each, told) for name, each in value.items()}
        elif key in _LISTS and isinstance(value, list):
            found["anyOf" if key == "oneOf" and "anyOf" not in schema else key] = [
                _closed(each, told) for each in value
            ]
        elif key == "items":
            found[key] = _closed(value, told)
        elif _is_bound(key, value):
            only_told[key] = value
        else:
            found[key] = value
    if _is_object(schema):
        if found.get("additionalProperties", False) is not False:
            only_told["additionalProperties"] = found["additionalProperties"]
        found["additionalProperties"] = False
    if only_told:
        told.update(dict.fromkeys(only_told))
        words = ", ".join(f"{key}: {_encode(value).decode()}" for key, value in only_told.items())
        before = found.get("description")
        found["description"] = f"{before}\n\n{{{words}}}" if before else f"{{{words}}}"
    return found


def _is_bound(key: str, value: Any) -> bool:
    match key:
        case "minItems":
            return value not in (0, 1)
        case "format":
            return not isinstance(value, str) or value not in _FORMATS
        case "pattern":
            return isinstance(value, str) and _BEYOND_GRAMMARS.search(value) is not None
    return key in _BOUNDS


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def described(wanted: ResponseFormat) -> msgspec.Raw:
    """The schema of an answer with its description, for who has no other place for that."""
    if not wanted.description:
        return wanted.schema
    schema = _decode(wanted.schema)
    if not isinstance(schema, dict) or "description" in schema:
        return wanted.schema
    return msgspec.Raw(_encode({"description": wanted.description, **schema}))


def is_enforceable(schema: msgspec.Raw) -> bool:
    """Whether Anthropic and Bedrock enforce a tool's schema as it is."""
    if schema == NO_JSON:
        return True
    given = _decode(schema)
    return bool(_closed(given, {}) == given)


def is_strict(schema: msgspec.Raw) -> bool:
    """Whether OpenAI takes a schema as strict."""
    return schema == NO_JSON or _is_strict(_decode(schema))


def _is_strict(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    if not _NOT_STRICT.isdisjoint(schema):
        return False
    if _is_object(schema):
        members, needed = schema.get("properties", {}), schema.get("required", [])
        is_whole = isinstance(members, dict) and isinstance(needed, list) and set(members) <= set(map(str, needed))
        if schema.get("additionalProperties") is not False or not is_whole:
            return False
    inner = [schema.get("items")]
    for key in _TABLES:
        table = schema.get(key)
        inner += table.values() if isinstance(table, dict) else ()
    for key in _LISTS:
        several = schema.get(key)
        inner += several if isinstance(several, list) else ()
    return all(map(_is_strict, inner))
