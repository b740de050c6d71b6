"""An answer that was gathered from its stream is the one that the vendor would have given whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fake_provider.dialects.base import compact
from tests.golden.build import ANSWERS, answer_cases, suffix
from tests.property.answer_places import sample
from tests.property.answer_streams import STREAMS
from tests.property.crossing import maker
from tests.property.test_answer_fields_streams import ONLY_WHOLE, given
from tokenway.dialects.base import WholeAnswer
from tokenway.dialects.gather import Gathering
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import translate_answer
from tokenway.model.catalog import Dialect
from tokenway.model.errors import WireError

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect
PAIRS = [pytest.param(one, other, id=f"{one}--{other}") for one in Dialect for other in Dialect]


def gathered(upstream: Dialect, caller: Dialect, stream: bytes) -> tuple[WholeAnswer, Any]:
    """A stream's answer, read at once."""
    found = Gathering(FORMATS[upstream], FORMATS[caller], maker(caller))
    assert found.feed(stream, 1.0) + found.finish() + found.tail(b"", b"") == b""
    assert found.is_whole, found.fault
    answer, body = found.whole()
    assert (found.metered, found.finish_reason) == (answer.metered, answer.finish_reason)
    return answer, json.loads(body)


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
@pytest.mark.parametrize("case", answer_cases())
def test_every_kind_of_answer(upstream: Dialect, caller: Dialect, case: str) -> None:
    """Text, calls, reasoning, pictures, refusals: as the fake provider says them whole and in a stream."""
    folder = ANSWERS / upstream
    body = compact(json.loads((folder / f"{case}.json").read_bytes())).encode()  # the file is set in lines
    stream = (folder / f"{case}.{suffix(upstream)}").read_bytes()
    answer, whole = translate_answer(FORMATS[upstream], FORMATS[caller], body, maker(caller))
    assert gathered(upstream, caller, stream) == (answer, json.loads(whole))


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
def test_every_field_of_an_answer(upstream: Dialect, caller: Dialect) -> None:
    """Whatever the vendor's types have."""
    for leaf in sample(upstream):
        if upstream is BEDROCK and leaf.path.startswith(ONLY_WHOLE):
            continue
        for value in leaf.values[:1]:
            answer = leaf.make(value)
            body = json.dumps(answer, separators=(",", ":")).encode()
            try:
                said, whole = translate_answer(FORMATS[upstream], FORMATS[caller], body, maker(caller))
            except WireError:
                continue
            found, made = gathered(upstream, caller, STREAMS[upstream](answer))
            assert (found, given(made)) == (said, given(json.loads(whole))), leaf.path
