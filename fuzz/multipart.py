"""A form is read or ends in WireError; its parts stand in order, hold no boundary, and a mapped file has the same."""

from __future__ import annotations

import mmap
import tempfile
from random import Random

from tokenway.model.errors import WireError
from tokenway.wire.multipart import Body, FormPart, boundary_of, field, parts_of

TYPE = b"multipart/form-data; boundary=XX\n"
MODEL = b'--XX\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
PLAIN = b"--XX\r\nContent-Disposition: form-data; name=stream; filename*=utf-8''a\r\n\r\ntrue\r\n"
FILE = b'--XX\r\ncontent-disposition: form-data; name="file"; filename="a\\".wav"\r\ncontent-type: audio/wav\r\n\r\n'
SOUND = b"RIFF\0\r\n--X\r\n--\xff\r\n-XX--\r\n"

SEEDS = (
    TYPE + MODEL + FILE + SOUND + b"--XX--\r\n",
    TYPE + FILE + SOUND + PLAIN + MODEL + b"--XX--",
    TYPE + b"preamble\r\n" + MODEL + MODEL + b"--XX--\r\nepilogue",
    b'multipart/form-data; charset=utf-8; boundary="a b"\n--a b\r\n' + MODEL[6:] + b"--a b--",
)


def read(body: Body, boundary: bytes) -> list[FormPart] | str:
    """The parts of a form, or what is wrong with it."""
    try:
        parts = parts_of(body, boundary)
        field(body, parts, "model")
        field(body, parts, "stream")
    except WireError as error:
        return str(error)
    return parts


def harness(data: bytes, chance: Random) -> None:
    """The first line is the content type, the rest the form."""
    content_type, _, body = data.partition(b"\n")
    try:
        boundary = boundary_of(content_type)
    except WireError:
        boundary = b"XX"
    parts = read(body, boundary)
    if not isinstance(parts, str):
        edges = [edge for part in parts for edge in (part.start, part.end)]
        assert edges == sorted(edges)
        assert all(edge <= len(body) for edge in edges)
        assert all(b"\r\n--" + boundary not in body[part.start : part.end] for part in parts)
    if body and chance.random() < 0.1:  # a file for every round would be slow
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.flush()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                assert read(mapped, boundary) == parts
