"""Calls that the gateway makes of its own accord, to know how an endpoint is that nobody asks: what they are called.

A *probe* is an exchange like any other, and stands in journal, ledger and metrics. Its project is `PROBE`, and its
model and key are `PROBE/` and the name of the model whose endpoint is asked, so that nothing of it is counted as a
caller's. Its id says its day and what it is, by which the ledger finds what a day's probes have cost. Its run says what
was set aside for it: that is what it counts where nobody knows what it cost.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.model.identity import SECONDS_PER_DAY, day_in, day_of, ids_of_day

PROBE: Final = "tokenway-probe"
"""The project of all probes; callers' keys cannot have the ids that begin with it."""
_PROBES: Final = f"{PROBE}/"
OUTPUT_MOST: Final = 32
"""Tokens of a probe's answer: few, and enough for a speed."""
PROMPT: Final = "Count from one to fifty in words, and say nothing else."
_MARK: Final = "probe-"
"""What stands behind the day in the ids of probes; workers' have a hexadecimal digit there, and sort before them."""
RUN: Final = "probe:"
"""What the run of a probe begins with; nano-dollars follow."""


def asked_as(model: str) -> str:
    """What a probe of one of a model's endpoints has for its model, and for its key."""
    return f"{_PROBES}{model}"


def is_asked_as(name: str) -> bool:
    """Whether a model's name is that of probes."""
    return name.startswith(_PROBES)


def ids_of(day: int) -> str:
    """What the ids of a day's probes begin with."""
    return f"{ids_of_day(day)}{_MARK}"


def ids_end(day: int) -> str:
    """What comes behind all of a day's probes in the order of texts, and behind all other exchanges of the day."""
    return f"{ids_of_day(day)}{_MARK[:-1]}."


def is_id(identity: str) -> bool:
    """Whether an exchange's id is a probe's."""
    day = day_in(identity)
    return day is not None and identity.startswith(ids_of(day))


def id_of(at: float, mark: str) -> str:
    """The id of a probe that begins at a Unix time; `mark` tells it from others. Within a day they sort by time."""
    day = day_of(at)
    return f"{ids_of(day)}{int(at) - day * SECONDS_PER_DAY:05d}-{mark}"


def body_of(model: str, limit_field: str) -> bytes:
    """The request of a probe in OpenAI's chat dialect; `limit_field` is what the provider calls the answer's limit."""
    return msgspec.json.encode(
        {
            "model": asked_as(model),
            "messages": [{"role": "user", "content": PROMPT}],
            limit_field: OUTPUT_MOST,
            "stream": True,
        }
    )
