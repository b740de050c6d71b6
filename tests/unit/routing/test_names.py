"""One model has one name for those who count and forbid, however it is asked for."""

from __future__ import annotations

import pytest

from tokenway.model.catalog import Endpoint, Listing, Model, Provider
from tokenway.model.match import Equals
from tokenway.model.snapshot import Snapshot
from tokenway.routing.names import allows, counted_as, may_ask

SNAPSHOT = Snapshot(
    1,
    {"openai": Provider("openai", "http://o/v1"), "lab": Provider("lab", "http://l/v1")},
    {
        "smart": Model("smart", (Endpoint("openai", "gpt-4o"), Endpoint("lab", "llama"))),
        "again": Model("again", (Endpoint("openai", "gpt-4o"),)),
    },
    {"fast": "smart", "gpt-best": "smart", "mini": "openai/gpt-4o-mini", "lost": "nowhere"},
    {},
    families=(("gpt-", "openai"),),
    listings={"openai": (Listing("gpt-4o", Equals("gpt-4o")), Listing("gpt-4o-mini", Equals("gpt-4o-mini")))},
)


@pytest.mark.parametrize("name", ["smart", "fast", "gpt-best", "openai/gpt-4o", "gpt-4o", "lab/llama"])
@pytest.mark.parametrize("suffix", ["", ":nitro", ":floor", ":free"])
def test_every_name_of_a_model_is_counted_as_one(name: str, suffix: str) -> None:
    """An alias, one of its endpoints, a family's name, with any suffix that is one."""
    if name == "lab/llama" and suffix:
        return  # of a provider whose models nobody knows it is a part of the name
    assert counted_as(SNAPSHOT, name + suffix) == "smart"


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("again", "again"),
        ("mini", "openai/gpt-4o-mini"),
        ("gpt-4o-mini:floor", "openai/gpt-4o-mini"),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("nothing", "nothing"),
        ("lost:free", "lost"),
    ],
)
def test_what_the_configuration_has_not_is_counted_by_its_endpoint(name: str, counted: str) -> None:
    """A configured model by its own name; what nothing serves is only a name."""
    assert counted_as(SNAPSHOT, name) == counted


@pytest.mark.parametrize(
    ("models", "name", "is_allowed"),
    [
        (None, "anything", True),
        ((), "smart", False),
        (("smart",), "smart", True),
        (("smart",), "fast", True),
        (("smart",), "fast:nitro", True),
        (("fast",), "fast", True),
        (("fast",), "smart", False),
        (("gpt-*",), "gpt-4o-mini", True),
        (("gpt-*",), "gpt-best", False),
        (("gpt-best",), "gpt-best", True),
        (("s*",), "gpt-best", True),
        (("openai/*",), "mini", True),
        (("openai/*",), "gpt-4o-mini", True),
        (("smart",), "openai/gpt-4o", False),
        (("*",), "lost", True),
        (("smart",), "lost", False),
    ],
)
def test_a_list_is_of_models(models: tuple[str, ...] | None, name: str, is_allowed: bool) -> None:
    """An alias is on it by its own name or by what it means; a pattern does not let it lead elsewhere."""
    assert may_ask(SNAPSHOT, models, name) is is_allowed


def test_a_star_stands_for_all_that_begin_so() -> None:
    """At the end of a name only."""
    assert allows(("gpt-*",), "gpt-4o-mini")
    assert allows(("*",), "x")
    assert not allows(("gpt-4o",), "gpt-4o-mini")
    assert not allows(("*-mini",), "gpt-4o-mini")
