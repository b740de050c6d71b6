"""The Anthropic dialect as one record."""

from __future__ import annotations

from tests.unit.dialects.anthropic.samples import BODY, END, LAST, START, TEXT, text
from tests.unit.dialects.anthropic.samples import MAKER as MAKER_OF_ITS_OWN
from tokenway.dialects.anthropic.format import FORMAT
from tokenway.dialects.translate import Translation
from tokenway.model.catalog import Operation
from tokenway.model.errors import ErrorType
from tokenway.model.usage import Usage


def test_headers_of_anthropics_go_both_ways() -> None:
    """As open lists: betas and limits of tomorrow too."""
    assert any(b"anthropic-beta".startswith(each) for each in FORMAT.forwarded)
    for name in (b"anthropic-ratelimit-unified-reset", b"request-id"):
        assert any(name.startswith(each) for each in FORMAT.returned)
    assert FORMAT.headers == (("anthropic-version", "2023-06-01"),)
    assert FORMAT.credential_header == "x-api-key"
    assert FORMAT.statuses == {ErrorType.PROVIDER_OVERLOADED: 529}


def test_a_stream_passes_as_one() -> None:
    """Whatever the request."""
    stream = FORMAT.passing(FORMAT.parse(Operation.CHAT, BODY, "", False))
    assert stream.feed(START + TEXT + text("a") + LAST + END, 1.0) == START + TEXT + text("a") + LAST
    assert stream.tail(b"", b"") == END


def test_a_stream_translates_to_itself() -> None:
    """Its reader and its writer fit together where the edge puts them."""
    translation = Translation(FORMAT, FORMAT, MAKER_OF_ITS_OWN)
    out = translation.feed(START + b": comment\n\n" + TEXT + text("a") + LAST + END, 1.0)
    assert b'"text":"a"' in out
    assert b"event: ping" in out
    assert b"message_delta" not in out
    assert b"message_delta" in translation.tail(b"", b"")
    assert translation.is_whole
    assert translation.metered.usage == Usage(12, 7, output_text=9)
