"""The settings of self-service: a part of `model.settings`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tokenway.model.money import NanoUsd

Count = Annotated[int, Meta(ge=1, le=10**15)]
Usd = Annotated[NanoUsd, Meta(ge=0)]


class SignUpLimits(msgspec.Struct, frozen=True):
    """What all keys of one who signed up may take together."""

    rpm: Annotated[Count | None, Meta(description="Requests a minute.")] = None
    tpm: Annotated[Count | None, Meta(description="Tokens a minute, in and out.")] = None
    concurrency: Annotated[Count | None, Meta(description="Calls at once.")] = None
    usd_per_day: Annotated[Usd | None, Meta(description="USD a day (UTC).")] = None


class SignUpSettings(msgspec.Struct, frozen=True):
    """Whether people may make accounts of their own at the control listener, and what they get."""

    enabled: Annotated[bool, Meta(description="Whether they may.")] = False
    project: Annotated[
        str | None,
        Meta(description="The project that they all join; when left out each gets a prepaid one."),
    ] = None
    grant: Annotated[
        NanoUsd,
        Meta(
            ge=0, description="USD to begin with: the first credits of the new project, or the budget of the new key."
        ),
    ] = NanoUsd(0)
    limits: Annotated[SignUpLimits, Meta(description="What all keys of such a user may take together.")] = (
        SignUpLimits()
    )
    models: Annotated[
        tuple[str, ...] | None,
        Meta(description="The models that these keys may call; `free-*` for all that begin so; all when left out."),
    ] = None
    per_hour: Annotated[int, Meta(ge=1, le=10_000, description="How many may sign up from one address in an hour.")] = 5
