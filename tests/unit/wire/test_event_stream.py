"""The AWS event stream: binary messages, cut and checked, whatever the pieces."""

from __future__ import annotations

from itertools import pairwise
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.errors import WireError
from tokenway.wire.event_stream import (
    Header,
    HeaderType,
    Message,
    MessageFrames,
    frame_message,
    make_headers,
    make_message,
    parse_headers,
    parse_message,
    sections,
)
from tokenway.wire.limits import MESSAGE, MESSAGE_HEADERS

EMPTY = bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
PLAIN = bytes.fromhex("0000001d 00000000 fd528c5a 7b27666f6f273a27626172277d c3653936")
NUMBERED = bytes.fromhex(
    "0000002d 00000010 41c424b8 0a6576656e742d74797065 04 0000a00c 7b27666f6f273a27626172277d 36f480a0"
)
EVENT = make_message({":event-type": "contentBlockDelta", ":message-type": "event"}, b'{"text":"x"}')

HEADERS = {
    "true": (Header(HeaderType.TRUE, value=True), "0474727565 00"),
    "false": (Header(HeaderType.FALSE, value=False), "0566616c7365 01"),
    "byte": (Header(HeaderType.BYTE, -2), "0462797465 02 fe"),
    "short": (Header(HeaderType.SHORT, 258), "0573686f7274 03 0102"),
    "int": (Header(HeaderType.INTEGER, -1), "03696e74 04 ffffffff"),
    "long": (Header(HeaderType.LONG, 1), "046c6f6e67 05 0000000000000001"),
    "bytes": (Header(HeaderType.BYTES, b"\x00\xff"), "056279746573 06 0002 00ff"),
    "text": (Header(HeaderType.TEXT, "é"), "0474657874 07 0002 c3a9"),
    "time": (Header(HeaderType.TIMESTAMP, 1_700_000_000_000), "0474696d65 08 0000018bcfe56800"),
    "uuid": (Header(HeaderType.UUID, bytes(range(16))), "0475756964 09 000102030405060708090a0b0c0d0e0f"),
}
"""Each type of header with its encoding, written by hand after the format's description."""

VALUES = st.one_of(
    st.just(Header(HeaderType.TRUE, value=True)),
    st.just(Header(HeaderType.FALSE, value=False)),
    st.builds(Header, st.just(HeaderType.BYTE), st.integers(-(2**7), 2**7 - 1)),
    st.builds(Header, st.just(HeaderType.SHORT), st.integers(-(2**15), 2**15 - 1)),
    st.builds(Header, st.just(HeaderType.INTEGER), st.integers(-(2**31), 2**31 - 1)),
    st.builds(Header, st.sampled_from([HeaderType.LONG, HeaderType.TIMESTAMP]), st.integers(-(2**63), 2**63 - 1)),
    st.builds(Header, st.just(HeaderType.BYTES), st.binary(max_size=20)),
    st.builds(Header, st.just(HeaderType.TEXT), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
    st.builds(Header, st.just(HeaderType.UUID), st.binary(min_size=16, max_size=16)),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
MESSAGES = st.builds(make_message, st.dictionaries(NAMES, VALUES, max_size=3), st.binary(max_size=60))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = sorted({0, len(data), *(min(place, len(data)) for place in at)})
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(
    ("frame", "headers", "payload"),
    [
        (EMPTY, {}, b""),
        (PLAIN, {}, b"{'foo':'bar'}"),
        (NUMBERED, {"event-type": Header(HeaderType.INTEGER, 40972)}, b"{'foo':'bar'}"),
    ],
)
def test_the_vectors_of_the_format(frame: bytes, headers: dict[str, Header], payload: bytes) -> None:
    """The published examples are read as they say, and written byte for byte."""
    assert parse_message(frame) == Message(headers, payload)
    assert make_message(headers, payload) == frame


@pytest.mark.parametrize("name", HEADERS)
def test_every_type_of_header(name: str) -> None:
    """Each type is encoded as the format says, and read again."""
    header, encoded = HEADERS[name]
    assert make_headers({name: header}) == bytes.fromhex(encoded)
    assert parse_headers(bytes.fromhex(encoded)) == {name: header}


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(0, 600), max_size=10))
def test_messages_come_out_however_they_are_cut(frames: list[bytes], at: list[int]) -> None:
    """Any pieces give the messages as they were put in, and nothing stays behind."""
    splitter = MessageFrames()
    found = [frame for piece in cut(b"".join(frames), at) for frame in splitter.feed(piece)]
    assert found == frames
    assert splitter.pending == 0


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.binary(max_size=60))
def test_what_is_written_is_read_again(headers: dict[str, Header], payload: bytes) -> None:
    """`make_message` and `parse_message` are each other's inverse."""
    assert parse_message(make_message(headers, payload)) == Message(headers, payload)


def test_byte_by_byte_gives_a_message_with_its_last_byte() -> None:
    """A message comes out with its last byte and not before."""
    splitter = MessageFrames()
    ends = [at for at, byte in enumerate(EVENT + EMPTY, start=1) if splitter.feed(bytes([byte]))]
    assert ends == [len(EVENT), len(EVENT) + len(EMPTY)]


