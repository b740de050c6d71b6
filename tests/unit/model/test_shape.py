"""The shapes that are derived from annotated types."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from tokenway.model.money import NanoUsd, Rate, Share
from tokenway.model.secret import Secret
from tokenway.model.shape import SHORTHAND, Kind, expectation, fields_of, shape_of
from tokenway.model.units import Duration, FilePath, Size


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Paint(msgspec.Struct):
    """A record with a required and an optional field."""

    colour: Annotated[Colour, Meta(description="Which.")]
    coats: Annotated[int, Meta(ge=1, le=9)] = 2
    tags: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, Kind.TEXT),
        (bool, Kind.FLAG),
        (int, Kind.WHOLE),
        (float, Kind.NUMBER),
        (Duration, Kind.DURATION),
        (Size, Kind.SIZE),
        (FilePath, Kind.PATH),
        (Secret, Kind.SECRET),
        (Rate, Kind.RATE),
        (NanoUsd, Kind.MONEY),
        (Share, Kind.SHARE),
        (Colour, Kind.CHOICE),
        (Paint, Kind.RECORD),
        (tuple[int, ...], Kind.LIST),
        (dict[str, int], Kind.TABLE),
    ],
)
def test_each_type_has_its_kind(annotation: object, kind: Kind) -> None:
    """A type says how its text is read; `| None` adds only that it may be left out."""
    assert shape_of(annotation).kind is kind
    assert not shape_of(annotation).optional


def test_notes_are_gathered_from_all_layers() -> None:
    """Bounds inside, description outside, optional in between: the shape knows all three."""
    shape = shape_of(Annotated[Annotated[int, Meta(ge=1, le=9)] | None, Meta(description="Coats.")])
    assert (shape.kind, shape.optional, shape.at_least, shape.at_most) == (Kind.WHOLE, True, 1, 9)
    assert shape.description == "Coats."


def test_an_outer_bound_wins() -> None:
    """An alias may be narrowed where it is used."""
    assert shape_of(Annotated[Annotated[int, Meta(ge=1)], Meta(ge=5)]).at_least == 5


def test_fields_know_what_is_required_and_their_defaults() -> None:
    """A field without a default is required."""
    fields = fields_of(Paint)
    assert list(fields) == ["colour", "coats", "tags"]
    assert [field.required for field in fields.values()] == [True, False, False]
    assert (fields["coats"].default, fields["tags"].default) == (2, ())
    assert fields["colour"].shape.choices == ("red", "blue")


def test_a_shorthand_is_found() -> None:
    """A record may be written as one scalar when its type names the field."""
    assert shape_of(Annotated[Paint | None, Meta(extra={SHORTHAND: "colour"})]).shorthand == "colour"


@pytest.mark.parametrize("annotation", [bytes, int | str, object])
def test_a_type_that_no_value_has_is_a_programming_error(annotation: object) -> None:
    """A setting of such a type could never be read, so it is refused when it is declared."""
    with pytest.raises(TypeError):
        shape_of(annotation)


@pytest.mark.parametrize(
    ("annotation", "sentence"),
    [
        (Annotated[int, Meta(ge=1, le=65535)], "a whole number from 1 to 65535"),
        (Annotated[float, Meta(gt=0, le=2)], "a number above 0 and up to 2"),
        (Annotated[float, Meta(gt=0)], "a number above 0"),
        (Annotated[int, Meta(le=3)], "a whole number up to 3"),
        (Annotated[int, Meta(ge=3)], "a whole number from 3"),
        (Annotated[Size, Meta(ge=1024)], "a size such as 32MiB or 10MB from 1KiB"),
        (Colour, "one of red, blue"),
        (Secret, "text"),
        (dict[str, int], "a mapping (name: value)"),
    ],
)
def test_an_expectation_is_a_phrase_with_its_bounds(annotation: object, sentence: str) -> None:
    """What may stand at a place can be said to a person."""
    assert expectation(shape_of(annotation)) == sentence
