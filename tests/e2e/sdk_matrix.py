"""What the matrix of SDKs and upstream dialects is made of: one gateway, five providers, a model for every case."""

from __future__ import annotations

from typing import Any, Final

from tests.e2e.gateway import KEY
from tests.fake_provider import CASES, FakeProvider
from tests.golden.build import formats
from tests.sdks.expected import Rates
from tokenway.model.catalog import Dialect

RATES: Final = Rates()
DIALECTS: Final = tuple(Dialect)


def spoken() -> frozenset[Dialect]:
    """The dialects that this version of the gateway speaks."""
    return frozenset(formats()) or frozenset({Dialect.OPENAI_CHAT})


def base_url(provider: FakeProvider, dialect: Dialect) -> str:
    """What a configuration calls `base_url` for a provider of that dialect."""
    return provider.base_url if dialect in {Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES} else provider.origin


def model(dialect: str, case: str) -> str:
    """What a caller asks for to get a case from an upstream of a dialect."""
    return f"{dialect}--{case}"


def configuration(provider: FakeProvider, **more: Any) -> dict[str, Any]:
    """One provider for each dialect, all of them the same fake, and a priced model for each case of each."""
    dialects = sorted(spoken())
    return {
        "auth": {"keys": [{"name": "ci", "key": KEY}]},
        "providers": {
            f"lab-{dialect}": {
                "dialect": str(dialect),
                "base_url": base_url(provider, dialect),
                "api_key": f"sk-{dialect}",
            }
            for dialect in dialects
        },
        "models": {
            model(dialect, case): {
                "endpoints": [{"provider": f"lab-{dialect}", "model": case, "price": RATES.price()}],
            }
            for dialect in dialects
            for case in CASES
        },
    } | more
