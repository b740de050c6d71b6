"""One row about a provider."""

from __future__ import annotations

import pytest

from tokenway.dialects.known import KnownProvider, Offer, Service, is_key
from tokenway.model.catalog import AwsKeys, Dialect, Operation
from tokenway.model.secret import Secret

ROW = KnownProvider(
    name="cloud",
    title="A cloud",
    dialect=Dialect.GEMINI,
    base_url="https://{PLACE}-aiplatform.googleapis.com/v1/{PROJECT}",
    key_variables=("CLOUD_KEY", "OLD_CLOUD_KEY"),
    signing=("CLOUD_ACCESS", "CLOUD_SECRET"),
    address_variables=("PLACE", "PROJECT"),
    stand_ins=(("PLACE", "OLD_PLACE"), ("AWS_REGION", "PLACE")),
)
SIGNED = {"CLOUD_ACCESS": "A ", "CLOUD_SECRET": "s", "PLACE": "eu"}


def test_addresses_are_filled_in() -> None:
    """Every variable, or the one that stands in for it; a slash at its end is a slip."""
    assert ROW.address({"OLD_PLACE": " paris ", "PROJECT": "p/"}) == "https://paris-aiplatform.googleapis.com/v1/p"
    assert ROW.address({"PLACE": "eu"}) is None
    assert ROW.missing({"PLACE": "eu", "OLD_CLOUD_KEY": "k"}) == ("PROJECT",)


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
    ],
)
def test_places_that_are_no_region_stand_otherwise_in_the_host(place: str, host: str) -> None:
    """As Google has it for its locations `global`, `us` and `eu`."""
    assert ROW.address({"PLACE": place, "PROJECT": "p"}) == f"https://{host}/v1/p"


def test_a_header_is_the_dialects_own_unless_it_is_said() -> None:
    """For the row and for each of its other dialects."""
    assert ROW.credential_header == "x-goog-api-key"
    assert Offer(Dialect.ANTHROPIC, "https://x").credential_header == "x-api-key"
    assert Offer(Dialect.ANTHROPIC, "https://x", "authorization").credential_header == "authorization"


def test_what_it_does_is_told_by_its_services() -> None:
    """Everything where it chats; else what its services are; legacy completions where they are one."""
    embeds = KnownProvider(
        name="e", title="E", base_url="https://e", key_variables=("E",), chats=False, services=(Service.EMBEDDINGS,)
    )
    assert embeds.operations == (Operation.EMBEDDING, Operation.EMBED_CONTENT)
    assert ROW.operations == tuple(Operation)
    assert not ROW.chats_by_completions
    assert KnownProvider(name="o", title="Own", base_url="http://127.0.0.1").chats_by_completions


def test_signing_keys_do_instead_of_a_key() -> None:
    """All of them with a region, which may stand elsewhere; a token only when it is there."""
    assert ROW.missing(SIGNED | {"PROJECT": "p"}) == ()
    assert ROW.aws(SIGNED) == AwsKeys("A", Secret("s"), "eu")
    assert ROW.aws(SIGNED | {"AWS_SESSION_TOKEN": "t"}) == AwsKeys("A", Secret("s"), "eu", Secret("t"))
    assert ROW.aws({"CLOUD_ACCESS": "A", "PLACE": "eu"}) is None
    assert ROW.aws({"CLOUD_ACCESS": "A", "CLOUD_SECRET": "s"}) is None


@pytest.mark.parametrize(("text", "good"), [("sk-1", True), ("", False), ("a b", False), ("a\nb", False), ("é", False)])
def test_a_key_is_what_a_header_can_carry(text: str, good: bool) -> None:
    """Printable ASCII without spaces, and at least one character."""
    assert is_key(text) is good
