"""What the supervisor tells the control process when it starts it, over a socket that nobody else can reach.

It carries the settings with their secrets, which is why none of it is on a command line.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import msgspec

from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tokenway.wire.frames import FrameSplitter, frame
from tokenway.wire.limits import MIB


class Handover(msgspec.Struct, frozen=True):
    """How the control process is started; the sockets and the lock of the data directory are inherited.

    `settings` are those that the gateway was started with: what is read at the start only stays as it was when the
    control process is started again. `is_first` says whether nobody was told yet how to use the gateway.
    """

    settings: Settings
    config: str | None
    """The file that they were read from, if any."""
    overrides: dict[str, str]
    data_dir: str
    workers_fd: int
    control_fd: int
    port: int
    control_port: int
    is_first: bool = True

    @property
    def data(self) -> Path:
        """The data directory."""
        return Path(self.data_dir)


def _encode(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"not part of the settings: {type(value).__name__}")


def _decode(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError(f"not part of the settings: {kind.__name__}")


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_encode)
_decoder: Final = msgspec.msgpack.Decoder(Handover, dec_hook=_decode)


def pack(told: Handover) -> bytes:
    """What goes over the socket."""
    return frame(_encoder.encode(told))


def receive(end: socket.socket) -> Handover:
    """Waits for it; raises ConnectionError when the supervisor ends before it has told everything."""
    splitter = FrameSplitter()
    while data := end.recv(MIB):
        for payload in splitter.feed(data):
            return _decoder.decode(payload)
    raise ConnectionAbortedError("the supervisor is gone")
