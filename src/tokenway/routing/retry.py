"""Which failure may be tried again, where, after how long, and how many such tries a worker can afford.

    FATAL      the caller's own mistake, or a refusal of what was asked: every endpoint would say the same
    ELSEWHERE  this endpoint is out for this exchange, another one may do
    AGAIN      the failure may pass: other endpoints first, then this one after a pause
    LARGER     the request is too long for this model: only endpoints with a larger context, or with one that is not
               known, are left

What an error's code says goes before the upstream's own advice (`x-should-retry`), and that before the status. "Do not
try again" means *not here*: where the status concerns the one provider, the others are still asked.

`scope` says whom a failure is held against. An endpoint answers for broken connections, silence and 5xx; a credential
for its own refusal, its spent money and its rates (429); nobody for what a caller did wrong. How long a call may take
in all is the caller's choice, so that deadline is not held against an endpoint: a caller in a hurry could close it for
everybody. `outcome` says what of it routing learns.

The pause is full jitter (a random share of a doubling bound, after Amazon's "Exponential Backoff And Jitter"); an
upstream that names its own pause (`retry-after`) is believed.

`RetryBudget` keeps retries a share of the calls, so that an outage is not answered with a storm: what Finagle's
`RetryBudget` and gRPC's retry throttling (proposal A6) do.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from tokenway.model.faults import Fault
from tokenway.model.sample import Outcome

BACKOFF_FIRST: Final = 0.25
BACKOFF_MAX: Final = 8.0
"""Bounds of the pause in seconds: the SDKs of OpenAI and Anthropic use 0.5 s doubling to 8 s."""

RETRY_AFTER_MAX: Final = 30.0
"""The longest pause in seconds that is waited through; beyond it the caller is told instead."""

BUDGET_RATIO: Final = 0.2
"""Retries for each first attempt: Finagle's default."""
BUDGET_RATE: Final = 10.0
"""Retries a second that even a quiet worker may make: Finagle's default."""
BUDGET_FIRST: Final = 100.0
BUDGET_MAX: Final = 200.0
"""What a worker begins with (ten seconds of that, as Finagle has it), and the most it saves up: bounded, so that a long
quiet time does not pay for a storm."""


class Verdict(IntEnum):
    """What a failed attempt means for the exchange."""

    FATAL = 0
    ELSEWHERE = 1
    AGAIN = 2
    LARGER = 3


class Scope(IntEnum):
    """Whom a failure is held against."""

    ENDPOINT = 0
    CREDENTIAL = 1
    REQUEST = 2


# Names of their own, for the reason that `exchange.attempts` gives.
FATAL, ELSEWHERE, AGAIN, LARGER = Verdict
ENDPOINT, CREDENTIAL, REQUEST = Scope

CONTENT_CODES: Final = (
    "content_filter",  # Azure OpenAI, 400
    "content_policy_violation",  # OpenAI's images, OpenRouter
    "data_inspection_failed",  # Alibaba's compatible paths, 400; its own paths say DataInspectionFailed
    "DataInspectionFailed",
    "moderation_blocked",  # OpenAI's images, 400
    "refusal",  # OpenRouter
    "ResponsibleAIPolicyViolation",  # Azure's images and inner errors
)
"""What was asked is refused for what it is."""
CONTEXT_CODES: Final = (
    "context_length_exceeded",  # OpenAI, Groq, Cerebras, OpenRouter; `dialects.complaint` finds it in others' sentences
    "exceed_context_size_error",  # llama.cpp's server
    "max_tokens_exceeded",  # OpenRouter
    "token_limit_exceeded",  # OpenRouter
)
"""The request is too long for the model."""
SPENT_CODES: Final = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "credit_balance_too_low",
    "billing_hard_limit_reached",
    "billing_error",
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
)
"""The account has nothing left: no waiting helps this credential, and another one may have some."""
LIMITED_CODE: Final = "model_limit_reached"
"""Our own: a limit of the one model that an endpoint would serve does not hold the call."""
_UNSUITED_CODES: Final = (LIMITED_CODE, "unsupported_media", "unsupported_parameter", "unsupported_value")
"""What one endpoint cannot take another one may."""

_BY_CODE: Final[dict[str, tuple[Verdict, Scope]]] = {
    **dict.fromkeys(CONTENT_CODES, (FATAL, REQUEST)),
    **dict.fromkeys(CONTEXT_CODES, (LARGER, REQUEST)),
    **dict.fromkeys(SPENT_CODES, (ELSEWHERE, CREDENTIAL)),
    **dict.fromkeys(_UNSUITED_CODES, (ELSEWHERE, REQUEST)),
}

