"""What `benchmarks.path` plays to the worker: whole answers of an upstream, in the pieces in which reads bring them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.load.clients import body, request
from benchmarks.runner import PLAIN_BODY
from benchmarks.subjects import PLAIN
from tokenway.model.catalog import Dialect

EVENTS: Final = 64
_BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"up-bench","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"%b","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":'
    b'{"prompt_tokens":120,"completion_tokens":24,"total_tokens":144,"prompt_tokens_details":{"cached_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0}}}' % (b"word " * 24)
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST = b"0\r\n\r\n"
_START = (
    b'{"id":"chatcmpl-bench0123456789abcdef","object":"chat.completion.chunk","created":1750000000,"model":"bench",'
    b'"system_fingerprint":"fp_bench","choices":'
)


@dataclass(frozen=True)
class Case:
    """One call: the upstream's dialect, the caller's request, and the answer piece by piece."""

    name: str
    dialect: Dialect
    request: bytes
    answer: tuple[bytes, ...]


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _chat_events() -> list[bytes]:
    """As benchmarks/upstream sends them."""
    choice = b'[{"index":0,"delta":{%b},"finish_reason":null}],"obfuscation":"0123456789012345678"}'
    texts = [b'"role":"assistant","content":" to"', *[b'"content":" token"'] * (EVENTS - 1)]
    events = [_START + choice % text for text in texts]
    events.append(_START + b'[{"index":0,"delta":{},"finish_reason":"stop"}]}')
    usage = b'"prompt_tokens":12,"completion_tokens":64,"total_tokens":76,"prompt_tokens_details":{"cached_tokens":0}'
    events.append(_START + b'[],"usage":{%b}}' % usage)
    return [b"data: %b\n\n" % event for event in [*events, b"[DONE]"]]


def _anthropic_events() -> list[bytes]:
    """As benchmarks/upstream sends them for a model whose name ends with `-anthropic`."""
    message = (
        b'"message":{"model":"bench","id":"msg_bench0123456789","type":"message","role":"assistant","content":[],'
        b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":1}}'
    )
    block = b'"index":0,"content_block":{"type":"text","text":""}'
    delta = b'"index":0,"delta":{"type":"text_delta","text":" token"}'
    end = b'"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":64}'
    events = [
        (b"message_start", b"," + message),
        (b"content_block_start", b"," + block),
        *[(b"content_block_delta", b"," + delta)] * EVENTS,
        (b"content_block_stop", b',"index":0'),
        (b"message_delta", b"," + end),
        (b"message_stop", b""),
    ]
    return [b'event: %b\ndata: {"type":"%b"%b}\n\n' % (name, name, data) for name, data in events]


def _streamed(events: list[bytes]) -> tuple[bytes, ...]:
    """One event in each read."""
    return (_STREAM_HEAD, *[_chunk(event) for event in events[:-1]], _chunk(events[-1]) + _LAST)


STREAM_REQUEST: Final = request(body(PLAIN, is_stream=True))
CASES: Final = (
    Case(
        "plain",
        Dialect.OPENAI_CHAT,
        request(PLAIN_BODY),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY),),
    ),
    Case("stream", Dialect.OPENAI_CHAT, STREAM_REQUEST, _streamed(_chat_events())),
    Case("translated", Dialect.ANTHROPIC, STREAM_REQUEST, _streamed(_anthropic_events())),
)
"""The same call answered whole, in 64 events of the caller's dialect, and in 64 of another."""
