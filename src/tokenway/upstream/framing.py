"""Where an answer ends: what llhttp does not reject, decided by plain functions over one head or one read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade

from tokenway.model.errors import WireError
from tokenway.wire import limits

BY_LENGTH: Final = 0
BY_CHUNKS: Final = 1
UNTIL_CLOSE: Final = 2
NO_BODY: Final = 3

SURPLUS: Final = "The upstream sent bytes beyond the end of its answer."
HEAD_TOO_LARGE: Final = f"The upstream's head is larger than {limits.RESPONSE_HEAD // limits.KIB} KiB."

_LINE_END: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_NEXT: Final = b"HTTP/1."
_CUT_ENDS: Final = (b"\n\r\n", b"\r\n", b"\n")
"""What the last read may have of such an end, the longest first."""

Repeated = Sequence[tuple[bytes, bytes]]


def framing_of(fields: dict[bytes, bytes], repeated: Repeated) -> int:
    """How the body of a final answer is framed; the names are in lower case.

    llhttp has already refused two lengths, and a length beside a transfer coding. Raises WireError for a
    coding other than exactly `chunked`: llhttp would read such a body until the close, or pass on bytes
    that are coded twice.
    """
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        return BY_LENGTH if b"content-length" in fields else UNTIL_CLOSE
    if coding.rstrip().lower() != b"chunked" or any(name == b"transfer-encoding" for name, _ in repeated):
        raise WireError("The upstream uses a transfer coding other than chunked.")
    return BY_CHUNKS


def check_size(fields: dict[bytes, bytes], repeated: Repeated) -> None:
    """Raises WireError when names and values together pass `limits.RESPONSE_HEAD`."""
    size = sum(len(name) + len(value) for name, value in (*fields.items(), *repeated))
    if size > limits.RESPONSE_HEAD:
        raise WireError(HEAD_TOO_LARGE)


def ends_read(framing: int, data: bytes, body: bytes) -> bool | None:
    """Whether `data`, the read that completed an answer, ends where the answer does; None if it cannot be told.

    llhttp reports anything after an answer but CR and LF, which it skips as if they preceded the next one.
    `body` is the payload of this read. A body of known length ends with its last byte. All else ends with
    an empty line after a line that is not empty (the last chunk's size, a trailer, or the head), so that
    five bytes tell; a shorter read could be the framing's own or surplus.
    """
    if framing == BY_LENGTH and body:
        return data.endswith(body)
    if len(data) <= len(_HEAD_END):
        return None
    return data.endswith(_HEAD_END) and data[-5] not in _LINE_END


def is_unasked(data: bytes) -> bool:
    """Whether bytes on an idle connection are a response to nothing; one that says why it closes (408) is none."""
    return data.startswith(_NEXT) and data[9:12] != b"408"


def before_next(framing: int, data: bytes, body: bytes) -> bytes | None:
    """`data`, the read that completed an answer, without the response that begins behind it; None if none does.

    `body` is the payload of this read. llhttp does not say where it stopped, so the place is found by what
    precedes it: the body of known length, else an empty line.
    """
    if framing == BY_LENGTH and body:
        at = data.find(body + _NEXT)
        return None if at < 0 else data[: at + len(body)]
    at = data.find(_HEAD_END + _NEXT)
    if at >= 0:
        return data[: at + len(_HEAD_END)]
    return next((end for end in _CUT_ENDS if data.startswith(end + _NEXT)), None)


def explain(error: HttpParserError | HttpParserUpgrade) -> str:
    """A sentence for a client. llhttp's reasons are fixed texts without any byte of the answer."""
    if isinstance(error.__context__, WireError):
        return str(error.__context__)
    if isinstance(error, HttpParserUpgrade):
        return "The upstream tried to switch protocols."
    return f"The upstream's answer is not valid HTTP/1.1: {str(error).rstrip('.')}."
