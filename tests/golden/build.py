"""Writes the golden files anew: `python -m tests.golden.build`. README.md beside this file says what they are."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.fake_provider import REPLIES
from tests.fake_provider.aws import split
from tests.fake_provider.dialects.base import Ask, Streamed, Whole
from tests.fake_provider.reply import Reply, Said
from tests.fake_provider.routes import VOICES
from tokenway.dialects.base import Format, Maker, Upstream
from tokenway.dialects.continuation import Continuation
from tokenway.dialects.resume import sent_so_far
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.edge.crossing import spelled
from tokenway.model.catalog import Capabilities, Dialect, Operation
from tokenway.model.errors import ErrorType, Problem, Refusal

ROOT: Final = Path(__file__).resolve().parent
REQUESTS: Final = ROOT / "cases" / "requests"
ANSWERS: Final = ROOT / "cases" / "answers"
ERRORS: Final = ROOT / "errors"
RESCUED: Final = ROOT / "rescued"
LEFT_OUT: Final = frozenset({"long"})
"""Replies that would only be long."""
CALLER_MODEL: Final = "caller-model"
UPSTREAM: Final = Upstream(model="upstream-model", capabilities=Capabilities(vision=True, max_output=16_384))
CREATED: Final = 1_760_000_000
IN_PATH: Final = frozenset({Dialect.GEMINI, Dialect.BEDROCK})
"""The dialects whose path names the model and asks for the stream."""

_TABLE: Final = "tokenway.dialects.registry"

PROBLEMS: Final = {
    "bad-request": Problem(
        400, ErrorType.INVALID_REQUEST, "'messages[0].role': it is missing.", "messages[0].role", "missing_parameter"
    ),
    "wrong-key": Problem(401, ErrorType.AUTHENTICATION, "The key is not known.", code="invalid_api_key"),
    "no-budget": Problem(
        402, ErrorType.PAYMENT_REQUIRED, "The key's budget is spent.", code="budget_exceeded", should_retry=False
    ),
    "not-allowed": Problem(
        403, ErrorType.PERMISSION_DENIED, "This key may not call 'm'.", "model", "model_not_allowed"
    ),
    "unknown-model": Problem(
        404, ErrorType.NOT_FOUND, "There is no model 'm'.", "model", "model_not_found", details={"nearest": ["n", "o"]}
    ),
    "too-large": Problem(413, ErrorType.PAYLOAD_TOO_LARGE, "The body passes 32 MiB.", code="payload_too_large"),
    "rate-limit": Problem(
        429, ErrorType.RATE_LIMIT_EXCEEDED, "Too many requests.", code="rate_limit_exceeded", retry_after=12.5
    ),
    "mistake": Problem(500, ErrorType.SERVER, "The gateway made a mistake.", code="internal_error"),
    "broken-provider": Problem(
        502, ErrorType.PROVIDER_UNAVAILABLE, "The provider broke off.", should_retry=True, details={"attempts": 2}
    ),
    "provider-credential": Problem(
        403, ErrorType.PROVIDER_AUTHENTICATION, "The provider refuses the gateway's credential.", should_retry=False
    ),
    "no-endpoint": Problem(
        503,
        ErrorType.PROVIDER_UNAVAILABLE,
        "No endpoint can serve this.",
        code="no_endpoints",
        details={"availability": {"code": "constraint_filtered", "excluded_by": {"lab/m": "max_price"}}},
    ),
    "overloaded": Problem(503, ErrorType.PROVIDER_OVERLOADED, "The provider has too much to do.", retry_after=3),
    "deadline": Problem(504, ErrorType.TIMEOUT, "No token came in 60 s.", code="first_token_deadline"),
}
"""One of each kind of failure."""

Files = Mapping[str, bytes]
"""Paths below `tests/golden`, with what belongs there."""


def formats() -> Mapping[Dialect, Format]:
    """The dialects that the gateway converts by now."""
    if find_spec(_TABLE) is None:
        return {}
    found: Mapping[Dialect, Format] = import_module(_TABLE).FORMATS
    return found


def pretty(body: bytes) -> bytes:
    """JSON, indented, its members in their order."""
    return (json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n").encode()


# -- the answers of upstreams ------------------------------------------------------------------------------


def answer_files() -> dict[str, bytes]:
    """Every reply in every dialect, whole and streamed, as the fake provider says it."""
    made = {}
    for dialect in Dialect:
        for case in REPLIES.keys() - LEFT_OUT:
            stem = f"cases/answers/{dialect}/{case}"
            made[f"{stem}.json"] = pretty(_rendered(dialect, case, stream=False))
            made[f"{stem}.{suffix(dialect)}"] = _rendered(dialect, case, stream=True)
    return made


def suffix(dialect: Dialect) -> str:
    """The ending of a stream's file."""
    return "bin" if dialect is Dialect.BEDROCK else "sse"


