"""Changes to a JSON object's text that leave every other byte as it was.

A gateway that decodes and re-encodes changes spacing, number formats and key order, and so breaks
prompt caches and signatures. These functions find where a top-level value stands and cut there.

The quick way rests on one fact: inside a JSON string every quote is escaped, so the bytes `"model"`
appear only where a string is exactly `model`, as a key or as a value. When they occur once in a text whose top
level is known to have that key, and no letter of a key can be hiding behind an escape, this is the place.
Otherwise the top level is walked value by value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from tokenway.model.errors import WireError

_SPACE: Final = b" \t\r\n"
_LETTERS_ESCAPED: Final = (b"\\u006", b"\\u007")
"""How every escape of a lower-case letter begins: nobody writes them, but they mean the same key."""
_COLONS: Final = (b":", b": ")
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_key: Final = msgspec.json.Decoder(str).decode

Span = tuple[int, int]


def find_value(text: bytes, key: str, raw: bytes) -> Span:
    """Where the top-level value of `key` (lower-case letters) stands in an object that has it.

    `raw` is how the value is most likely written. Raises WireError when the object has the key twice: two readers
    could disagree on which one counts.
    """
    quoted = b'"%b"' % key.encode()
    at = text.find(quoted)
    if at >= 0 and text.find(quoted, at + 1) < 0 and not (b"\\u00" in text and _has_escaped_letter(text)):
        after = at + len(quoted)
        start = text.find(raw, after)
        if start > 0 and (text[after:start] in _COLONS or text[after:start].strip(_SPACE) == b":"):
            return start, start + len(raw)
    return layout(text)[key][1]


def keys_pattern(*keys: str) -> re.Pattern[bytes]:
    """What finds these keys (lower-case letters) wherever they stand in a JSON text; for `may_repeat`."""
    return re.compile(rb'"(%b)"[ \t\r\n]*:' % "|".join(keys).encode())


def may_repeat(text: bytes, keys: re.Pattern[bytes]) -> bool:
    """Whether an object may have one of `keys` twice; `layout` then tells."""
    found = keys.findall(text)
    return len(found) != len(set(found)) or (b"\\u00" in text and _has_escaped_letter(text))


def _has_escaped_letter(text: bytes) -> bool:
    return any(escape in text for escape in _LETTERS_ESCAPED)


def layout(text: bytes) -> dict[str, tuple[Span, Span]]:
    """For each top-level key of an object: where key and value stand.

    Raises WireError when the text is not an object or repeats a key.
    """
    try:
        members = _decode_members(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a JSON object: {error}") from None
    places: dict[str, tuple[Span, Span]] = {}
    at = text.index(b"{") + 1
    for index, (key, value) in enumerate(members.items()):
        raw = bytes(value)
        key_start = text.index(b'"', at)
        key_end = _string_end(text, key_start)
        start = text.find(raw, key_end)
        # A key that comes twice has the place of the first and the value of the last, which does not follow there.
        if (
            text[at:key_start].strip(_SPACE) != (b"," if index else b"")
            or _decode_key(text[key_start:key_end]) != key
            or text[key_end:start].strip(_SPACE) != b":"
        ):
            raise WireError("the object has a key twice")
        at = start + len(raw)
        places[key] = ((key_start, key_end), (start, at))
    if text[at:].strip(_SPACE) != b"}":
        raise WireError("the object has a key twice")
    return places


def _string_end(text: bytes, start: int) -> int:
    """Where the string that begins at `start` ends, in text that a decoder has accepted."""
    end = start + 1
    while text[end] != 0x22:
        end += 2 if text[end] == 0x5C else 1
    return end + 1


def replace(text: bytes, span: Span, value: bytes) -> bytes:
    """The text with another value at `span`."""
    return b"%b%b%b" % (text[: span[0]], value, text[span[1] :])


def append_member(text: bytes, member: bytes) -> bytes:
    """The object's text with `"key":value` added at its end."""
    end = text.rindex(b"}")
    comma = b"" if text[:end].rstrip(_SPACE).endswith(b"{") else b","
    return b"%b%b%b%b" % (text[:end], comma, member, text[end:])


def set_members(text: bytes, members: bytes, names: Iterable[str]) -> bytes:
    """The object's text with `members` (`"key":value,…`, whose keys are `names`) in place of any it has by these names.

    Raises WireError like `layout`.
    """
    if any(b'"%b"' % name.encode() in text for name in names):
        text = without_members(text, names)
    return append_member(text, members)


def without_members(text: bytes, keys: Iterable[str]) -> bytes:
    """The object's text without these top-level members; what stays keeps its own bytes.

    Raises WireError like `layout`.
    """
    places = layout(text)
    dropped = set(keys)
    kept = [text[key[0] : value[1]] for name, (key, value) in places.items() if name not in dropped]
    return b"{%b}" % b",".join(kept)
