"""Moderations, images, speech, transcriptions and rankings, after OpenAI's, Cohere's and Jina's API references.

They answer by what they are asked, not by a reply's parts: only its counts are told, and its text is what is heard in
a recording.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tests.fake_provider.cases import PIXEL
from tests.fake_provider.dialects import openai_chat
from tests.fake_provider.dialects.base import CREATED, Ask, Failure, Frame, Streamed, Voice, Whole, event, whole, words
from tests.fake_provider.reply import Counts, Reply, Said

SPEECH_CHUNKS = 16
SPEECH_CHUNK = bytes(range(256)) * 4
"""What a piece of speech is made of: every byte there is, to show that none is touched."""
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def answer(reply: Reply, ask: Ask) -> Whole | Streamed:
    """What the path asks for."""
    return _ANSWERS[ask.kind](reply, ask)


def _moderations(reply: Reply, ask: Ask) -> Whole:
    """Flags every input that holds the word `kill`, for violence."""
    given = ask.body["input"]
    inputs = given if isinstance(given, list) else [given]
    results = []
    for each in inputs:
        is_bad = "kill" in str(each)
        flags = {name: is_bad and name == "violence" for name in _CATEGORIES}
        scores = {name: 0.9 if flag else 0.001 for name, flag in flags.items()}
        types = {name: ["text"] for name in _CATEGORIES}
        results.append(
            {
                "flagged": is_bad,
                "categories": flags,
                "category_scores": scores,
                "category_applied_input_types": types,
            }
        )
    return whole({"id": "modr-fake-1", "model": ask.model, "results": results})


def _images(reply: Reply, ask: Ask) -> Whole | Streamed:
    """Pictures of one pixel: as many as `n` says, or with `stream` a partial one first."""
    family = "image_edit" if ask.kind == "images/edits" else "image_generation"
    told = {} if reply.counts is None else {"usage": _image_usage(reply.counts)}
    looks = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
    if not ask.stream:
        data = [{"b64_json": PIXEL} for _ in range(int(ask.body.get("n", 1)))]
        return whole({"created": CREATED, "data": data, **looks, **told})

    def frames() -> Iterator[Frame]:
        common = {"b64_json": PIXEL, "created_at": CREATED, **looks}
        for index in range(int(ask.body.get("partial_images", 1))):
            kind = f"{family}.partial_image"
            yield Frame(event({"type": kind, **common, "partial_image_index": index}, kind), 1)
        kind = f"{family}.completed"
        yield Frame(event({"type": kind, **common, **told}, kind), 1)

    return Streamed(frames(), int(ask.body.get("partial_images", 1)) + 1)


def _image_usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.input,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": counts.input},
        "output_tokens": counts.output,
        "output_tokens_details": {"image_tokens": counts.output, "text_tokens": 0},
        "total_tokens": counts.input + counts.output,
    }


def _speech(reply: Reply, ask: Ask) -> Streamed:
    """Binary pieces, or events with base64 in them where `stream_format` asks for these."""
    if ask.body.get("stream_format") != "sse":
        return Streamed((Frame(SPEECH_CHUNK, 1) for _ in range(SPEECH_CHUNKS)), SPEECH_CHUNKS, "audio/mpeg")
    audio = base64.b64encode(SPEECH_CHUNK).decode()

    def frames() -> Iterator[Frame]:
        for _ in range(SPEECH_CHUNKS):
            yield Frame(event({"type": "speech.audio.delta", "audio": audio}), 1)
        yield Frame(event({"type": "speech.audio.done", **_token_usage(reply.counts)}))

    return Streamed(frames(), SPEECH_CHUNKS)


def _transcription(reply: Reply, ask: Ask) -> Whole | Streamed:
    """The reply's text, in the wanted format."""
    said = Said(reply.joined(Said))
    if ask.stream:
        return Streamed(_heard(said, reply), len(said.pieces))
    wanted = ask.body.get("response_format", "json")
    if wanted in {"text", "srt", "vtt"}:
        start = {"text": "", "srt": "1\n00:00:00,000 --> 00:00:01,000\n", "vtt": "WEBVTT\n\n00:00.000 --> 00:01.000\n"}
        return Whole(f"{start[wanted]}{said.text}\n".encode(), "text/plain; charset=utf-8")
    if wanted == "verbose_json":
        task = ask.kind.rpartition("/")[2].removesuffix("ions").replace("transcript", "transcribe")
        heard = {"task": task, "language": "english", "duration": 1.0, "text": said.text, "segments": []}
        return whole(heard if reply.counts is None else heard | {"usage": {"type": "duration", "seconds": 1}})
    return whole({"text": said.text} | _token_usage(reply.counts, "tokens"))


def _heard(said: Said, reply: Reply) -> Iterator[Frame]:
    for piece in said.pieces:
        yield Frame(event({"type": "transcript.text.delta", "delta": piece}), 1)
    yield Frame(event({"type": "transcript.text.done", "text": said.text} | _token_usage(reply.counts, "tokens")))


def _token_usage(counts: Counts | None, kind: str = "") -> dict[str, Any]:
    if counts is None:
        return {}
    told = {
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
    }
    return {"usage": {"type": kind, **told} if kind else told}


def _rerank(reply: Reply, ask: Ask) -> Whole:
    """Ranks documents by how many words of the query they hold; Jina's shape, and Cohere's under `/v2`."""
    query = set(str(ask.body["query"]).lower().split())
    texts = [each if isinstance(each, str) else each["text"] for each in ask.body["documents"]]
    scores = [len(query & set(text.lower().split())) / max(1, len(query)) for text in texts]
    order = sorted(range(len(texts)), key=lambda index: (-scores[index], index))[: ask.body.get("top_n", len(texts))]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in order]
    if ask.query.get("version") == "v2":
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
        return whole({"id": "rerank-fake-1", "results": results, "meta": meta})
    if ask.body.get("return_documents", True):
        for each in results:
            each["document"] = {"text": texts[each["index"]]}
    tokens = words([ask.body["query"], texts])
    usage = {"total_tokens": tokens, "prompt_tokens": tokens}
    return whole({"model": ask.model, "usage": usage, "results": results})


def broken(failure: Failure, ask: Ask, sent: int) -> bytes:
    """The event `error`."""
    told = {"type": "server_error", "code": None, "message": failure.message, "param": None}
    return event({"type": "error", "error": told}, "error")


_ANSWERS: Mapping[str, Callable[[Reply, Ask], Whole | Streamed]] = MappingProxyType(
    {
        "moderations": _moderations,
        "images/generations": _images,
        "images/edits": _images,
        "images/variations": _images,
        "audio/speech": _speech,
        "audio/transcriptions": _transcription,
        "audio/translations": _transcription,
        "rerank": _rerank,
    }
)
VOICE = Voice(answer, openai_chat.error, broken)
