"""Frames of a Gemini stream: the data of its events, and an array's elements for a caller who asked for one.

Every event holds a whole `GenerateContentResponse`. An error in the middle of a stream may come without `data:`, as
lines of bare JSON (python-genai reads them so); that is a frame too.
"""

from __future__ import annotations

from typing import Final

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.gemini.request import GeminiRequest
from tokenway.wire.limits import EVENT
from tokenway.wire.sse import EventSplitter, event_data, is_blank, split_events

_OPEN: Final = b"["
_NEXT: Final = b",\n"
_CLOSE: Final = b"]"


def frame_data(event: bytes) -> bytes | None:
    """The JSON of one event, with or without `data:` before it; None where it has none."""
    data = event_data(event)
    if data is None:
        bare = event.strip()
        return bare if bare.startswith(b"{") else None
    return data


class Frames:
    """A byte stream to the JSON of its events; comments give an empty frame."""

    __slots__ = ("_splitter",)

    def __init__(self, limit: int = EVENT) -> None:
        self._splitter = EventSplitter(limit)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes; raises WireError when one event grows beyond the limit."""
        if (
            data[-2:] == b"\n\n"
            and data[:6] == b"data: "
            and data.find(b"\n") == len(data) - 2
            and b"\r" not in data
            and not self._splitter.rest
        ):
            return [data[6:-2]]  # one event as Google writes it
        whole = self._splitter.feed(data)
        return [frame_data(event) or b"" for event in split_events(whole) if not is_blank(event)]

    def rest(self) -> list[bytes]:
        """The frame of a last event without its blank line, and forgets it."""
        data = frame_data(self._splitter.take_rest())
        return [] if data is None else [data]


class Array:
    """Writes chunks as the elements of one JSON array, for a stream without `alt=sse`."""

    __slots__ = ("_is_open", "_request")

    def __init__(self, request: GeminiRequest) -> None:
        self._request = request
        self._is_open = False

    def follow(self) -> None:
        """The array has been begun by another."""
        self._is_open = True

    def elements(self, events: bytes) -> bytes:
        """Whole events as elements, each with what separates it from the one before."""
        found = []
        for event in split_events(events):
            data = frame_data(event)
            if data:
                found.append(_NEXT if self._is_open else _OPEN)
                found.append(data)
                self._is_open = self._request.array_opened = True
        return b"".join(found)

    def broken_by(self, event: bytes) -> bytes:
        """An event that is an error, as the last element, and the end of the array."""
        return last_element(frame_data(event) or b"{}", self._request) or b""

    def end(self) -> bytes:
        """The end of the array."""
        return _CLOSE if self._is_open else _OPEN + _CLOSE


def array_of(request: CallerRequest) -> Array | None:
    """How a stream for this request is framed; None where it is one of events."""
    return Array(request) if isinstance(request, GeminiRequest) and request.array else None


def last_element(data: bytes, request: CallerRequest) -> bytes | None:
    """What ends an array that broke with `data` as its last element; None where the stream is one of events."""
    if not isinstance(request, GeminiRequest) or not request.array:
        return None
    return b"%b%b%b" % (_NEXT if request.array_opened else _OPEN, data, _CLOSE)
