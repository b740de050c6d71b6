"""Forms: every part is found whatever it holds, and what two readers could read in two ways is refused."""

from __future__ import annotations

import mmap
import tempfile

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tokenway.model.errors import WireError
from tokenway.wire.multipart import FIELD, PART_HEAD, PARTS_MAX, FormPart, boundary_of, field, parts_of

MODEL = b'content-disposition: form-data; name="model"'
FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav'


def form(*parts: tuple[bytes, bytes], boundary: bytes = b"XX") -> bytes:
    """A form of these heads and contents."""
    written = b"".join(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, content) for head, content in parts)
    return b"%b--%b--\r\n" % (written, boundary)


def contents(body: bytes, boundary: bytes = b"XX") -> list[bytes]:
    """What each part holds."""
    return [body[part.start : part.end] for part in parts_of(body, boundary)]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data;boundary="a b:c"', b"a b:c"),
        (b"multipart/form-data; charset=utf-8; Boundary=----WebKit1 ", b"----WebKit1"),
        (b"multipart/form-data; boundary=abc; charset=utf-8", b"abc"),
        (b"multipart/form-data; boundary=" + b"b" * 70, b"b" * 70),
    ],
)
def test_a_content_type_names_its_boundary(content_type: bytes, boundary: bytes) -> None:
    """In quotes or without, among other parameters."""
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"application/json",
        b"multipart/mixed; boundary=abc",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary=""',
        b'multipart/form-data; boundary="abc',
        b"multipart/form-data; xboundary=abc",
    ],
)
def test_a_content_type_without_a_boundary_is_refused(content_type: bytes) -> None:
    """There is no form without one."""
    with pytest.raises(WireError):
        boundary_of(content_type)


def test_the_parts_of_a_form() -> None:
    """In their order: the name, whether it is a file, and where its content stands."""
    body = form((MODEL, b"whisper-1"), (FILE, b"RIFF\0\xff"))
    assert parts_of(body, b"XX") == [FormPart("model", False, 54, 63), FormPart("file", True, 161, 167)]
    assert contents(body) == [b"whisper-1", b"RIFF\0\xff"]


def test_a_form_without_parts() -> None:
    """Its end mark is all there is."""
    assert parts_of(b"--XX--\r\n", b"XX") == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"\n--XX\n",
        b"\r\n-XX\r\n",
        b"x--XX\r\n" + MODEL + b"\r\n\r\nevil",
        b"\r\n--X",
        b"\r\n--\r\n",
        b"\r",
        bytes(range(256)) * 3,
    ],
)
def test_a_file_may_hold_what_looks_like_a_boundary(content: bytes) -> None:
    """Only a line end and the whole boundary end a part."""
    assert contents(form((FILE, content), (MODEL, b"m"))) == [content, b"m"]


def test_a_part_may_be_empty_without_a_line_of_its_own() -> None:
    """The boundary follows the head's blank line."""
    body = b"--XX\r\n%b\r\n\r\n--XX\r\n%b\r\n\r\nm\r\n--XX--" % (FILE, MODEL)
    assert contents(body) == [b"", b"m"]


def test_what_comes_before_and_after_a_form_is_nobodys() -> None:
    """A preamble and an epilogue (RFC 2046) are not parts."""
    body = b"preamble\r\n" + form((MODEL, b"m")) + b"--XX\r\nepilogue"
    assert contents(body) == [b"m"]


def test_a_boundary_may_be_followed_by_blanks() -> None:
    """Transport padding (RFC 2046) before the line's end."""
    assert contents(b"--XX \t\r\n%b\r\n\r\nm\r\n--XX--" % MODEL) == [b"m"]


@pytest.mark.parametrize(
    ("line", "name", "is_file"),
    [
        (b'Content-Disposition: form-data; name="image[]"; filename="a.png"', "image[]", True),
        (b'CONTENT-DISPOSITION:form-data;NAME="x"', "x", False),
        (b"Content-Disposition: form-data; name=model", "model", False),
        (b"Content-Disposition: form-data; name=file; filename=a.wav; filename*=utf-8''a.wav", "file", True),
        (b"Content-Disposition: form-data; name=\"file\"; filename*=utf-8''a.wav", "file", True),
        (b'Content-Disposition: form-data; filename="a; name=\\"model\\""; name="file"', "file", True),
        (b'Content-Disposition: form-data; name="f\xc3\xbc"', "fü", False),
        (b'Content-Disposition: form-data; name="\xff"', "\ufffd", False),
        (b'Content-Disposition: form-data; name=""', "", False),
        (b'Content-Disposition: form-data; name="x";', "x", False),
        (b'Content-Disposition: form-data; name="x"; filename=""', "x", True),
        (b'Content-Type: text/plain\r\nContent-Disposition: form-data; name="x"\r\nX: y', "x", False),
    ],
)
def test_a_part_says_its_name(line: bytes, name: str, is_file: bool) -> None:
    """As browsers, curl, Python and .NET write it; another parameter's text is none."""
    [part] = parts_of(form((line, b"v")), b"XX")
    assert (part.name, part.is_file) == (name, is_file)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"content-type: text/plain",
        b'content-disposition: attachment; name="x"',
        b'content-disposition: form-datax; name="x"',
        b'content-disposition: form-data; filename="x"',
        b"content-disposition: form-data",
        b'content-disposition: form-data; name="x"; name="y"',
        b'content-disposition: form-data; name="x"; NAME=y',
        b'content-disposition: form-data; name="x',
        b'content-disposition: form-data; name="x"y',
        b'content-disposition: form-data; name="x" filename="y"',
        b'content-disposition: form-data; ; name="x"',
        MODEL + b"\r\n" + FILE,
    ],
)
def test_a_part_without_a_name_or_with_two_is_refused(head: bytes) -> None:
    """The provider could read another name than the gateway."""
    with pytest.raises(WireError, match="name"):
        parts_of(form((head, b"v")), b"XX")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "does not begin"),
        (b"model=m", "does not begin"),
        (b"x--XX\r\n", "does not begin"),
        (b"\n--XX\r\n", "does not begin"),
        (b"--XX", "not followed"),
        (b"--XXmore\r\n", "not followed"),
        (b"--XX" + b" " * 2000 + b"\r\n", "not followed"),
        (b"--XX\n" + MODEL + b"\n\nm\n--XX--", "not followed"),
        (b"--XX\r\n" + MODEL, "no end of its head"),
        (b"--XX\r\n" + MODEL + b"\r\nx:" + b"y" * PART_HEAD + b"\r\n\r\nm\r\n--XX--", "no end of its head"),
        (b"--XX\r\n" + MODEL + b"\r\n\r\nm", "cut short"),
        (b"--XX\r\n" + MODEL + b"\r\n\r\nm\r\n--X", "cut short"),
        (b"--XX\r\n" + MODEL + b"\r\n\r\nm\r\n--XX", "not followed"),
        (b"--XX\r\n" + MODEL + b"\r\n\r\nm\r\n--XXX\r\n--XX--", "not followed"),
    ],
)
def test_a_broken_form_is_refused(body: bytes, words: str) -> None:
    """With what is wrong in words."""
    with pytest.raises(WireError, match=words):
        parts_of(body, b"XX")


