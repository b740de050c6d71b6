"""Form data in several parts (RFC 7578, RFC 2046 section 5.1): where each part stands, without copying any.

The body may be memory or a mapped file: it is only searched and sliced.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

from tokenway.model.errors import WireError
from tokenway.wire.limits import KIB

PARTS_MAX: Final = 128
"""Fields of one form: image edits take 16 images, each in a part."""
PART_HEAD: Final = 8 * KIB
"""Header lines of one part."""
FIELD: Final = 64 * KIB
"""A field that is read, and not only passed on."""

_BOUNDARY: Final = re.compile(rb';[ \t]*boundary=(?:"([^"\r\n]{1,70})"|([^;" \t\r\n]{1,70}))', re.IGNORECASE)
_DISPOSITION: Final = re.compile(rb"content-disposition:[ \t]*form-data[ \t]*", re.IGNORECASE)
_PARAMETER: Final = re.compile(rb';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]*))[ \t]*')
"""A parameter of a header line; its value is quoted, or a plain word, as .NET writes it."""


class Body(Protocol):
    """Bytes, or a mapped file."""

    def find(self, sub: bytes, start: int = ..., end: int = ..., /) -> int:
        """As of bytes."""

    def __getitem__(self, index: slice, /) -> bytes:
        """As of bytes."""

    def __len__(self) -> int:
        """As of bytes."""


class FormPart(msgspec.Struct, frozen=True):
    """One field: its name, whether it is a file, and where its content stands."""

    name: str
    is_file: bool
    start: int
    end: int


def boundary_of(content_type: bytes) -> bytes:
    """The boundary of `multipart/form-data`; raises WireError where the type is another or names none."""
    if not content_type.strip().lower().startswith(b"multipart/form-data"):
        raise WireError("the content type is not multipart/form-data")
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise WireError("the content type names no boundary")
    return found[1] or found[2]


def parts_of(body: Body, boundary: bytes) -> list[FormPart]:
    """The parts of a form in their order; raises WireError where it is broken or has too many."""
    mark = b"--" + boundary
    at = body.find(mark)
    if at != 0 and (at < 2 or body[at - 2 : at] != b"\r\n"):
        raise WireError("the form does not begin with its boundary")
    parts: list[FormPart] = []
    while True:
        at += len(mark)
        if body[at : at + 2] == b"--":
            return parts
        line_end = body.find(b"\r\n", at, at + KIB)
        if line_end < 0 or body[at:line_end].strip(b" \t"):
            raise WireError("a boundary of the form is not followed by a part")
        head_end = body.find(b"\r\n\r\n", line_end, line_end + PART_HEAD)
        if head_end < 0:
            raise WireError("a part of the form has no end of its head")
        start = head_end + 4
        end = body.find(b"\r\n" + mark, start - 2)
        if end < 0:
            raise WireError("the form is cut short")
        name, is_file = _named(body[line_end + 2 : head_end])
        parts.append(FormPart(name, is_file, start, max(start, end)))
        if len(parts) > PARTS_MAX:
            raise WireError(f"the form has more than {PARTS_MAX} parts")
        at = end + 2


def _named(head: bytes) -> tuple[str, bool]:
    """The name in a part's head, and whether it is a file; raises WireError where two readers could see two names."""
    lines = [line for line in head.split(b"\r\n") if line[:20].lower() == b"content-disposition:"]
    found = _DISPOSITION.match(lines[0]) if len(lines) == 1 else None
    if found is None:
        raise WireError("a part of the form has no name")
    line = lines[0].rstrip(b"; \t")
    parameters: dict[bytes, bytes] = {}
    at = found.end()
    while at < len(line):
        parameter = _PARAMETER.match(line, at)
        if parameter is None or parameter[1].lower() in parameters:
            raise WireError("the name of a part of the form cannot be read in one way only")
        parameters[parameter[1].lower()] = parameter[3] if parameter[2] is None else parameter[2]
        at = parameter.end()
    if b"name" not in parameters:
        raise WireError("a part of the form has no name")
    return parameters[b"name"].decode("utf-8", "replace"), not parameters.keys().isdisjoint((b"filename", b"filename*"))


def field(body: Body, parts: list[FormPart], name: str) -> str | None:
    """The text of the field by this name; None without one.

    Raises WireError where it is too long, no text, a file, or there twice, so that two readers could differ.
    """
    found = [each for each in parts if each.name == name]
    if not found:
        return None
    part = found[0]
    if len(found) > 1:
        raise WireError(f"the field '{name}' comes twice")
    if part.is_file:
        raise WireError(f"the field '{name}' is a file")
    if part.end - part.start > FIELD:
        raise WireError(f"the field '{name}' is longer than {FIELD} bytes")
    try:
        return body[part.start : part.end].decode()
    except UnicodeDecodeError:
        raise WireError(f"the field '{name}' is no text") from None
