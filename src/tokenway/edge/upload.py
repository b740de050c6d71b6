"""A request's body that may be large: in memory up to a bound, beyond it in a file that is mapped and not held.

A form with a recording in it is passed on as it is; what is read of it are a few small fields, wherever they
stand. The file has no name in the file system and is gone with the process.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import tempfile
from typing import IO, Final

from tokenway.edge.inflate import too_large
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.wire.limits import MIB

log = logging.getLogger("tokenway.edge")

IN_MEMORY: Final = MIB
"""Bytes of a body that are kept in memory; most forms without a file are far smaller."""

Content = bytes | mmap.mmap


class Body:
    """The body of one request while it arrives, in memory."""

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []

    def add(self, data: bytes, limit: int) -> None:
        """A piece of the body; raises Refusal where it grows beyond `limit` bytes."""
        self.size += len(data)
        if self.size > limit:
            raise too_large(limit)
        self._parts.append(data)

    def take(self) -> Content:
        """The whole body, which is not held here any more."""
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return body

    def drop(self) -> None:
        """Lets go of it."""
        self._parts.clear()


class Upload(Body):
    """A body that may be large."""

    __slots__ = ("_file",)

    def __init__(self) -> None:
        super().__init__()
        self._file: IO[bytes] | None = None

    def add(self, data: bytes, limit: int) -> None:
        """As `Body.add`; raises Refusal also where there is no room for it."""
        if self._file is None:
            super().add(data, limit)
            if self.size <= IN_MEMORY:
                return
        else:
            self.size += len(data)
            if self.size > limit:
                self.drop()
                raise too_large(limit)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="tokenway-upload-")  # noqa: SIM115 - ends with the request
                data = b"".join(self._parts)
                self._parts.clear()
            self._file.write(data)
        except OSError:
            self.drop()
            log.exception("a form could not be kept while it arrives")
            raise Refusal(_no_room()) from None

    def take(self) -> Content:
        """The whole body, as `Body.take`; raises Refusal where there was no room for it.

        A mapping that is still in use stays until its last user is done.
        """
        if self._file is None:
            return super().take()
        try:
            self._file.flush()
            return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError:
            log.exception("a form could not be kept")
            raise Refusal(_no_room()) from None
        finally:
            self.drop()

    def __del__(self) -> None:
        """Nobody takes it any more: its client has left."""
        self.drop()

    def drop(self) -> None:
        """Lets go of it."""
        super().drop()
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # what there was no room for is not written at the end either
                file.close()


def _no_room() -> Problem:
    """507: the file that a form is kept in could not be written."""
    return Problem(
        507,
        ErrorType.SERVER,
        "The gateway has no room for this request's files at the moment.",
        code="insufficient_storage",
        retry_after=5.0,
        should_retry=True,
    )
