"""What the control process and a worker say to each other, over a socket that nobody else can reach.

It carries secrets (the providers' keys), which is why `Secret` is encoded here and nowhere else.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.model.sample import Sample
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot
from tokenway.model.stored import StoredResponse


class Publish(msgspec.Struct, frozen=True, tag="publish"):
    """Control to worker: serve by this from now on."""

    snapshot: Snapshot


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Control to worker: the answer to a question, as a JSON text; None when there is nothing."""

    number: int
    body: bytes | None


class Question(msgspec.Struct, frozen=True, tag="question"):
    """Worker to control: something that only control knows, or only the store can do.

    `what` is `generation`, `key`, `velocity` (`subject` is then a JSON array of endpoints' ids), or what to do with a
    kept response: `response`, `events`, `chain`, `forget`, `stop`, `show`.
    """

    number: int
    what: str
    key_id: str
    subject: str = ""
    project: str = ""


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """Worker to control: keep this response."""

    response: StoredResponse


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Control to worker: end what you do for this response in the background, if you do."""

    response: str
    project: str


class Show(msgspec.Struct, frozen=True, tag="show"):
    """Control to worker: give what there is so far of this response in the background, if you make it."""

    response: str
    project: str


class Serving(msgspec.Struct, frozen=True, tag="serving"):
    """Worker to control: the first snapshot is in force and connections are accepted."""

    version: int


class Gauges(msgspec.Struct, frozen=True, tag="gauges"):
    """Worker to control, once a second: how it is. `leases` is nano-dollars left by key id.

    `breakers` is the state of the breakers that are not closed, by endpoint id, as `tokenway_breaker_state` has it.
    """

    open_streams: int
    loop_lag: float
    leases: dict[str, int]
    breakers: dict[str, int] = {}


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """Worker to control: what its attempts were like since it last said so."""

    samples: list[Sample]


class Heard(msgspec.Struct, frozen=True, tag="heard"):
    """Control to worker: what the other workers' attempts were like; to a new one, what all of them know."""

    samples: list[Sample]


class Probe(msgspec.Struct, frozen=True, tag="probe"):
    """Control to worker: find out how this endpoint of a model is, under this id, for at most `amount` nano-dollars.

    `at` is Unix time: a probe that has waited for long is not made any more.
    """

    exchange: str
    model: str
    endpoint: str
    amount: int
    at: float


class Probed(msgspec.Struct, frozen=True, tag="probed"):
    """Worker to control: this probe is over, or was not made; the journal has what there is to say of it."""

    exchange: str


class WorkerOptions(msgspec.Struct, frozen=True):
    """How a worker is started; the sockets are inherited. `drain` in seconds."""

    name: str
    journal_dir: str
    listener_fd: int
    link_fd: int
    drain: float = 30.0
    tls_cert: str | None = None
    tls_key: str | None = None


ToWorker = Publish | Answer | Stop | Show | Heard | Probe
ToControl = Question | Serving | Gauges | Keep | Seen | Probed


def _encode(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"not part of the link: {type(value).__name__}")


def _decode(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError(f"not part of the link: {kind.__name__}")


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_encode)
_to_worker: Final[msgspec.msgpack.Decoder[ToWorker]] = msgspec.msgpack.Decoder(ToWorker, dec_hook=_decode)
_to_control: Final[msgspec.msgpack.Decoder[ToControl]] = msgspec.msgpack.Decoder(ToControl, dec_hook=_decode)


def pack(message: ToWorker | ToControl) -> bytes:
    """A message as the payload of one frame."""
    return _encoder.encode(message)


def unpack_for_worker(payload: bytes) -> ToWorker:
    """The message in a frame that control sent; raises msgspec.DecodeError when it is none."""
    return _to_worker.decode(payload)


def unpack_for_control(payload: bytes) -> ToControl:
    """The message in a frame that a worker sent; raises msgspec.DecodeError when it is none."""
    return _to_control.decode(payload)
