"""What is told over a leash: one payload, and the sockets and files that belong to it.

A child can therefore be started before any of that is known, and nothing of it is on a command line. Whoever is told
something reads all that has come: the next may be told only when it has answered.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

from tokenway.wire.frames import FrameSplitter, frame
from tokenway.wire.limits import MIB

FIRST: Final = b"f"
"""What the descriptors travel with: there must be something."""
DESCRIPTORS_MAX: Final = 8


def hand_over(end: socket.socket, payload: bytes, descriptors: tuple[int, ...] = ()) -> None:
    """Tells the other end; raises OSError when it is gone."""
    socket.send_fds(end, [FIRST], descriptors)
    end.sendall(frame(payload))


def receive(end: socket.socket) -> tuple[bytes, list[int]] | None:
    """Waits for it; None when the other end is gone before it has told everything."""
    splitter = FrameSplitter()
    with contextlib.suppress(ConnectionResetError):  # it died with something unread: the same as an end
        first, descriptors, _, _ = socket.recv_fds(end, len(FIRST), DESCRIPTORS_MAX)
        while first and (data := end.recv(MIB)):
            for payload in splitter.feed(data):
                for descriptor in descriptors:
                    os.set_inheritable(descriptor, False)
                return payload, descriptors
    return None