def _rendered(dialect: Dialect, case: str, *, stream: bool) -> bytes:
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}}
    ask = Ask(dialect, "golden", UPSTREAM.model, stream, asked, {"alt": "sse"})
    answer = VOICES[dialect].answer(REPLIES[case], ask)
    if isinstance(answer, Whole):
        return answer.body
    assert isinstance(answer, Streamed)
    return b"".join(frame.data for frame in answer.frames) + answer.end


# -- what becomes of them ----------------------------------------------------------------------------------


def request_files(caller: Format, upstream: Format, case: str) -> dict[str, bytes]:
    """A caller's request as the upstream gets it."""
    stem = f"{caller.dialect}--{upstream.dialect}/{case}"
    try:
        parsed = _parse(caller, (REQUESTS / caller.dialect / f"{case}.json").read_bytes(), case)
        written = upstream.write_request(parsed.neutral(), UPSTREAM)
    except Refusal as refusal:
        problem = refusal.problem
        lines = [f"{problem.status} {problem.message}", f"param: {problem.param}", f"code: {problem.code}", ""]
        return {f"{stem}/refused.txt": "\n".join(lines).encode()}
    files = {f"{stem}/request.json": pretty(written.body)}
    if written.dropped:
        files[f"{stem}/dropped.txt"] = spelled(written.dropped, caller).replace(",", "\n").encode() + b"\n"
    return files


def translated_files(caller: Format, upstream: Format, case: str) -> dict[str, bytes]:
    """An upstream's answer as the caller gets it, in files."""
    stem = f"{caller.dialect}--{upstream.dialect}/{case}"
    whole, stream = translated(caller, upstream, case)
    return {f"{stem}/answer.json": pretty(whole), f"{stem}/stream.txt": readable(caller.dialect, stream)}


def translated(caller: Format, upstream: Format, case: str) -> tuple[bytes, bytes]:
    """An upstream's answer as the caller gets it, whole and streamed."""
    folder = ANSWERS / upstream.dialect
    request = _parse(caller, _plain_request(caller.dialect), "plain-stream")
    maker = Maker("gen-golden", CALLER_MODEL, CREATED, request)
    _, whole = translate_answer(upstream, caller, (folder / f"{case}.json").read_bytes(), maker)
    stream = Translation(upstream, caller, maker)
    out = stream.feed((folder / f"{case}.{suffix(upstream.dialect)}").read_bytes(), 0.0)
    out += stream.finish() + stream.tail(b"", b"")
    assert stream.is_whole, f"{case} of {upstream.dialect} for {caller.dialect}: the stream has no end"
    return whole, out


def _parse(caller: Format, body: bytes, case: str) -> Any:
    is_in_path = caller.dialect in IN_PATH
    stream = is_in_path and case.endswith("-stream")
    return caller.parse(Operation.CHAT, body, CALLER_MODEL if is_in_path else "", stream)


def _plain_request(dialect: Dialect) -> bytes:
    """A request that asks for a stream with its usage."""
    body = json.loads((REQUESTS / dialect / "minimal.json").read_bytes())
    if dialect not in IN_PATH:
        body["stream"] = True
    if dialect is Dialect.OPENAI_CHAT:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def readable(dialect: Dialect, stream: bytes) -> bytes:
    """A stream as text: the events of AWS's binary one are shown like server-sent ones."""
    if dialect is not Dialect.BEDROCK:
        return stream
    blocks = []
    for headers, payload in split(stream):
        named = "".join(f"{name} {value}\n" for name, value in headers.items())
        blocks.append(named.encode() + payload + b"\n\n")
    return b"".join(blocks)


# -- errors ------------------------------------------------------------------------------------------------


def error_files() -> dict[str, bytes]:
    """Every problem in every dialect: as the body of an answer, and as the end of a stream that had begun."""
    made = {}
    for dialect, form in sorted(formats().items()):
        request = _parse(form, _plain_request(dialect), "plain-stream")
        maker = Maker("gen-golden", CALLER_MODEL, CREATED, request, sequence=4)
        for case, problem in PROBLEMS.items():
            made[f"errors/{dialect}/{case}.json"] = pretty(form.error_body(problem, "gen-golden"))
            made[f"errors/{dialect}/{case}.txt"] = readable(dialect, form.error_event(problem, maker))
    return made


