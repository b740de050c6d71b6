"""An answer that one upstream began and another ended, in every dialect: the caller sees one answer.

The first upstream's stream is cut at any event; what of it had gone out (passed as it came, or translated) is gone on
with by a second upstream, whose bytes come in any pieces. Both streams are the fake provider's, which knows nothing of
the gateway. What the caller has in the end is what an unbroken stream of the whole text would have been.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.fake_provider.cases import PIXEL
from tests.fake_provider.dialects.base import Ask, Streamed
from tests.fake_provider.reply import Called, Drawn, Part, Refused, Reply, Said, Thought
from tests.fake_provider.routes import VOICES
from tests.property.answer_sdks import STREAM
from tests.property.crossing import asked, events_of
from tests.replay.said import events
from tokenway.dialects.base import AnswerStream, Maker, Upstream
from tokenway.dialects.continuation import REPEATED, Continuation
from tokenway.dialects.gemini.request import GeminiRequest
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.resume import Progress, Sent, sent_so_far
from tokenway.dialects.translate import Translation
from tokenway.model.catalog import Dialect
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.event import Added, Answer, Failed, Finished, Started, fold
from tokenway.model.request import Thinking, prefilled

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect
TEXT: Final = "Grüße from the fake provider, 你好 👋🏽.\n\nIt speaks “plain” text, and goes on  speaking it."
TEXTS: Final = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=60),
    st.text("ab \n", max_size=60),
    st.sampled_from(["", TEXT, "ha " * 20]),
)
NAMES: Final = ("id", "model", "created", "created_at", "responseId", "modelVersion", "system_fingerprint")
"""Members that tell whose answer it is; the last one is of no use to who goes on with it."""


def frames(dialect: Dialect, *parts: Part) -> list[bytes]:
    """What an upstream streams, event by event."""
    ask = Ask(dialect, "test", "upstream-model", stream=True, body={"stream_options": {"include_usage": True}})
    answer = VOICES[dialect].answer(Reply(parts), Ask(**{**vars(ask), "query": {"alt": "sse"}}))
    assert isinstance(answer, Streamed)
    return [frame.data for frame in answer.frames] + ([answer.end] if answer.end else [])


def maker(caller: Dialect, *, array: bool = False) -> Maker:
    """Who asks, always in the same words."""
    request = asked(caller, stream=True)
    if isinstance(request, GeminiRequest):
        request.array = array
    return Maker("gen-9", "m", 1_700_000_000, request)


def stream_of(first: Dialect, made: Maker) -> AnswerStream:
    """Who reads a first upstream: its bytes pass where it speaks the caller's dialect."""
    caller = made.request.dialect
    if first is caller:
        return FORMATS[first].passing(made.request)
    return Translation(FORMATS[first], FORMATS[caller], made)


def begun(first: Dialect, made: Maker, *parts: Part, cut: int) -> bytes:
    """What has gone out of a first answer after `cut` of its events, counted round and round."""
    stream = stream_of(first, made)
    pieces = frames(first, *parts)
    return b"".join([stream.feed(piece, 1.0) for piece in pieces[: cut % (len(pieces) + 1)]])


def ended(second: Dialect, made: Maker, sent: Sent, *parts: Part, sizes: list[int] | None = None) -> bytes:
    """What goes out of a second answer, which comes in pieces of these sizes."""
    stream = Continuation(FORMATS[second], FORMATS[made.request.dialect], made, sent)
    data = b"".join(frames(second, *parts))
    out, at = [], 0
    for size in [*(sizes or ()), len(data)]:
        out.append(stream.feed(data[at : at + size], 2.0))
        at += size
    out.append(stream.finish())
    assert stream.is_whole
    assert not stream.fault
    assert stream.metered.usage is not None
    return b"".join([*out, stream.tail(b"", b"")])


def unbroken(upstream: Dialect, made: Maker, *parts: Part) -> bytes:
    """The same answer from one upstream."""
    stream = Translation(FORMATS[upstream], FORMATS[made.request.dialect], made)
    out = stream.feed(b"".join(frames(upstream, *parts)), 1.0) + stream.finish()
    return out + stream.tail(b"", b"")


def read(caller: Dialect, stream: bytes, *, array: bool = False) -> Answer:
    """The answer that a caller has: it begins once and ends once."""
    if array:
        stream = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in json.loads(stream))
    events = events_of(caller, [stream])
    assert [type(event) for event in events].count(Started) == 1
    assert [type(event) for event in events].count(Finished) == 1
    return fold(events)


