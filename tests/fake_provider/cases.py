"""The cases that a model's name selects, in every dialect: `text`, `tools`, `reasoning`, `error-mid`, and so on.

The signatures and seals are made up; each names the dialect that would have made it, so that a test sees where one
has strayed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.fake_provider.reply import Called, Counts, Drawn, Finish, Refused, Reply, Said, Thought
from tests.fake_provider.scripts import Script

PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
"""A PNG of one pixel."""
SIGNATURE: Final = "RmFrZVNpZ25hdHVyZU9mUmVhc29uaW5n"
"""Base64, as vendors' signatures are: \"FakeSignatureOfReasoning\"."""
CALL_SIGNATURE: Final = "RmFrZVNpZ25hdHVyZU9mQ2FsbA=="
SEAL: Final = "RmFrZVNlYWxlZFJlYXNvbmluZw=="
STOP: Final = "END"
BROKEN: Final = "The fake provider broke in the middle."
INVALID: Final = "The fake provider finds temperature out of range."

_WEATHER: Final = Called("call_fake_1", "get_weather", {"city": "Zürich", "unit": "celsius"})
_TIME: Final = Called("call_fake_2", "get_time", {"zone": "Europe/Zurich"})
_LONG: Final = "".join(f"word{number} " for number in range(200)).rstrip()

REPLIES: Final[Mapping[str, Reply]] = MappingProxyType(
    {
        "text": Reply((Said("Grüße from the fake provider, 你好 👋🏽.\n\nIt speaks “plain” text."),)),
        "tools": Reply((Said("Let me look at the weather."), _WEATHER), Finish.TOOLS, Counts(uncached=52, text=23)),
        "parallel-tools": Reply((_WEATHER, _TIME), Finish.TOOLS, Counts(uncached=61, text=34)),
        "reasoning": Reply(
            (Thought("Seven times six: that is forty-two.", SIGNATURE), Said("The answer is 42.")),
            counts=Counts(uncached=15, text=6, reasoning=9),
        ),
        "reasoning-tools": Reply(
            (
                Thought("The weather decides, so I ask for it.", SIGNATURE),
                Called("call_fake_1", "get_weather", {"city": "Zürich"}, CALL_SIGNATURE),
            ),
            Finish.TOOLS,
            Counts(uncached=55, text=14, reasoning=10),
        ),
        "sealed": Reply(
            (Thought(sealed=SEAL), Said("I thought about it in private.")),
            counts=Counts(uncached=15, text=8, reasoning=21),
        ),
        "refusal": Reply((Refused("I cannot help with that."),), Finish.REFUSED, Counts(uncached=17, text=6)),
        "length": Reply((Said("This answer is cut"),), Finish.LENGTH, Counts(uncached=12, text=4)),
        "stop-sequence": Reply((Said("One, two, "),), Finish.STOP_SEQUENCE, Counts(uncached=13, text=5), stop=STOP),
        "json": Reply((Said('{"city":"Zürich","people":436000,"tags":["lake","hills"]}'),)),
        "cached": Reply(
            (Said("Most of this prompt was known."),),
            counts=Counts(uncached=20, cache_read=1000, cache_write=300, text=7),
        ),
        "cached-hour": Reply(
            (Said("This prompt is kept for an hour."),),
            counts=Counts(uncached=20, cache_read=1000, cache_write=200, cache_write_1h=100, text=8),
        ),
        "long": Reply((Said(_LONG),), counts=Counts(uncached=9, text=200)),
        "empty": Reply((), counts=Counts(uncached=9)),
        "image-out": Reply((Said("Here is a pixel."), Drawn(PIXEL)), counts=Counts(uncached=10, text=1300)),
    }
)

_FAULTS: Final[Mapping[str, Script]] = MappingProxyType(
    {
        "error-before": Script(status=400, error=INVALID),
        "unauthorized": Script(status=401, error="The fake provider does not know this key."),
        "rate-limited": Script(status=429, error="The fake provider has had enough.", retry_after="60"),
        "broken": Script(status=500, error="The fake provider is broken."),
        "overloaded": Script(status=503, error="The fake provider is overloaded."),
        "error-mid": Script(reply=REPLIES["text"], error=BROKEN, error_after=3, gap=0.02),
        "cut-mid": Script(reply=REPLIES["text"], cut=3, gap=0.02),
        "slow": Script(reply=REPLIES["text"], gap=0.05),
    }
)

CASES: Final[Mapping[str, Script]] = MappingProxyType(
    {name: Script(reply=reply) for name, reply in REPLIES.items()} | dict(_FAULTS)
)
"""Name of the model to what the provider does; `error-before` and the like are no replies but faults."""