# -- rescued streams ---------------------------------------------------------------------------------------

RESCUES: Final = {"passed": (True, 4), "translated": (False, 4), "restarted": (False, 1)}
"""Whether a first answer was in the caller's own dialect, and how many events came of it."""


def rescued_files() -> dict[str, bytes]:
    """Answers that broke and go on elsewhere, in every caller's dialect: what was sent, and what follows it."""
    made = {}
    found = formats()
    for dialect, caller in sorted(found.items()):
        other = found[Dialect.OPENAI_CHAT if dialect is Dialect.ANTHROPIC else Dialect.ANTHROPIC]
        maker = Maker("gen-golden", CALLER_MODEL, CREATED, _parse(caller, _plain_request(dialect), "plain-stream"))
        for case, (is_same, count) in RESCUES.items():
            first = caller.passing(maker.request) if is_same else Translation(other, caller, maker)
            pieces = _pieces(dialect if is_same else other.dialect, REPLIES["text"])
            before = b"".join([first.feed(piece, 0.0) for piece in pieces[:count]])
            sent = sent_so_far(caller, before)
            text = str(getattr(REPLIES["text"].parts[0], "text", ""))
            second = Continuation(other, caller, maker, sent)
            rest = Reply((Said(text[len(sent.text.rstrip()) :]),))
            after = b"".join([second.feed(piece, 0.0) for piece in _pieces(other.dialect, rest)])
            after += second.finish() + second.tail(b"", b"")
            assert second.is_whole, f"{case} for {dialect}: the stream has no end"
            made[f"rescued/{dialect}/{case}/sent.txt"] = readable(dialect, before)
            made[f"rescued/{dialect}/{case}/continued.txt"] = readable(dialect, after)
    return made


def _pieces(dialect: Dialect, reply: Reply) -> list[bytes]:
    """A reply as a provider streams it, event by event."""
    ask = Ask(dialect, "golden", UPSTREAM.model, True, {"stream_options": {"include_usage": True}}, {"alt": "sse"})
    answer = VOICES[dialect].answer(reply, ask)
    assert isinstance(answer, Streamed)
    return [*(frame.data for frame in answer.frames), answer.end]


# -- all of it ---------------------------------------------------------------------------------------------


def pairs(found: Mapping[Dialect, Format]) -> Iterator[tuple[Format, Format]]:
    """Every caller's dialect with every other upstream's; within one dialect nothing is converted."""
    yield from ((found[a], found[b]) for a in sorted(found) for b in sorted(found) if a != b)


def request_cases(dialect: Dialect) -> list[str]:
    """The requests that are written for a dialect."""
    return sorted(path.stem for path in (REQUESTS / dialect).glob("*.json"))


def answer_cases() -> list[str]:
    """The replies that are rendered."""
    return sorted(REPLIES.keys() - LEFT_OUT)


def steps(caller: Format, upstream: Format) -> Iterator[tuple[str, Callable[[], dict[str, bytes]]]]:
    """What makes the golden files of one pair, case by case."""
    for case in request_cases(caller.dialect):
        yield f"request {case}", partial(request_files, caller, upstream, case)
    for case in answer_cases():
        yield f"answer {case}", partial(translated_files, caller, upstream, case)


def pair_files(caller: Format, upstream: Format) -> dict[str, bytes]:
    """All golden files of one pair."""
    made: dict[str, bytes] = {}
    for _, step in steps(caller, upstream):
        made |= step()
    return made


def present() -> set[str]:
    """The golden files that are there, but for the requests, which are written by hand."""
    folders = [ANSWERS, ERRORS, RESCUED, *ROOT.glob("*--*")]
    return {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.rglob("*") if path.is_file()}


def write(files: Files) -> None:
    """Writes them."""
    for name, data in files.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def main() -> int:
    """Writes everything anew; the answers first, since the rest is made of them. Tells of every case that fails."""
    for folder in (ANSWERS, ERRORS, RESCUED, *ROOT.glob("*--*")):
        shutil.rmtree(folder, ignore_errors=True)
    files = answer_files() | error_files() | rescued_files()
    write(files)
    count, failures = len(files), 0
    for caller, upstream in pairs(formats()):
        for name, step in steps(caller, upstream):
            try:
                files = step()
            except Exception as error:  # noqa: BLE001 - a converter's bug of any kind is told, and the rest written
                print(f"{caller.dialect}--{upstream.dialect}, {name}: {error!r}")
                failures += 1
            else:
                write(files)
                count += len(files)
    print(f"golden: {count} files, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
