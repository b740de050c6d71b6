"""One entry of a configuration: written, merged, taken away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api.entries import Entries, entries, entry_of, is_in_file, merged, with_entry, without_entry
from tokenway.control.api.problems import Problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("written", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a"], {"b": {"c": None}}, {"b": {}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
async def test_merge_patches(written: Any, patch: Any, result: Any) -> None:
    """As RFC 7396 has them."""
    assert merged(written, patch) == result


async def test_documents_are_not_changed_in_place() -> None:
    """What was in force stays what it was."""
    document: dict[str, Any] = {"aliases": {"a": "m"}, "models": None}
    assert with_entry("aliases", "b", "n")(document) == {"aliases": {"a": "m", "b": "n"}, "models": None}
    assert with_entry("models", "m", {})(document)["models"] == {"m": {}}
    assert without_entry("aliases", "a", is_files=False)(document)["aliases"] == {}
    assert without_entry("aliases", "a", is_files=True)(document)["aliases"] == {"a": None}
    off = without_entry("providers", "p", is_files=True, is_enabled_elsewhere=True)(document)
    assert off["providers"] == {"p": {"enabled": False}}
    assert document == {"aliases": {"a": "m"}, "models": None}


async def test_what_is_written(api: Api) -> None:
    """By name, with its source."""
    found = await entries(api.services, "aliases")
    assert (found.written, found.sources, found.version) == ({"usual": "mock"}, {"usual": "file"}, 0)
    assert await is_in_file(api.services, "aliases", "usual")
    assert not await is_in_file(api.services, "aliases", "other")
    with pytest.raises(Problem):
        entry_of(Entries({}, {}, 0), "alias", "x")
