"""The declared settings as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

import pytest

from tokenway.model.settings import FLAG_VARIABLES, RESTART_ONLY, Settings, variables
from tokenway.model.shape import Field, Kind, Shape, fields_of, shape_of


def every_field(shape: Shape, path: str = "") -> Iterator[tuple[str, Field]]:
    """All settings below a shape with their paths."""
    if shape.inner is not None:
        yield from every_field(shape.inner, f"{path}.*")
    if shape.kind is Kind.RECORD:
        for field in fields_of(shape.target).values():
            yield f"{path}.{field.name}", field
            yield from every_field(field.shape, f"{path}.{field.name}")


ALL = dict(every_field(shape_of(Settings)))


def test_every_setting_is_explained() -> None:
    """No setting lacks a description that ends as a sentence."""
    assert len(ALL) > 60
    assert [path for path, field in ALL.items() if not field.shape.description.endswith(".")] == []


def test_an_empty_configuration_is_complete() -> None:
    """Every part has a default, so settings exist without a file."""
    settings = Settings()
    assert (settings.server.port, settings.server.control_port, settings.server.workers) == (8080, 8081, 1)
    assert (settings.timeouts.total, settings.retries.max, settings.auth.required) == (900.0, 2, True)


def test_variables_follow_from_the_paths() -> None:
    """A variable is the path in capitals behind TOKENWAY_, and flags have a short one too."""
    known = variables()
    assert known["TOKENWAY_TIMEOUTS_FIRST_TOKEN"] == "timeouts.first_token"
    assert known["TOKENWAY_STORE"] == "store"
    assert known["TOKENWAY_PORT"] == known["TOKENWAY_SERVER_PORT"] == "server.port"
    assert list(known)[-len(FLAG_VARIABLES) :] == list(FLAG_VARIABLES), "short names are applied last, so they win"
    assert not any("PROVIDERS" in name or "KEYS" in name for name in known)


@pytest.mark.parametrize("path", [*RESTART_ONLY, *FLAG_VARIABLES.values()])
def test_named_paths_exist(path: str) -> None:
    """The lists of paths name settings that there are."""
    attrgetter(path)(Settings())