def test_half_a_message_is_kept_and_forgotten_at_the_end() -> None:
    """What follows the last whole message waits; at the end of the body it is no message."""
    splitter = MessageFrames()
    assert splitter.feed(EVENT + EMPTY[:-1]) == [EVENT]
    assert splitter.pending == 15
    assert splitter.rest() == []
    assert splitter.pending == 0
    assert splitter.feed(EVENT) == [EVENT]


@pytest.mark.parametrize("at", range(len(EVENT)))
def test_every_byte_is_checked(at: int) -> None:
    """A message with any byte changed is none."""
    broken = EVENT[:at] + bytes([EVENT[at] ^ 1]) + EVENT[at + 1 :]
    with pytest.raises(WireError, match="checksum"):
        MessageFrames().feed(broken)


def broken_lengths(total: int, headers: int) -> bytes:
    """The beginning of a message with these lengths and the right checksum of them."""
    lengths = total.to_bytes(4, "big") + headers.to_bytes(4, "big")
    return lengths + crc32(lengths).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("total", "headers", "message"),
    [
        (MESSAGE + 1, 0, "larger than"),
        (MESSAGE, MESSAGE_HEADERS + 1, "headers of a message are larger"),
        (15, 0, "contradict"),
        (20, 5, "contradict"),
    ],
)
def test_lengths_are_bounded(total: int, headers: int, message: str) -> None:
    """A length beyond its bound, or that cannot be, ends the stream before anything is kept for it."""
    with pytest.raises(WireError, match=message):
        MessageFrames().feed(broken_lengths(total, headers))


def test_the_bound_can_be_reached() -> None:
    """A message of just the limit passes."""
    assert MessageFrames(limit=len(EVENT)).feed(EVENT) == [EVENT]
    with pytest.raises(WireError, match="larger than"):
        MessageFrames(limit=len(EVENT) - 1).feed(EVENT)


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("05", "breaks off"),
        ("0161", "breaks off"),
        ("00 00", "breaks off"),
        ("0161 0a", "type 10"),
        ("0161 04 0000", "breaks off"),
        ("0161 07 0005 61", "breaks off"),
        ("0161 07 00", "breaks off"),
        ("0161 09 00", "breaks off"),
        ("01ff 00", "UTF-8"),
        ("0161 07 0001 ff", "UTF-8"),
        ("0161 00 0161 01", "twice"),
    ],
)
def test_broken_headers(encoded: str, message: str) -> None:
    """Headers that break off, repeat a name, are no text or have no type of the format are refused."""
    with pytest.raises(WireError, match=message):
        parse_headers(bytes.fromhex(encoded))


@pytest.mark.parametrize("frame", [b"", EMPTY[:-1], EMPTY + EMPTY, EMPTY + b"\x00"])
def test_one_message_is_exactly_one(frame: bytes) -> None:
    """`parse_message` takes neither less nor more."""
    with pytest.raises(WireError):
        parse_message(frame)


@pytest.mark.parametrize(
    "headers",
    [
        {"": "x"},
        {"n" * 256: "x"},
        {"n": "x" * 2**15},
        {"n": Header(HeaderType.BYTE, 128)},
        {"n": Header(HeaderType.LONG, "text")},
        {"n": Header(HeaderType.UUID, b"short")},
        {"n": Header(HeaderType.BYTES, 1)},
    ],
)
def test_what_the_format_cannot_say_is_not_written(headers: dict[str, str | Header]) -> None:
    """A name or value that does not fit raises instead of making a broken message."""
    with pytest.raises(ValueError, match=r"name|value|is no|UUID"):
        make_message(headers, b"")


def test_sections_are_the_encoded_headers_and_the_payload() -> None:
    """A message that was cut out is taken apart without being checked again."""
    headers, payload = sections(EVENT)
    assert headers == make_headers({":event-type": "contentBlockDelta", ":message-type": "event"})
    assert payload == b'{"text":"x"}'
    assert frame_message(headers, payload) == EVENT


def test_the_text_of_a_header() -> None:
    """A header that is missing or is no text has none."""
    message = parse_message(make_message({"a": "b", "n": Header(HeaderType.BYTE, 1)}, b""))
    assert (message.text("a"), message.text("n"), message.text("x")) == ("b", "", "")


class Counted(bytearray):
    """A buffer that counts how often it is copied."""

    copied = 0

    def __bytes__(self) -> bytes:
        """Copies, and counts."""
        self.copied += 1
        return bytes(memoryview(self))


def test_a_large_message_costs_linear_time() -> None:
    """A message of a megabyte in small pieces is copied twice: when its length is known, and when it is whole."""
    splitter = MessageFrames()
    counted = splitter._rest = Counted()
    frame = make_message({}, bytes(2**20))
    found = [each for at in range(0, len(frame), 7) for each in splitter.feed(frame[at : at + 7])]
    assert found == [frame]
    assert counted.copied == 2


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_amazon_reads_the_same(frames: list[bytes], at: list[int]) -> None:
    """Amazon's own decoder sees the same headers and payloads in what is written here."""
    eventstream = pytest.importorskip("botocore.eventstream")
    buffer = eventstream.EventStreamBuffer()
    for piece in cut(b"".join(frames), at):
        buffer.add_data(piece)
    ours = [parse_message(frame) for frame in frames]
    theirs = list(buffer)
    assert [message.payload for message in theirs] == [message.payload for message in ours]
    assert [message.headers for message in theirs] == [
        {name: header.value for name, header in message.headers.items()} for message in ours
    ]
