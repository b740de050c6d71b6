"""What one attempt consumed, split into disjoint buckets.

Providers count differently: OpenAI and Gemini include cached tokens in the input, Anthropic does not;
OpenAI and Anthropic include reasoning in the output, Gemini does not. Here each token is in exactly
one bucket, so buckets can be priced and added without counting anything twice.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """Counts by bucket; tokens unless the name says otherwise."""

    input_uncached: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output_text: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    requests: int = 0
    searches: int = 0
    images: int = 0
    """Whole pictures that were made, whatever their tokens."""
    sound_ms: int = 0
    """Milliseconds of sound that were heard."""
    characters: int = 0
    """Of text that was spoken."""

    @property
    def input_tokens(self) -> int:
        """All that went in, cached or not."""
        return (
            self.input_uncached
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.audio_in
            + self.image_in
        )

    @property
    def output_tokens(self) -> int:
        """All that came out, reasoning included."""
        return self.output_text + self.reasoning + self.audio_out + self.image_out


BUCKETS: tuple[str, ...] = Usage.__struct_fields__
"""The names of the buckets, in the order in which they are stored."""
PIECES: tuple[str, ...] = ("images", "sound_ms", "characters", "searches")
"""The buckets of what is sold by the piece and not by the token."""


SERVICES: Final = ("flex", "priority", "fast")
"""Classes of service that have prices of their own: OpenAI's, Google's and Amazon's tiers, and Anthropic's speed."""


def service_of(said: Any) -> str:
    """The class of service that an answer names, in letters of any size; empty for the usual one and an unknown one."""
    name = said.lower() if isinstance(said, str) else ""
    return name if name in SERVICES else ""


class Metered(msgspec.Struct, frozen=True, gc=False):
    """What a provider's count says: `given` with `usage` None is a count that cannot be believed.

    `service` is one of SERVICES, or empty for the usual one.
    """

    given: bool
    usage: Usage | None
    service: str = ""

    @property
    def is_absurd(self) -> bool:
        """Whether a count came that is not turned into money."""
        return self.given and self.usage is None


UNMETERED: Final = Metered(given=False, usage=None)
"""No count came."""
ABSURD: Final = Metered(given=True, usage=None)
"""A count came that cannot be believed: negative, contradicting itself, or beyond reason."""
TOKENS_BELIEVABLE: Final = 16_000_000
"""No model reads or writes more in one call; a larger count is a fault of the provider's meter."""
Tokens = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_BELIEVABLE)]
"""A count that can be: the decoder refuses others."""
SOUND_BELIEVABLE_MS: Final = 7 * 24 * 3_600_000
"""Nobody uploads a week of sound in one call."""
