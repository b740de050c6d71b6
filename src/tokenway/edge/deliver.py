"""The answer of an exchange on its way to the caller: the lines of its head, the pieces of a stream, and its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tokenway.edge import reply
from tokenway.edge.refusals import rate_lines
from tokenway.wire.limits import PING_SECONDS

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay


def header_lines(relay: Relay) -> bytes:
    """The header lines that every answer has."""
    attempts = relay.attempts
    lines = (relay.winner or attempts[-1]).lines if attempts else b""
    common = relay.labels + relay.state.date
    if relay.claim is not None and relay.claim.is_told:
        common += rate_lines(relay.claim, time.time())
    name = relay.form.id_header
    if name and name not in lines:  # else it is the upstream's own
        common = b"%b: %b\r\n%b" % (name, relay.id.encode(), common)
    if not attempts:
        return reply.identity(relay.id, keep_alive=relay.keep_alive) + common
    return reply.attempted(relay.id, len(attempts), relay.overhead, lines, keep_alive=relay.keep_alive) + common


def begin_stream(relay: Relay, lines: bytes, content_type: bytes) -> None:
    """Makes the head of a stream, which goes out with the first payload; `lines` are its header lines."""
    relay.head = reply.stream_head(lines, content_type, chunked=relay.is_chunked)
    relay.is_streaming = True
    relay.state.streams += 1


def forward(relay: Relay, data: bytes) -> None:
    """Payload of a stream to the caller, behind the head if that has not gone out yet."""
    if relay.is_chunked and data:  # an empty chunk would be the last
        data = b"%x\r\n%b\r\n" % (len(data), data)
    if relay.head:
        data = relay.head + data
        relay.head = b""
    relay.client.transport.write(data)


def forward_made(relay: Relay, data: bytes, lines: bytes, content_type: bytes) -> None:
    """Payload of a stream that is made elsewhere, which begins with it if it has not yet."""
    if not relay.is_streaming:
        begin_stream(relay, lines, content_type)
    forward(relay, data)


def end_stream(relay: Relay, data: bytes) -> None:
    """The last payload and the end of the body, which is the connection's end where nothing else can mark it."""
    forward(relay, data)
    if relay.is_chunked:
        relay.client.transport.write(reply.LAST_CHUNK)
    else:
        relay.keep_alive = False
    relay.finish()


def keep_warm(relay: Relay, now: float) -> None:
    """Once a second: tells the caller of a converted stream that has been silent for long that it goes on.

    A stream of the caller's own dialect has its provider's own pings.
    """
    winner = relay.winner
    if winner is None or not relay.is_streaming or now - max(winner.last_activity, relay.warmed_at) < PING_SECONDS:
        return
    relay.warmed_at = now
    ping = winner.ping()
    if ping and not relay.client.is_write_paused:
        forward(relay, ping)
