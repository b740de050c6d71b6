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
    """Control to worker: the answer to a question, as a JSON text; None when there is nothing.

    `ok` is False when control could not find out, and nothing is known.
    """

    number: int
    body: bytes | None
    ok: bool = True


class Question(msgspec.Struct, frozen=True, tag="question"):
    """Worker to control: something that only control knows, or only the store can do.

    `what` is `generation`, `key`, `run`, `runs` (`subject` is then the JSON of how many, and the cursor), `velocity` (a
    JSON array of endpoints' ids), or what to do with a kept response: `response`, `events`, `chain`, `forget`, `stop`,
    `show`.
    """

    number: int
    what: str
    key_id: str
    subject: str = ""
    project: str = ""


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """Worker to control: keep this response. It is sent again, in a new connection, until it is acknowledged."""

    response: StoredResponse
    number: int = 0


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """Control to worker: what has this number is in the store."""

    number: int


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
    """Worker to control, once a second: how it is. `leases` is what is left by the limit's id, in its unit.

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


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Worker to control, first of all and after each new connection: who it is.

    `holder` is the life of its journal's writer, which is what leases are granted to; `version` the snapshot in force,
    0 for none.
    """

    number: int
    holder: str
    version: int = 0


class Want(msgspec.Struct, frozen=True, tag="want"):
    """Worker to control: a lease of at least `least` is needed now; `limit` is the id of a limit, or of one run's.

    `run` is the run's id for a limit that holds for each run, `key_id` and `run` name it together. `detail` is what the
    limit is about where that is more than a number: the agent and its parent for a depth, the digest of a request for
    loops.
    """

    number: int
    limit: str
    least: int
    key_id: str = ""
    run: str = ""
    detail: tuple[str, ...] = ()


class Granted(msgspec.Struct, frozen=True, tag="granted"):
    """Control to worker: the answer to a want.

    `amount` was added to the worker's lease of this `period`, which begins and ends at these Unix times (0.0 for one
    that does not end). `remains` is what nobody holds; `amount` is less than was wanted, perhaps 0, when that is all
    there is. `wait` is after how many seconds asking again may help, 0.0 for never in this period. `ok` is False when
    control could not find out, and nothing is known.
    """

    number: int
    limit: str
    period: int
    amount: int
    remains: int = 0
    begins: float = 0.0
    ends: float = 0.0
    wait: float = 0.0
    ok: bool = True


class Return(msgspec.Struct, frozen=True, tag="return"):
    """Worker to control: this part of a lease is not needed."""

    limit: str
    period: int
    amount: int


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Control to worker: give back what you do not use of these limits; others have nothing left."""

    limits: tuple[str, ...]


ToWorker = Publish | Answer | Kept | Stop | Show | Heard | Probe | Granted | Recall
ToControl = Question | Serving | Gauges | Keep | Seen | Probed | Hello | Want | Return


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
