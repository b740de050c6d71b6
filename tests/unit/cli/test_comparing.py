"""The whole comparison against scripted endpoints, and how endpoints are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.endpoint import ScriptedEndpoint
from tokenway.cli.asking import Pair
from tokenway.cli.comparing import Compared, endpoint_of, run
from tokenway.cli.connection import Connection
from tokenway.cli.errors import BadUsage
from tokenway.cli.grade import Asking


@pytest.fixture
def address() -> Iterator[str]:
    """A scripted endpoint."""
    with ScriptedEndpoint().served() as base_url:
        yield base_url


def compared(address: str, a: str, b: str, **how: object) -> Compared:
    """Two models of it, beside each other."""
    pair = Pair(*(endpoint_of(f"{name}@{address}", None, None) for name in (a, b)))
    return run(pair, Asking(**{"prompts": 24, "at_once": 8, **how}))  # type: ignore[arg-type]


def test_equals_are_the_same_and_a_switch_is_seen(address: str) -> None:
    """A drift as large as that of four bits, over real connections."""
    same = compared(address, "good", "twin")
    assert same.report.figures["verdict"] == "same"
    assert not same.is_different
    other = compared(address, "good", "drifted")
    assert other.is_different
    assert other.report.title == "Different: B beside A."
    assert len(other.draw().axes) == 2


def test_without_log_probabilities_the_answers_decide(address: str) -> None:
    """And the report says so."""
    found = compared(address, "good", "plain")
    assert found.found.drift is None
    assert any("Too few log-probabilities" in line for line in found.report.lines)
    assert len(found.draw().axes) == 2


def test_asked_once_it_cannot_tell(address: str) -> None:
    """There is no picture of distances then, but there is one."""
    found = compared(address, "good", "drifted", rounds=1)
    assert found.report.figures["verdict"] == "cannot tell"
    assert len(found.draw().axes) == 1


def test_names_of_endpoints(home: Path) -> None:
    """A model of the gateway, or a model at an address; the name of a model may have an `@` of its own."""
    connection = Connection(base_url="http://127.0.0.1:8080", key="tw-x")
    assert endpoint_of("groq/llama", None, connection).title == "groq/llama at http://127.0.0.1:8080"
    assert endpoint_of("a@b", "sk-1", connection).title == "a@b at http://127.0.0.1:8080"
    assert endpoint_of("m@https://example.org/api/v1", "sk-1", None).title == "m at https://example.org/api"
    for wrong in ("", "@http://127.0.0.1:1"):
        with pytest.raises(BadUsage, match="names no model"):
            endpoint_of(wrong, None, connection)
