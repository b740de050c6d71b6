"""Where an answer's text is from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.gemini.samples import raw
from tokenway.dialects.gemini.citations import read_citations, write_citations
from tokenway.dialects.gemini.schema import ABSENT
from tokenway.model.event import Cited

TEXT = "Größe: 5 m. Ende."


def read(grounding: object = None, citations: object = None, text: str = TEXT) -> list[Cited]:
    """The citations of part 2."""
    one = ABSENT if grounding is None else raw(grounding)
    other = ABSENT if citations is None else raw(citations)
    return list(read_citations(one, other, {2: text}, 1))


def test_stretches_are_counted_in_characters() -> None:
    """Gemini counts bytes of UTF-8."""
    grounding = {
        "groundingChunks": [
            {"web": {"uri": "https://a.test", "title": "A"}},
            {"retrievedContext": {"uri": "https://b.test", "text": "what it says"}},
            {"retrievedContext": {"fileSearchStore": "no address"}},
            {"maps": {"uri": "https://c.test"}},
        ],
        "groundingSupports": [
            {"segment": {"endIndex": 13, "text": "Größe: 5 m."}, "groundingChunkIndices": [0, 1, 2, 9]},
            {"segment": {"startIndex": 14, "endIndex": 19}, "groundingChunkIndices": [0]},
            {"segment": {"endIndex": 5, "text": "other"}, "groundingChunkIndices": [0]},
        ],
    }
    assert read(grounding) == [
        Cited(2, "https://a.test", "A", "", 0, 11, 1),
        Cited(2, "https://b.test", "", "what it says", 0, 11, 1),
        Cited(2, "https://a.test", "A", "", 12, 17, 1),
        Cited(2, "https://a.test", "A", "", -1, -1, 1),
        Cited(2, "https://c.test", "", "", -1, -1, 1),
    ]


def test_citations_of_either_spelling() -> None:
    """The two services call the list differently."""
    source = {"uri": "https://a.test", "startIndex": 0, "endIndex": 3}
    for name in ("citations", "citationSources"):
        assert read(citations={name: [source, {"title": "no address"}]}) == [
            Cited(2, "https://a.test", "", "", 0, 2, 1)
        ]


def test_what_cannot_be_read_is_none() -> None:
    """An answer is not refused for its sources."""
    assert read({"groundingChunks": 5}) == []
    assert read({}) == []


@given(st.text(min_size=1, max_size=20), st.data())
def test_what_is_written_reads_back(text: str, data: st.DataObject) -> None:
    """Whatever the text, stretches and sources stay."""
    start = data.draw(st.integers(0, len(text) - 1))
    cited = [
        Cited(0, "https://a.test", "A", "", start, data.draw(st.integers(start + 1, len(text)))),
        Cited(0, "https://b.test", "", "says", 0, len(text)),
    ]
    written = write_citations(cited, {0: text}, {0: 0})
    assert list(read_citations(raw(written), ABSENT, {0: text}, 0)) == cited


def test_sources_come_once_and_parts_are_counted() -> None:
    """One source of several stretches is one chunk; a stretch outside of the text is left out."""
    cited = [Cited(3, "u", "", "", 0, 1), Cited(3, "u", "", "", 1, 2), Cited(3, "u", "", "", 5, 9), Cited(3, "v")]
    assert write_citations(cited, {3: "abc"}, {3: 1}) == {
        "groundingChunks": [{"web": {"uri": "u"}}, {"web": {"uri": "v"}}],
        "groundingSupports": [
            {"segment": {"partIndex": 1, "endIndex": 1, "text": "a"}, "groundingChunkIndices": [0]},
            {"segment": {"partIndex": 1, "startIndex": 1, "endIndex": 2, "text": "b"}, "groundingChunkIndices": [0]},
        ],
    }
