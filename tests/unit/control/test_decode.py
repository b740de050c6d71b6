"""Nodes and shapes to settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from tokenway.control.decode import MISSING, Decoder
from tokenway.control.document import read_document
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.preferences import SortOrder
from tokenway.model.quotas import Budget, BudgetPeriod
from tokenway.model.secret import Secret
from tokenway.model.shape import SHORTHAND, shape_of
from tokenway.model.units import Duration, FilePath, Size

SHORT_BUDGET = Annotated[Budget | None, Meta(extra={SHORTHAND: "usd"})]


class Part(msgspec.Struct):
    """A record inside another."""

    size: Annotated[int, Meta(ge=1, le=9)]
    names: tuple[str, ...] = ()


class Whole(msgspec.Struct):
    """A record with a bit of everything."""

    part: Part | None = None
    parts: dict[str, Part] = {}
    count: int = 7


def read(text: str, annotation: object) -> tuple[Any, list[tuple[int, str, str]]]:
    """The value at `key` read as a type, and the findings as line, path and reason."""
    document = read_document(text, "f", {})
    assert document.root is not None
    assert document.findings == []
    decoder = Decoder(Path("/base"))
    value = decoder.read(document.root.entries["key"], shape_of(annotation), "key")
    return value, [(finding.line, finding.path, finding.reason) for finding in decoder.findings]


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("x", str, "x"),
        ("4.10", str, "4.10"),
        ("true", bool, True),
        ("False", bool, False),
        ("8080", int, 8080),
        ('"8080"', int, 8080),
        ("-3", int, -3),
        ("1.5", float, 1.5),
        ("1e3", float, 1000.0),
        ("500ms", Duration, 0.5),
        ("5", Duration, 5.0),
        ("32MiB", Size, 33554432),
        ("0.0375", Rate, 37_500_000),
        ('"0.15"', Rate, 150_000_000),
        ("5.00", NanoUsd, 5_000_000_000),
        ("finish", SortOrder, SortOrder.FINISH),
        ("a/b", FilePath, "/base/a/b"),
        ("/a/b", FilePath, "/a/b"),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("{a: 1}", dict[str, int], {"a": 1}),
        ("2", SHORT_BUDGET, Budget(usd=NanoUsd(2_000_000_000))),
        ("{usd: 2, period: day}", SHORT_BUDGET, Budget(NanoUsd(2_000_000_000), BudgetPeriod.DAY)),
    ],
)
def test_text_becomes_what_its_setting_means(text: str, annotation: object, value: object) -> None:
    """The setting decides how its text is read, exactly and without floating point for money."""
    assert read(f"key: {text}", annotation) == (value, [])


def test_a_secret_stays_hidden() -> None:
    """A key is read into a type that does not print it."""
    value, findings = read("key: sk-1", Secret)
    assert (value, findings) == (Secret("sk-1"), [])
    assert "sk-1" not in repr(value)


@pytest.mark.parametrize(
    ("text", "annotation", "reason"),
    [
        ("x", int, "expected a whole number, got 'x'"),
        ("1.5", int, "expected a whole number, got '1.5'"),
        ("9" * 19, int, "expected a whole number, got"),
        ("yes", bool, "expected true or false, got 'yes'"),
        (".inf", float, "expected a number, got '.inf'"),
        ("1e999", float, "expected a number, got '1e999'"),
        ("-1", Rate, "expected USD per million, zero or more, got '-1'"),
        ("1e99", Rate, "expected USD per million, zero or more, got '1e99'"),
        ("9999999999", NanoUsd, "expected an amount of USD"),
        ("-5", NanoUsd, "expected an amount of USD such as 5.00, got '-5'"),
        ("0", Annotated[NanoUsd, Meta(gt=0)], "expected an amount of USD above 0 such as 5.00, got '0'"),
        ("5 parsecs", Duration, "expected a duration such as"),
        ("fastest", SortOrder, "expected one of finish, price, throughput, latency, weight, got 'fastest'"),
        ("[a]", str, "expected text, got a list"),
        ("{a: b}", int, "expected a whole number, got a mapping"),
        ("x", tuple[int, ...], "expected a list, got 'x'"),
        ("[]", dict[str, int], "expected a mapping (name: value), got a list"),
        ("x", Part, "expected a mapping (name: value), got 'x'"),
        ("~", str, "expected text, got nothing"),
        ("0", Annotated[int, Meta(ge=1, le=9)], "expected a whole number from 1 to 9, got '0'"),
        ("0", Annotated[float, Meta(gt=0)], "expected a number above 0, got '0'"),
        ("~nobody-at-all/x", FilePath, "expected the path of a file"),
        ("x" * 100, int, "xxx…'"),
    ],
)
def test_other_text_is_a_finding(text: str, annotation: object, reason: str) -> None:
    """What cannot be read says what was expected and what stood there."""
    value, findings = read(f"key: {text}", annotation)
    assert value is MISSING
    ((line, path, said),) = findings
    assert (line, path) == (1, "key")
    assert reason in said


def test_the_place_of_a_secret_never_shows_it() -> None:
    """A structure in the place of a key is named, not printed."""
    _, findings = read("key: [sk-secret]", Secret)
    assert findings == [(1, "key", "expected text, got a list")]


def test_unknown_settings_get_the_nearest_names() -> None:
    """A misspelt setting is an error with a suggestion, and its neighbours are read all the same."""
    document = read_document("cout: 1\npart: {size: 3}\n", "f", {})
    assert document.root is not None
    decoder = Decoder(Path())
    value = decoder.read(document.root, shape_of(Whole), "")
    assert value == Whole(part=Part(3))
    (finding,) = decoder.findings
    assert (finding.line, finding.path, finding.nearest) == (1, "cout", ("count",))


def test_every_mistake_is_found_in_one_pass() -> None:
    """A mistake leaves out its own value; a record without what it requires is left out whole."""
    text = "key:\n  count: x\n  part: {names: [a, [b], c]}\n  parts:\n    good: {size: 1}\n    bad: {size: 10}\n"
    text += "    ugly: 3\n"
    value, findings = read(text, Whole)
    assert value == Whole(parts={"good": Part(1)})
    assert [(line, path) for line, path, _ in findings] == [
        (3, "key.part.size"),
        (3, "key.part.names[1]"),
        (6, "key.parts.bad.size"),
        (7, "key.parts.ugly"),
        (2, "key.count"),
    ]


def test_nothing_is_the_default() -> None:
    """A name without a value keeps the default, and in a table it is a record of defaults."""
    assert read("key: {count: , part: null, parts: ~}", Whole) == (Whole(), [])
    assert read("key: {a: , b: {}}", dict[str, Whole]) == ({"a": Whole(), "b": Whole()}, [])
