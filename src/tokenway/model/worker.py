"""What an edge worker is told about itself when it starts."""

from __future__ import annotations

import msgspec


class WorkerOptions(msgspec.Struct, frozen=True):
    """What a worker is for. `control` is the path of the socket on which it finds the control process.

    `drain` in seconds.
    """

    number: int
    journal_dir: str
    control: str
    drain: float = 30.0
    tls_cert: str | None = None
    tls_key: str | None = None

    @property
    def name(self) -> str:
        """What its journals are called by, and what people read."""
        return f"edge-{self.number}"