def text_of(answer: Answer) -> str:
    """All of its text, where it has nothing else."""
    (choice,) = answer.choices
    return "".join(part.text for part in choice.parts)  # type: ignore[union-attr]


# -- the text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", Dialect)
@given(
    text=TEXTS,
    first=st.sampled_from(Dialect),
    second=st.sampled_from(Dialect),
    cut=st.integers(0, 40),
    sizes=st.lists(st.integers(1, 90), max_size=40),
    array=st.booleans(),
    repeats=st.booleans(),
    step=st.integers(0, 3),
)
def test_a_text_goes_on_where_it_broke(
    caller: Dialect,
    text: str,
    first: Dialect,
    second: Dialect,
    cut: int,
    sizes: list[int],
    array: bool,
    repeats: bool,
    step: int,
) -> None:
    """Wherever it broke, however the rest comes, and whether the second says again what it was given."""
    array = array and caller is GEMINI
    made = maker(caller, array=array)
    before = begun(first, made, Said(text, step), cut=cut)
    sent = sent_so_far(FORMATS[caller], before)
    if sent.progress is Progress.OTHER:
        assert cut % (len(frames(first, Said(text, step))) + 1) >= len(Said(text, step).pieces)
        return  # it was over: `test_what_was_over_is_not_gone_on_with`
    assert text.startswith(sent.text)
    given = sent.text.rstrip()
    rest = text[len(given) :]
    if len(given) >= REPEATED and (repeats or rest.startswith(given)):
        rest = text
    whole = before + ended(second, made, sent, *([Said(rest, step)] if rest else []), sizes=sizes)
    answer = read(caller, whole, array=array)
    assert text_of(answer) == text
    expected = read(caller, unbroken(second, maker(caller, array=array), *([Said(text)] if text else [])), array=array)
    if len(answer.choices[0].parts) <= 1:  # a text that was closed already goes on in another part
        assert answer.choices[0].finish == expected.choices[0].finish
        assert text_of(expected) == text
    assert answer.metered == expected.metered


@pytest.mark.parametrize("caller", Dialect)
@pytest.mark.parametrize("first", Dialect)
def test_every_cut_can_be_told(caller: Dialect, first: Dialect) -> None:
    """Before the text nothing was sent, then more and more of it, and at last it is over; the text is never lost."""
    said = Said("one two three\n\nfour")
    seen = []
    for cut in range(len(frames(first, said)) + 1):
        sent = sent_so_far(FORMATS[caller], begun(first, maker(caller), said, cut=cut))
        seen.append((sent.progress, sent.text))
    texts = [text for progress, text in seen if progress is Progress.TEXT]
    assert list(dict.fromkeys(texts)) == ["one ", "one two ", "one two three\n\n", "one two three\n\nfour"]
    order = list(dict.fromkeys(progress for progress, _ in seen))
    assert order[:2] == [Progress.NOTHING, Progress.TEXT]
    assert order[2:] in ([], [Progress.OTHER])