def test_a_form_has_a_bound_of_parts() -> None:
    """The last that is taken, and one more."""
    parts = [(MODEL, b"m")] * PARTS_MAX
    assert len(parts_of(form(*parts), b"XX")) == PARTS_MAX
    with pytest.raises(WireError, match="128 parts"):
        parts_of(form(*parts, (MODEL, b"m")), b"XX")


def test_a_mapped_file_is_read_like_memory() -> None:
    """Large forms are in a file that is mapped."""
    body = form((FILE, b"\0" * 100_000), (MODEL, b"m"))
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert parts_of(mapped, b"XX") == parts_of(body, b"XX")
    assert field(mapped, parts_of(mapped, b"XX"), "model") == "m"
    mapped.close()


# -- fields ------------------------------------------------------------------------------------------------


def read(name: str, *parts: tuple[bytes, bytes]) -> str | None:
    """The field of a form."""
    body = form(*parts)
    return field(body, parts_of(body, b"XX"), name)


def test_a_field_is_its_text() -> None:
    """Decoded; None for a name that no part has."""
    assert read("model", (FILE, b"\xff"), (MODEL, "größe".encode())) == "größe"
    assert read("stream", (MODEL, b"m")) is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([(MODEL, b"cheap"), (MODEL, b"dear")], "comes twice"),
        ([(MODEL + b'; filename="x"', b"cheap"), (MODEL, b"dear")], "comes twice"),
        ([(MODEL + b'; filename="x"', b"cheap")], "is a file"),
        ([(MODEL, b"\xff")], "is no text"),
        ([(MODEL, b"x" * (FIELD + 1))], "longer than 65536 bytes"),
    ],
)
def test_a_field_that_is_no_single_text_is_refused(parts: list[tuple[bytes, bytes]], words: str) -> None:
    """The provider could take another one, and that is what is charged."""
    with pytest.raises(WireError, match=words):
        read("model", *parts)


def test_a_field_of_just_the_bound_is_read() -> None:
    """One more is refused, above."""
    assert read("model", (MODEL, b"x" * FIELD)) == "x" * FIELD


# -- laws --------------------------------------------------------------------------------------------------

BOUNDARIES = st.text("-'()+_,./:=?XYZ019", min_size=1, max_size=70).map(str.encode)
PIECES = st.lists(st.sampled_from([b"\r\n", b"--", b"-", b"XX", b"\r", b"\n", b"\0", b"\xff", b"a", b'"', b": "]))
NAMES = st.text(st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters='"\\'), max_size=20)


@given(BOUNDARIES, st.lists(st.tuples(NAMES, st.booleans(), PIECES), max_size=5))
def test_any_form_is_read_as_it_was_written(boundary: bytes, parts: list[tuple[str, bool, list[bytes]]]) -> None:
    """Names, files and contents come back, whatever bytes they are, as long as no content holds its boundary."""
    contents_ = [b"".join(pieces) for _, _, pieces in parts]
    assume(not any(b"\r\n--" + boundary in b"\r\n" + each for each in contents_))
    heads = [
        b'Content-Disposition: form-data; name="%b"%b' % (name.encode(), b'; filename="f"' if is_file else b"")
        for name, is_file, _ in parts
    ]
    kept = list(zip(heads, contents_, parts, strict=True))
    body = form(*[(head, content) for head, content, _ in kept], boundary=boundary)
    found = parts_of(body, boundary)
    assert [body[part.start : part.end] for part in found] == [content for _, content, _ in kept]
    assert [(part.name, part.is_file) for part in found] == [(part[0], part[1]) for _, _, part in kept]


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 30))
def test_a_damaged_form_is_read_or_refused(junk: bytes, at: int, cut: int) -> None:
    """In no other way; the parts of what is read stand in order and do not overlap."""
    whole = form((MODEL, b"m"), (FILE, b"RIFF"), (b'content-disposition: form-data; name="n"', b"2"))
    body = whole[:at] + junk + whole[at + cut :]
    try:
        parts = parts_of(body, b"XX")
        field(body, parts, "model")
    except WireError:
        return
    edges = [edge for part in parts for edge in (part.start, part.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(body) for edge in edges)
    assert all(b"\r\n--XX" not in body[part.start : part.end] for part in parts)
