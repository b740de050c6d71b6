"""The handle of one request under way, and what it and its connection ask of their pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tokenway.model.faults import Fault
from tokenway.upstream.base import Reader

if TYPE_CHECKING:
    from tokenway.upstream.http1 import Connection


class Owner(Protocol):
    """What a connection and a call need of their pool."""

    def released(self, connection: Connection) -> None:
        """The connection is idle and clean."""

    def forget(self, connection: Connection) -> None:
        """The idle connection cannot be used again."""

    def opened(self, connection: Connection) -> None:
        """The connection exists."""

    def closed(self, connection: Connection) -> None:
        """The connection exists no more."""

    def distrust(self) -> None:
        """A response came that nobody had asked for: it could have been taken for the answer to another call."""

    def redial(self, call: Call) -> None:
        """The call's pooled connection was stale: it needs a fresh one."""

    def hang_up(self, call: Call) -> None:
        """The call, which waits for a connection, needs none any more."""


class Call:
    """One request under way: the handle with which its owner pauses, ends or cancels it.

    Every method is safe in any state, also after the end, and may be called from the reader's callbacks.
    """

    __slots__ = ("connection", "opened", "owner", "paused", "reader", "request", "reused")

    def __init__(self, owner: Owner, reader: Reader, request: bytes | list[bytes | memoryview]) -> None:
        """The fields are for this package; others read `reused`: whether a pooled connection serves the call."""
        self.owner = owner
        self.reader: Reader | None = reader
        self.request: bytes | list[bytes | memoryview] = request
        self.connection: Connection | None = None
        self.opened = False
        self.paused = False
        self.reused = False

    def cancel(self) -> None:
        """Closes the call's connection at once; the reader hears nothing more."""
        if self.reader is None:
            return
        self.reader = None
        self.request = b""
        connection = self.connection
        if connection is None:
            self.owner.hang_up(self)
        else:
            connection.abort()

    def finish_early(self) -> None:
        """Says that the stream's logical end was read; the reader hears nothing more.

        If only the end of the framing is missing and comes within a second, the connection is kept.
        """
        connection = self.connection
        if self.reader is None or connection is None or not connection.finish_early():
            self.cancel()
            return
        self.reader = None
        self.connection = None

    def pause(self) -> None:
        """Stops reading from the socket, so that the upstream is slowed down; at most one read is delivered after."""
        self.paused = True
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """Reads on."""
        self.paused = False
        if self.connection is not None:
            self.connection.resume()

    def fail(self, fault: Fault, detail: str) -> None:
        """Ends the call with a failure, once; a cancelled call stays silent."""
        reader, self.reader = self.reader, None
        self.connection = None
        self.request = b""
        if reader is not None:
            reader.upstream_failed(fault, detail)
