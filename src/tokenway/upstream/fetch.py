"""One whole answer awaited: for what is not on the way of a stream, such as an image by its URL."""

from __future__ import annotations

import asyncio

import msgspec

from tokenway.model.errors import TokenwayError
from tokenway.model.faults import Fault
from tokenway.upstream.base import Headers
from tokenway.upstream.call import Call
from tokenway.upstream.pool import Pool


class FetchError(TokenwayError):
    """There is no answer; the text is a sentence that is safe to show."""


class Fetched(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    content_type: str
    body: bytes


class _Whole:
    """Gathers one answer within a bound."""

    def __init__(self, limit: int) -> None:
        self.call: Call | None = None
        self.done: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self._limit = limit
        self._status = 0
        self._type = ""
        self._body = bytearray()

    def upstream_opened(self) -> None:
        """The request is on its way."""

    def upstream_head(self, status: int, headers: Headers) -> None:
        """Status and type."""
        self._status = status
        self._type = (headers.get(b"content-type") or b"").decode("latin-1").partition(";")[0].strip().lower()

    def upstream_body(self, data: bytes) -> None:
        """A piece; one too many ends the call."""
        self._body += data
        if len(self._body) > self._limit:
            if self.call is not None:
                self.call.cancel()
            self._fail(f"The answer is larger than {self._limit} bytes.")

    def upstream_end(self) -> None:
        """It is whole."""
        if not self.done.done():
            self.done.set_result(Fetched(self._status, self._type, bytes(self._body)))

    def upstream_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """All of it in one call."""
        self.upstream_head(status, headers)
        self.upstream_body(body)
        self.upstream_end()

    def upstream_failed(self, fault: Fault, detail: str) -> None:  # noqa: ARG002 - a reader's method
        """It broke."""
        self._fail(detail)

    def _fail(self, detail: str) -> None:
        if not self.done.done():
            self.done.set_exception(FetchError(detail))


async def fetch(pool: Pool, request: bytes, *, limit: int, timeout: float) -> Fetched:
    """Sends a request and awaits its answer of at most `limit` bytes; raises FetchError. Redirects are not followed."""
    whole = _Whole(limit)
    whole.call = pool.open(request, whole)
    try:
        async with asyncio.timeout(timeout):
            return await whole.done
    except TimeoutError:
        raise FetchError(f"No answer within {timeout:g} s.") from None
    finally:
        if not whole.done.done() or whole.done.cancelled() or whole.done.exception() is not None:
            whole.call.cancel()
