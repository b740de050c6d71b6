"""YAML text to a tree with lines."""

from __future__ import annotations

import pytest
import yaml

from tokenway.control import document as module
from tokenway.control.document import DEPTH_MAX, TEXT_MAX, Document, Mapping, Scalar, Sequence, is_text, read_document

ENVIRONMENT = {"NAME": "value", "EMPTY": "", "TRICKY": "a: [b"}


@pytest.fixture(params=["SafeLoader", "CSafeLoader"], autouse=True)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers: where the C one is not built, Python's own does the same."""
    monkeypatch.setattr(module, "_PARSER", getattr(yaml, request.param))


def read(text: str) -> Document:
    """The document of a text, with a few variables set."""
    return read_document(text, "f.yaml", ENVIRONMENT)


def scalar(text: str) -> Scalar:
    """The scalar that stands at `key` of a document without findings."""
    document = read(text)
    assert document.findings == []
    assert document.root is not None
    node = document.root.entries["key"]
    assert isinstance(node, Scalar)
    return node


def test_every_node_knows_its_line() -> None:
    """Mappings, sequences, scalars and keys say where they stand."""
    root = read("a:\n  b: 1\n\nc:\n- x\n-   y\n").root
    assert root is not None
    assert root.key_lines == {"a": 1, "c": 4}
    inner, items = root.entries["a"], root.entries["c"]
    assert isinstance(inner, Mapping)
    assert isinstance(items, Sequence)
    assert inner.entries["b"].line == 2
    assert [item.line for item in items.items] == [5, 6]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "{}\n"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    """A file that says nothing sets nothing."""
    document = read(text)
    assert document.findings == []
    assert document.root is not None
    assert document.root.entries == {}


@pytest.mark.parametrize("text", ["yes", "010", "1:30", "1_000", "0x1f", "2020-01-01", "off"])
def test_old_rules_do_not_change_text(text: str) -> None:
    """What YAML 1.1 turned into booleans, octal numbers and dates stays text."""
    assert scalar(f"key: {text}").text == text


@pytest.mark.parametrize(
    ("text", "is_null"), [("~", True), ("null", True), ("", True), ('"null"', False), ("''", False), ("nil", False)]
)
def test_only_a_plain_null_is_nothing(text: str, is_null: bool) -> None:
    """Quotes make text of it."""
    assert scalar(f"key: {text}").is_null is is_null


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}", "a-value-value"),
        ("${MISSING:-spare}", "spare"),
        ("${EMPTY:-spare}", "spare"),
        ("${NAME:-spare}", "value"),
        ("$${NAME}", "${NAME}"),
        ("$NAME", "$NAME"),
        ("${TRICKY}", "a: [b"),
    ],
)
def test_variables_are_filled_in(text: str, expanded: str) -> None:
    """A value comes from the environment, a default stands in for a missing or empty one, and neither is YAML."""
    assert scalar(f'key: "{text}"').text == expanded


def test_a_variable_that_is_empty_gives_nothing() -> None:
    """An empty variable reads like a setting that was not written."""
    assert scalar('key: "${EMPTY}"').is_null
    assert scalar('key: "${MISSING:-}"').is_null


def test_a_literal_dollar_brace_is_possible() -> None:
    """Doubling the dollar takes its meaning away, in plain text as well."""
    assert scalar("key: a$${b}c").text == "a${b}c"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: ${MISSING}\n", 2, "no variable MISSING"),
        ("a: ${1x}\n", 1, "is written ${NAME}"),
        ("a: ${NAME\n", 1, "is written ${NAME}"),
        ("a: 1\nb: 2\na: 3\n", 3, "stands twice, first at line 1"),
        ("a: {b: 1, b: 2}\n", 1, "stands twice"),
        ("a:\n\t- b\n", 2, "a tab"),
        ("a:\n- [1, 2", 2, "not readable as YAML"),
        ("a: b: c\n", 1, "not readable as YAML"),
        ("- a\n- b\n", 1, "expected settings"),
        ("just text\n", 1, "expected settings"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a: !!python/object:os.system x\n", 1, "tags such as"),
        ("base: &x {a: 1}\nb:\n  <<: *x\n", 3, "merge keys"),
        ("a: *nowhere\n", 1, "names no anchor"),
        ("a: &a [*a]\n", 1, "names no anchor"),
        ("? [a, b]\n: c\n", 1, "a name is expected"),
        ("?\n-", 2, "a name is expected"),
        ('"": 1\n', 1, "cannot be empty"),
        ('a: "\\0"\n', 1, "control character"),
        ('a: "\\UFFFFFFFF"\n', 1, "not readable as YAML"),
        ("a: \x00\n", 1, "not readable as YAML"),
        ("%YAML 9.9\n---\na: 1\n", 1, "not readable as YAML"),
    ],
)
def test_what_is_wrong_is_found_at_its_line(text: str, line: int, reason: str) -> None:
    """Each fault of the text is one finding with the line it is at."""
    (finding,) = read(text).findings
    assert (finding.file, finding.line) == ("f.yaml", line)
    assert reason in finding.reason


def test_several_faults_are_found_at_once() -> None:
    """Reading goes on after a fault that leaves the rest readable."""
    assert [finding.line for finding in read("a: ${X}\nb: ${Y}\na: 1\n").findings] == [1, 2, 3]


def test_a_repeated_key_keeps_its_first_value() -> None:
    """The second value is dropped, with everything in it."""
    root = read("a: {x: 1}\na: {y: 2}\n").root
    assert root is not None
    node = root.entries["a"]
    assert isinstance(node, Mapping)
    assert list(node.entries) == ["x"]


def test_an_alias_repeats_its_anchor() -> None:
    """What was written once can be used again."""
    root = read("a: &x {k: 1}\nb: *x\n").root
    assert root is not None
    assert root.entries["a"] == root.entries["b"]


def test_a_bomb_of_aliases_is_refused() -> None:
    """Ten levels of ten aliases would be ten thousand million values; the count stops it early."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 11)]
    document = read("\n".join(lines))
    was_refused = document.root is None  # a tree in the assertion itself would be printed whole
    assert was_refused
    assert "repeated ones counted" in document.findings[0].reason


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{b: " * 40 + "1" + "}" * 40])
def test_deep_nesting_is_refused(text: str) -> None:
    """Nesting beyond every setting is a finding, not an exhausted stack."""
    document = read(text)
    assert document.root is None
    assert f"more than {DEPTH_MAX} deep" in document.findings[0].reason


def test_a_file_that_is_too_long_is_not_parsed() -> None:
    """The bound is on characters, before any work is done."""
    document = read("#" * (TEXT_MAX + 1))
    assert document.root is None
    assert "longer than" in document.findings[0].reason


@pytest.mark.parametrize(("text", "good"), [("a\nb\tc é", True), ("\x07", False), ("\ud800", False)])
def test_text_is_what_can_be_shown(text: str, good: bool) -> None:
    """Line breaks and tabs are text; control characters and half characters are not."""
    assert is_text(text) is good


def test_half_of_a_character_is_refused() -> None:
    """It could not be encoded wherever the value goes."""
    (finding,) = read('a: "\\uD800"\n').findings
    assert finding.line == 1


def test_half_of_a_character_in_a_variable_is_refused() -> None:
    """The environment can hold bytes that are no text."""
    (finding,) = read_document("a: ${ODD}\n", "f", {"ODD": "\udc80"}).findings
    assert "half of a character" in finding.reason
