"""Where an answer's text is from: Gemini's `groundingMetadata` and `citationMetadata` as neutral citations, and back.

A grounding names its sources (`groundingChunks`) and which stretch of the text rests on which of them
(`groundingSupports`). Stretches are counted in bytes of UTF-8, ours in characters. A source without an address (a file
in a store of Google's) has no neutral form, and neither has a source on a map that nothing rests on.

Source: `GroundingMetadata`, `Segment` and `CitationMetadata` in the Gemini API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.gemini.schema import NOTHING
from tokenway.model.event import Cited


class _Source(msgspec.Struct):
    uri: str | None = None
    title: str | None = None
    text: str | None = None


class _Picture(msgspec.Struct, rename="camel"):
    source_uri: str | None = None
    title: str | None = None


class _Chunk(msgspec.Struct, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None
    image: _Picture | None = None

    def source(self) -> _Source | None:
        """Where the text is from; for a picture that was found, the page that has it."""
        page = None if self.image is None else _Source(self.image.source_uri, self.image.title)
        return self.web or self.retrieved_context or self.maps or page


class _Segment(msgspec.Struct, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class _Support(msgspec.Struct, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class _Grounding(msgspec.Struct, rename="camel"):
    grounding_chunks: list[_Chunk] | None = None
    grounding_supports: list[_Support] | None = None


class _Citation(msgspec.Struct, rename="camel"):
    uri: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class _Citations(msgspec.Struct, rename="camel"):
    citations: list[_Citation] | None = None
    citation_sources: list[_Citation] | None = None


_decode_grounding: Final = msgspec.json.Decoder(_Grounding).decode
_decode_citations: Final = msgspec.json.Decoder(_Citations).decode


def read_citations(
    grounding: msgspec.Raw, citations: msgspec.Raw, texts: Mapping[int, str], choice: int
) -> Iterator[Cited]:
    """The citations of the text parts, by their number, as far as they have come; what cannot be read is none.

    A stretch is in the last part that has at its place what the stretch says; a source without one belongs to the last.
    """
    encoded = {part: text.encode() for part, text in texts.items()}
    last = max(encoded)
    try:
        if grounding not in NOTHING:
            yield from _grounded(_decode_grounding(grounding), encoded, choice)
        if citations not in NOTHING:
            found = _decode_citations(citations)
            for each in found.citations or found.citation_sources or ():
                if each.uri:
                    start, end = _characters(encoded[last], each.start_index, each.end_index)
                    yield Cited(last, each.uri, each.title or "", "", start, end, choice)
    except UNREADABLE:
        return


def _grounded(grounding: _Grounding, texts: Mapping[int, bytes], choice: int) -> Iterator[Cited]:
    sources = [chunk.source() for chunk in grounding.grounding_chunks or ()]
    unused = dict(enumerate(sources))
    for support in grounding.grounding_supports or ():
        part, start, end = _place(texts, support.segment or _Segment())
        for number in support.grounding_chunk_indices or ():
            source = sources[number] if 0 <= number < len(sources) else None
            unused.pop(number, None)
            if source is not None and source.uri:
                yield Cited(part, source.uri, source.title or "", source.text or "", start, end, choice)
    for source in unused.values():
        if source is not None and source.uri:
            yield Cited(max(texts), source.uri, source.title or "", source.text or "", choice=choice)


def _place(texts: Mapping[int, bytes], segment: _Segment) -> tuple[int, int, int]:
    """The part that a stretch is of, and where it is in there; one that does not say its text is of the last part."""
    for part in sorted(texts, reverse=True) if segment.text is not None else (max(texts),):
        start, end = _characters(texts[part], segment.start_index, segment.end_index, segment.text)
        if start >= 0:
            return part, start, end
    return max(texts), -1, -1


def _characters(text: bytes, start: int | None, end: int | None, says: str | None = None) -> tuple[int, int]:
    """Bytes to characters; -1 where the stretch is none of this text, or not the one that it says."""
    first, last = start or 0, end or 0
    if not 0 <= first < last <= len(text):
        return -1, -1
    stretch = text[first:last].decode(errors="ignore")
    if says is not None and says != stretch:
        return -1, -1
    before = len(text[:first].decode(errors="ignore"))
    return before, before + len(stretch)


def write_citations(cited: Iterable[Cited], texts: Mapping[int, str], indices: Mapping[int, int]) -> dict[str, object]:
    """A `groundingMetadata`. `texts` are the parts' texts, `indices` their numbers in Gemini's list of parts."""
    numbers: dict[tuple[str, str, str], int] = {}
    chunks: list[dict[str, object]] = []
    supports: list[dict[str, object]] = []
    for each in cited:
        source = (each.url, each.title, each.text)
        if source not in numbers:
            numbers[source] = len(chunks)
            chunks.append(_chunk(each))
        text = texts.get(each.part, "")
        if 0 <= each.start < each.end <= len(text):
            segment: dict[str, object] = {}
            start = len(text[: each.start].encode())
            if indices.get(each.part):
                segment["partIndex"] = indices[each.part]
            if start:
                segment["startIndex"] = start
            stretch = text[each.start : each.end]
            segment |= {"endIndex": start + len(stretch.encode()), "text": stretch}
            supports.append({"segment": segment, "groundingChunkIndices": [numbers[source]]})
    found: dict[str, object] = {"groundingChunks": chunks}
    if supports:
        found["groundingSupports"] = supports
    return found


def _chunk(cited: Cited) -> dict[str, object]:
    found: dict[str, object] = {"uri": cited.url}
    if cited.title:
        found["title"] = cited.title
    if cited.text:
        return {"retrievedContext": {**found, "text": cited.text}}
    return {"web": found}
