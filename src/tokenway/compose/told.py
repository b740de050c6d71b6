"""What the supervisor tells the control process. It carries secrets, which is why none of it is on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from tokenway.model.secret import Secret
from tokenway.model.settings import Settings


class ControlOptions(msgspec.Struct, frozen=True):
    """What a control process is for.

    `settings` are those that the gateway was started with: what is read at the start only stays as it was when the
    control process is started again. `is_first` says whether nobody was told yet how to use the gateway. The ports are
    those that were bound, whatever the settings say.
    """

    settings: Settings
    config: str | None
    """The file that they were read from, if any."""
    overrides: dict[str, str]
    data_dir: str
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
_decoder: Final = msgspec.msgpack.Decoder(ControlOptions, dec_hook=_decode)


def encode(options: ControlOptions) -> bytes:
    """As it goes over the leash."""
    return _encoder.encode(options)


def decode(payload: bytes) -> ControlOptions:
    """What was encoded."""
    return _decoder.decode(payload)