@pytest.mark.parametrize("caller", Dialect)
@pytest.mark.parametrize("first", Dialect)
@pytest.mark.parametrize("second", Dialect)
def test_an_official_client_has_one_answer(caller: Dialect, first: Dialect, second: Dialect) -> None:
    """Each SDK puts together what it would have of an unbroken stream; ids and names stay the first's."""
    words = len(Said(TEXT).pieces)
    expected = apart(STREAM[caller](unbroken(second, maker(caller), Said(TEXT))))
    for cut in (1, 2, 3, words // 2, words, words + 1):
        before = begun(first, maker(caller), Said(TEXT), cut=cut)
        sent = sent_so_far(FORMATS[caller], before)
        if sent.progress is Progress.OTHER:
            assert cut > words
            break
        rest = TEXT[len(sent.text.rstrip()) :]
        whole = before + ended(second, maker(caller), sent, *([Said(rest)] if rest else []))
        if sent.text != TEXT:  # else its part may have been closed
            assert apart(STREAM[caller](whole)) == expected
        if caller is not BEDROCK:
            assert len(named(whole)) == 1, named(whole)


def apart(answer: Any) -> Any:
    """What an answer says, without who says it: of a response, its output and how it ended."""
    if "output" in answer and "status" in answer:
        kept = {name: answer[name] for name in ("output", "status", "usage", "error", "incomplete_details")}
        return kept | {"output": [{**item, "id": ""} for item in answer["output"]]}
    if "stop_reason" in answer:  # Anthropic tells some of the usage at the beginning alone
        answer["usage"] = {name: value for name, value in answer["usage"].items() if name.endswith("_tokens")}
    return {name: value for name, value in answer.items() if name not in {*NAMES, "service_tier"}}


def named(stream: bytes) -> set[tuple[Any, ...]]:
    """The answers that the events of a stream are of: their ids, models and times."""
    found = set()
    for event in events(stream):
        inner = event.get("response") or event.get("message") or event
        names = tuple(inner.get(name) for name in NAMES[:-1])
        if any(names):
            found.add(names)
    return found


@pytest.mark.parametrize("caller", Dialect)
def test_a_text_may_break_again_and_again(caller: Dialect) -> None:
    """Each time it goes on from all that was sent, and the caller notices nothing."""
    others = [dialect for dialect in Dialect if dialect is not caller]
    made = maker(caller)
    before, text = cut_in(caller, "one ")[0], "one two three four five six"
    for second in others:
        sent = sent_so_far(FORMATS[caller], before)
        assert text.startswith(sent.text)
        stream = Continuation(FORMATS[second], FORMATS[caller], made, sent)
        for piece in frames(second, Said(text[len(sent.text.rstrip()) :])):
            before += stream.feed(piece, 1.0)
            if sent_so_far(FORMATS[caller], before).text != sent.text:
                break
    sent = sent_so_far(FORMATS[caller], before)
    assert sent.text == "one two three four five "
    found = STREAM[caller](before + ended(others[0], made, sent, Said(" six")))
    assert apart(found) == apart(STREAM[caller](unbroken(others[0], made, Said(text))))


# -- what comes beside the text ------------------------------------------------------------------------------

CALL: Final = Called("call_fake_1", "get_weather", {"city": "Zürich", "unit": "celsius"})
THOUGHT: Final = Thought("Seven times six: that is forty-two.", "RmFrZVNpZ25hdHVyZU9mUmVhc29uaW5n")
PAIRS: Final = [pytest.param(one, other, id=f"{one}--{other}") for one in Dialect for other in Dialect]


def cut_in(caller: Dialect, shown: str) -> tuple[bytes, Sent]:
    """A stream of the caller's own dialect that broke when `shown` was sent."""
    said = Said(f"{shown}and more", len(shown))
    for cut in range(len(frames(caller, said))):
        before = begun(caller, maker(caller), said, cut=cut)
        sent = sent_so_far(FORMATS[caller], before)
        if sent.text == shown and before:
            return before, sent
    assert not shown
    return b"", sent_so_far(FORMATS[caller], b"")  # the first event of Google's has text already


@pytest.mark.parametrize(("caller", "second"), PAIRS)
@pytest.mark.parametrize("shown", ["", "Let me "])
def test_a_call_follows_the_text(caller: Dialect, second: Dialect, shown: str) -> None:
    """Its place is counted on from the text that was begun elsewhere."""
    before, sent = cut_in(caller, shown)
    rest = Said("Let me look."[len(shown.rstrip()) :])
    found = STREAM[caller](before + ended(second, maker(caller), sent, rest, CALL))
    assert apart(found) == apart(STREAM[caller](unbroken(second, maker(caller), Said("Let me look."), CALL)))


@pytest.mark.parametrize(("caller", "second"), PAIRS)
def test_a_call_in_place_of_more_text(caller: Dialect, second: Dialect) -> None:
    """The text that was sent ends there, and is all there is of it."""
    before, sent = cut_in(caller, "Let me look.")
    found = STREAM[caller](before + ended(second, maker(caller), sent, CALL))
    assert apart(found) == apart(STREAM[caller](unbroken(second, maker(caller), Said("Let me look."), CALL)))


@pytest.mark.parametrize(("caller", "second"), PAIRS)
def test_thoughts_behind_a_text_are_not_shown(caller: Dialect, second: Dialect) -> None:
    """They would stand behind what they are about; they are counted all the same."""
    before, sent = cut_in(caller, "The answer ")
    out = ended(second, maker(caller), sent, THOUGHT, Said(" is 42."))
    assert b"forty-two" not in out
    assert apart(STREAM[caller](before + out)) == apart(
        STREAM[caller](unbroken(second, maker(caller), Said("The answer is 42.")))
    )


@pytest.mark.parametrize(("caller", "second"), PAIRS)
def test_thoughts_before_any_text_are_shown(caller: Dialect, second: Dialect) -> None:
    """Of what was sent nobody has seen anything: the answer is the second's from its beginning."""
    started = begun(CHAT if caller is not CHAT else RESPONSES, maker(caller), Said("hi"), cut=1)
    sent = sent_so_far(FORMATS[caller], started)
    assert sent.progress is Progress.NOTHING
    found = STREAM[caller](started + ended(second, maker(caller), sent, THOUGHT, Said("The answer is 42.")))
    assert apart(found) == apart(STREAM[caller](unbroken(second, maker(caller), THOUGHT, Said("The answer is 42."))))


@pytest.mark.parametrize(("caller", "first"), PAIRS)
@pytest.mark.parametrize(
    "parts",
    [(THOUGHT, Said("42")), (CALL,), (Thought(sealed="U0VBTA=="), Said("42")), (Drawn(PIXEL),), (Refused("no"),)],
    ids=["thought", "call", "sealed", "image", "refusal"],
)
def test_anything_but_text_is_never_gone_on_with(caller: Dialect, first: Dialect, parts: tuple[Part, ...]) -> None:
    """Once it has begun to come, whatever follows."""
    size = len(frames(first, *parts))
    found = [sent_so_far(FORMATS[caller], begun(first, maker(caller), *parts, cut=cut)) for cut in range(size + 1)]
    if found[-1].progress is not Progress.OTHER:
        # The dialect of the caller has no place for it, or it is text there.
        shown = text_of_stream(caller, begun(first, maker(caller), *parts, cut=size))
        assert found[-1].text == shown
        return
    first_other = next(at for at, sent in enumerate(found) if sent.progress is Progress.OTHER)
    assert all(sent.progress is Progress.OTHER for sent in found[first_other:])
    # In most dialects a refusal is text, until its reason to stop tells what it is.
    assert isinstance(parts[0], Refused) or all(not sent.text for sent in found)


def text_of_stream(caller: Dialect, stream: bytes) -> str:
    """The text of a stream that has not ended."""
    return "".join(event.text for event in events_of(caller, [stream]) if isinstance(event, Added))


@pytest.mark.parametrize(("caller", "second"), PAIRS)
def test_a_second_failure_is_told_well(caller: Dialect, second: Dialect) -> None:
    """An error behind a continuation that broke as well repeats the id and counts on."""
    before, sent = cut_in(caller, "The answer ")
    made = maker(caller)
    stream = Continuation(FORMATS[second], FORMATS[caller], made, sent)
    pieces = frames(second, Said(" is 42, of course"))
    before += b"".join([stream.feed(piece, 1.0) for piece in pieces[:4]])
    problem = Problem(502, ErrorType.PROVIDER_UNAVAILABLE, "It broke.")
    end = FORMATS[caller].error_event(problem, replace(made, answer=stream.answer_id, sequence=stream.sequence))
    told = events_of(caller, [before + end])
    assert isinstance(told[-1], Failed)
    assert text_of_stream(caller, before).startswith("The answer")
    if caller is RESPONSES:
        numbers = [event["sequence_number"] for event in events(before + end)]
        assert numbers == list(range(len(numbers)))
        assert len({event["response"]["id"] for event in events(before + end) if "response" in event}) == 1


# -- the request ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("caller", "upstream"), [pair for pair in PAIRS if "--openai_responses" not in str(pair.id)])
def test_the_request_ends_with_what_was_sent(caller: Dialect, upstream: Dialect) -> None:
    """As the model's own turn, which the upstream's dialect goes on with; reasoning is not asked for."""
    request = replace(asked(caller).neutral(), thinking=Thinking("high", shown=True), max_tokens=4000)
    to = Upstream("claude-sonnet-4-5" if upstream is ANTHROPIC else "anthropic.claude-sonnet-4-5-20250929-v1:0")
    written = FORMATS[upstream].write_request(prefilled(request, "It is \n"), to)
    body = json.loads(written.body)
    assert FORMATS[upstream].has_prefill
    if upstream is GEMINI:
        assert body["contents"][-1] == {"role": "model", "parts": [{"text": "It is"}]}
        assert body["generationConfig"] == {"maxOutputTokens": 3999}
        return
    last = body["messages"][-1]
    assert last["role"] == "assistant"
    assert last["content"] in ("It is", [{"text": "It is"}], [{"type": "text", "text": "It is"}])
    assert not {"thinking", "reasoning_effort", "additionalModelRequestFields"} & body.keys()
    assert written.dropped == ()


def test_openais_responses_have_no_prefill() -> None:
    """Who chooses where an answer goes on looks at that."""
    assert [dialect for dialect in Dialect if not FORMATS[dialect].has_prefill] == [RESPONSES]