_BY_STATUS: Final[dict[int, tuple[Verdict, Scope]]] = {
    401: (ELSEWHERE, CREDENTIAL),
    402: (ELSEWHERE, CREDENTIAL),
    403: (ELSEWHERE, CREDENTIAL),
    404: (ELSEWHERE, REQUEST),
    405: (ELSEWHERE, REQUEST),
    408: (AGAIN, ENDPOINT),
    409: (AGAIN, REQUEST),
    424: (AGAIN, ENDPOINT),  # Bedrock: the model failed while it worked
    425: (AGAIN, REQUEST),
    429: (AGAIN, CREDENTIAL),
    501: (ELSEWHERE, REQUEST),
}
_FAULTS: Final = {fault.value: fault for fault in Fault}
_GIVEN_UP: Final = (Fault.OUTRUN, Fault.SLOW)
"""Ours to call: another attempt was faster."""
_TOO_MANY: Final = 429
_CALLERS_MISTAKE: Final = (FATAL, REQUEST)
_SERVERS_FAILURE: Final = (AGAIN, ENDPOINT)
_NO_ANSWER: Final = (ELSEWHERE, ENDPOINT)
_TOO_MUCH_AT_ONCE: Final = (ELSEWHERE, CREDENTIAL)


def _judge(status: int, code: str) -> tuple[Verdict, Scope]:
    """What an error answer means, by its code, else by its status."""
    found = _BY_CODE.get(code)
    if found is not None:
        return found
    if status == 413 and code == "rate_limit_exceeded":
        return _TOO_MUCH_AT_ONCE  # Groq: more tokens in one request than its rate allows a minute
    if status >= 500:
        return _BY_STATUS.get(status, _SERVERS_FAILURE)
    if status >= 400:
        return _BY_STATUS.get(status, _CALLERS_MISTAKE)
    return _NO_ANSWER


def verdict(fault: Fault, status: int = 0, code: str = "", *, should_retry: bool | None = None) -> Verdict:
    """What to do about a failure; `code` is the upstream's error code and `should_retry` its own advice."""
    if fault is not Fault.STATUS:
        if code in _BY_CODE:
            return _BY_CODE[code][0]
        return ELSEWHERE if fault is Fault.TLS else AGAIN
    found = _judge(status, code)[0]
    if should_retry is None or code in _BY_CODE:
        return found
    if should_retry:
        return AGAIN
    return ELSEWHERE if found is AGAIN else found


def scope(fault: Fault, status: int = 0, code: str = "") -> Scope:
    """Whom a failure is held against; a 429 is the credential's, which is for its rates (`routing.rate`) to know."""
    if fault is Fault.STATUS:
        return _judge(status, code)[1]
    if code in _BY_CODE:
        return _BY_CODE[code][1]
    return REQUEST if fault is Fault.TOTAL_DEADLINE else ENDPOINT


def outcome(fault: str, status: int = 0, code: str = "") -> Outcome:
    """What an attempt whose answer was not delivered says of its endpoint; a fault that is not known says nothing.

    Who does not have the model, or does not take the key, is no endpoint to be asked first.
    """
    if status == _TOO_MANY:
        return Outcome.LIMITED
    known = _FAULTS.get(fault)
    if known is None or known in _GIVEN_UP or code in _UNSUITED_CODES:
        return Outcome.LEFT
    is_its_own = scope(known, status, code) is ENDPOINT or verdict(known, status, code) is ELSEWHERE
    return Outcome.FAILED if is_its_own else Outcome.LEFT


def pause(tries: int, dice: float, retry_after: float | None) -> float:
    """Seconds to wait before an endpoint that failed `tries` times is asked again; `dice` is in [0, 1)."""
    if retry_after is not None:
        return max(0.0, retry_after)
    return dice * min(BACKOFF_MAX, BACKOFF_FIRST * 2.0**tries)


def allowed_retries(max_retries: int, callers_count: int) -> int:
    """How many retries an exchange may make whose caller is itself at its `callers_count`-th one; never below 0.

    The SDKs of OpenAI and Anthropic say in `x-stainless-retry-count` how often they have tried already, twice at most.
    With two retries here, a call that fails throughout costs 3 + 2 + 1 attempts in place of 9.
    """
    return max(0, max_retries - max(0, callers_count))


class RetryBudget:
    """How many retries a worker can still afford: a share of its calls, and a few a second besides.

    At any time the retries granted are at most `BUDGET_FIRST`, a `ratio` of the deposits, and `rate` a second.
    """

    __slots__ = ("_at", "_balance", "_rate", "_ratio")

    def __init__(self, now: float, ratio: float = BUDGET_RATIO, rate: float = BUDGET_RATE) -> None:
        """`now` is in monotonic seconds, as in `is_open`."""
        self._ratio = ratio
        self._rate = rate
        self._balance = BUDGET_FIRST
        self._at = now

    def deposit(self) -> None:
        """A call made its first attempt."""
        balance = self._balance + self._ratio
        self._balance = min(balance, BUDGET_MAX)

    def is_open(self, now: float) -> bool:
        """Whether one more attempt may be made beyond a call's first."""
        if now > self._at:
            self._balance = min(BUDGET_MAX, self._balance + (now - self._at) * self._rate)
            self._at = now
        return self._balance >= 1.0

    def withdraw(self) -> None:
        """One more attempt is made."""
        self._balance -= 1.0
