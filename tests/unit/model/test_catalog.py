"""Providers, endpoints and models."""

from __future__ import annotations

from math import inf

import msgspec
import pytest

from tokenway.model.catalog import Capabilities, Dialect, Endpoint, Model, Operation, Price, Provider, Timeouts
from tokenway.model.money import Rate


def test_an_endpoint_is_named_after_its_provider_and_its_model_there() -> None:
    """`provider/upstream-model`, slashes of the model's own name included."""
    assert Endpoint("lab", "org/model").id == "lab/org/model"


def test_an_endpoint_does_everything_unless_it_says_otherwise() -> None:
    """Every operation is a default."""
    assert set(Endpoint("lab", "m").operations) == set(Operation)


def test_a_provider_has_an_address_and_a_header_for_each_dialect() -> None:
    """Its own, those it understands beside it with the usual header or another one, and none for the rest."""
    provider = Provider(
        "lab",
        "http://own",
        dialect=Dialect.GEMINI,
        credential_header="api-key",
        speaks=((Dialect.ANTHROPIC, "http://a"), (Dialect.OPENAI_CHAT, "http://c")),
        speaks_with=((Dialect.OPENAI_CHAT, "x-other"),),
    )
    dialects = (Dialect.GEMINI, Dialect.ANTHROPIC, Dialect.OPENAI_CHAT)
    assert [provider.address(each) for each in dialects] == ["http://own", "http://a", "http://c"]
    assert [provider.header(each) for each in dialects] == ["api-key", "x-api-key", "x-other"]
    assert provider.address(Dialect.BEDROCK) is None


def test_records_cannot_be_changed() -> None:
    """A snapshot is shared by exchanges under way."""
    for record in (Endpoint("lab", "m"), Model("m", ()), Price(Rate(1), Rate(2)), Timeouts()):
        with pytest.raises(AttributeError):
            setattr(record, record.__struct_fields__[0], None)


@pytest.mark.parametrize("field", ["connect", "first_token", "between_tokens", "total"])
def test_a_deadline_is_a_positive_time_of_a_day_at_most(field: str) -> None:
    """Zero would never let anything happen, and more than a day is a slip."""
    for seconds in (0, -1, 86_401):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({field: seconds}, Timeouts, strict=False)
    assert getattr(msgspec.convert({field: 86_400}, Timeouts, strict=False), field) == 86_400


def test_capabilities_have_sizes_or_none() -> None:
    """A context of zero tokens is no context."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"context": 0}, Capabilities)
    assert msgspec.convert({"context": 1}, Capabilities).max_output is None


def test_an_endpoint_can_what_is_made_of_what_it_does() -> None:
    """A chat model completes text and counts tokens; one that only embeds does neither."""
    chat = Endpoint("p", "m", operations=(Operation.CHAT,))
    assert [chat.can(each) for each in (Operation.CHAT, Operation.COMPLETION, Operation.COUNT)] == [True, True, True]
    assert not chat.can(Operation.EMBED_CONTENT)
    embeds = Endpoint("p", "m", operations=(Operation.EMBEDDING,))
    assert embeds.can(Operation.EMBED_CONTENT)
    assert not embeds.can(Operation.COMPLETION)


def test_a_deadline_is_only_ever_shortened() -> None:
    """Each by itself."""
    here = Timeouts(5.0, 60.0, 30.0, 900.0)
    assert here.within(Timeouts(9.0, 1.0, inf, 900.5)) == Timeouts(5.0, 1.0, 30.0, 900.0)
