"""Who a relay answers: a connection, or nobody's connection.

`Client` is what a relay asks of the connection it serves. `Inner` is a client without one: an exchange that the gateway
makes for itself, as one of several for a caller who wants several answers, or after its caller has hung up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay

_HEAD_END: Final = b"\r\n\r\n"
Bytes = bytes | bytearray | memoryview


class Writing(Protocol):
    """The part of a transport that a relay uses."""

    def write(self, data: Bytes) -> None:
        """Sends it, or keeps it until it can be sent."""

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """Sends them one behind the other."""

    def abort(self) -> None:
        """Ends the connection at once."""


class Client(Protocol):
    """The connection that a relay serves."""

    @property
    def transport(self) -> Writing:
        """Where the answer goes."""

    @property
    def is_write_paused(self) -> bool:
        """Whether the client reads more slowly than it is written to."""

    @property
    def peer(self) -> str:
        """The address that it calls from; empty where there is none."""

    def relay_finished(self, relay: Relay) -> None:
        """The answer is out."""


class Inner:
    """A client without a connection. The relay must not chunk its body: it ends with the answer.

    `on_data` is called with each piece of the body of a success, `on_end` once when the answer is out; `status` and
    `body` then hold what came, the body only where no `on_data` took it.
    """

    is_write_paused = False
    peer = ""

    def __init__(self, on_end: Callable[[Inner], None], on_data: Callable[[Inner, bytes], None] | None = None) -> None:
        self.status = 0
        self.body = b""
        self.was_aborted = False
        self._on_end = on_end
        self._on_data = on_data
        self._head = b""

    def head_lines(self, names: tuple[bytes, ...]) -> bytes:
        """The lines of the answer's head whose names begin so, each with its end."""
        lines = self._head.split(b"\r\n")[1:]
        return b"".join(line + b"\r\n" for line in lines if line.startswith(names))

    def number(self, name: bytes) -> int:
        """The number that a line of the answer's head has; 0 without one."""
        text = self.head_lines((name,)).partition(b":")[2].strip()
        return int(text) if text.isdigit() else 0

    @property
    def transport(self) -> Writing:
        """It is its own."""
        return self

    def write(self, data: Bytes) -> None:
        """Takes a piece of the answer; the head comes whole, with or without a first piece of the body."""
        if not self.status:
            self._head, _, data = bytes(data).partition(_HEAD_END)
            self.status = int(self._head[9:12])
        if not data:
            return
        if self._on_data is not None and self.status == 200:
            self._on_data(self, bytes(data))
        else:
            self.body += bytes(data)

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """As `write`."""
        self.write(b"".join(list_of_data))

    def abort(self) -> None:
        """The answer cannot be completed."""
        self.was_aborted = True

    def relay_finished(self, relay: Relay) -> None:  # noqa: ARG002 - the client of a relay
        """The answer is out: who is told is let go of, so that nobody has to collect it."""
        on_end, self._on_end, self._on_data = self._on_end, _nobody, None
        on_end(self)


def _nobody(_inner: Inner) -> None:
    """Whom an end is told that was told already."""
