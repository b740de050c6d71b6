"""A way through decoded JSON that knows where it is, so that whoever sent it is told which field is wrong.

Readers of requests take a `Node` instead of a value: every step checks the type it wants, and what does not fit
is a Refusal (400) that names the place as `messages[2].content[0].image_url`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from tokenway.model.errors import Refusal, invalid_request

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode
_NAMES: Final[dict[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_T = TypeVar("_T")


class Node:
    """One value of a request and the place where it stands."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str = "") -> None:
        self.value = value
        self.path = path

    def wrong(self, message: str, code: str = "invalid_value") -> Refusal:
        """The Refusal that says what is wrong with this field; the caller raises it."""
        where = f"'{self.path}'" if self.path else "The body"
        return invalid_request(f"{where}: {message}.", param=self.path or None, code=code)

    # -- steps -------------------------------------------------------------------------------------------

    def at(self, key: str) -> Node | None:
        """The member `key` of an object; None where it is absent or null. Raises Refusal when this is no object."""
        value = self._typed(dict).get(key)
        return None if value is None else Node(value, f"{self.path}.{key}" if self.path else key)

    def need(self, key: str) -> Node:
        """The member `key`; raises Refusal where it is absent or null."""
        found = self.at(key)
        if found is None:
            path = f"{self.path}.{key}" if self.path else key
            raise invalid_request(f"The field '{path}' is missing.", param=path, code="missing_required_parameter")
        return found

    def items(self) -> list[Node]:
        """The elements of a list."""
        return [Node(value, f"{self.path}[{index}]") for index, value in enumerate(self._typed(list))]

    def members(self) -> Iterator[tuple[str, Node]]:
        """The members of an object that are not null."""
        for key, value in self._typed(dict).items():
            if value is not None:
                yield key, Node(value, f"{self.path}.{key}" if self.path else key)

    # -- values ------------------------------------------------------------------------------------------

    @property
    def is_text(self) -> bool:
        """Whether this is a text."""
        return isinstance(self.value, str)

    @property
    def is_list(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.value, list)

    @property
    def is_object(self) -> bool:
        """Whether this is an object."""
        return isinstance(self.value, dict)

    def text(self) -> str:
        """A text."""
        return self._typed(str)

    def flag(self) -> bool:
        """True or false."""
        return self._typed(bool)

    def whole(self, least: int | None = None) -> int:
        """A whole number, at least `least`."""
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._mistyped(int)
        if least is not None and value < least:
            raise self.wrong(f"it must be at least {least}")
        return value

    def number(self) -> float:
        """A number."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._mistyped(float)
        return value

    def one_of(self, known: Mapping[str, _T]) -> _T:
        """What `known` has for this text; raises Refusal with the list where it has nothing."""
        text = self.text()
        if text not in known:
            raise self.wrong(f"'{text[:40]}' is not known here; it must be one of {', '.join(known)}")
        return known[text]

    def raw(self) -> msgspec.Raw:
        """This value as JSON text."""
        return msgspec.Raw(_encode(self.value))

    def base64(self) -> str:
        """A text that is valid base64 (standard or URL-safe letters), as it was given."""
        text = self.text()
        if not is_base64(text):
            raise self.wrong("it is not valid base64", code="invalid_base64")
        return text

    def _typed(self, kind: type[_T]) -> _T:
        if not isinstance(self.value, kind):
            raise self._mistyped(kind)
        return self.value

    def _mistyped(self, kind: type) -> Refusal:
        found = _NAMES.get(type(self.value), "something else")
        return self.wrong(f"it must be {_NAMES[kind]}, not {found}", code="invalid_type")


def is_base64(text: str) -> bool:
    """Whether a text is base64, in standard or URL-safe letters; an empty one is not."""
    plain = text.replace("-", "+").replace("_", "/")
    try:
        return bool(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError):
        return False


def walk(body: bytes) -> Node:
    """A request's body, decoded; raises Refusal (400) when it is not JSON or no object."""
    try:
        value = _decode(body)
    except UnicodeDecodeError as error:
        raise invalid_request(f"The body is not valid UTF-8 (byte {error.start}).") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid_request(f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise invalid_request("The body is not a JSON object.")
    return Node(value)
