"""Every bound on what comes from outside, in one place, each with its reason.

Sizes are in bytes, times in seconds. What a person may want to change is a setting and only its
default stands here.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

REQUEST_BODY: Final = 32 * MIB
"""Default of `server.max_body`: what Anthropic takes; OpenAI's image requests are below 20 MB."""

REQUEST_HEAD: Final = 64 * KIB
"""A request's line and headers together; nginx takes 32 KiB, agents send long trace headers."""

REQUEST_URL: Final = 8 * KIB
"""One request line; the usual limit of servers and proxies."""

HEADERS_MAX: Final = 128
"""Headers in one request; Apache and Go proxies allow about 100."""

PIPELINED_MAX: Final = 16
"""Requests waiting behind the one being answered on a connection; more and the client is not polite."""

HEAD_SECONDS: Final = 10.0
"""From a request's first byte to the end of its headers: a slow head is an attack or a dead peer."""

BODY_SECONDS: Final = 30.0
"""The longest pause between two pieces of a request's body."""

PING_SECONDS: Final = 15.0
"""How long a stream of ours may be silent before its caller is told that it goes on; Claude Code waits for 300 s."""

IDLE_SECONDS: Final = 75.0
"""How long an idle client connection is kept; above the 60 s of common load balancers."""

RESPONSE_HEAD: Final = 64 * KIB
"""An upstream's status line and headers together."""

ANSWER: Final = 64 * MIB
"""A whole answer that does not stream: room for large batches of embeddings."""

ERROR_BODY: Final = 64 * KIB
"""What is kept of an upstream's error; the rest tells nobody anything."""

EVENT: Final = 8 * MIB
"""One server-sent event; images in base64 come as single events of several megabytes."""

MESSAGE: Final = 24 * MIB
"""One message of an AWS event stream, as a whole: the payload that AWS's own SDKs take."""

MESSAGE_HEADERS: Final = 128 * KIB
"""The headers of such a message; AWS's format allows no more."""

HELD_EVENTS: Final = 64 * KIB
"""The end of a stream (usage, end mark) that is held back until the ledger has it."""

MODEL_NAME: Final = 256
"""Characters of a model's name: the longest in use have below 100, and every name is kept in the ledger."""

WRITE_HIGH: Final = 64 * KIB
WRITE_LOW: Final = 16 * KIB
"""A transport's write buffer: above the first the other side is paused, below the second it goes on."""

FETCHED: Final = 20 * MIB
"""An image or document that is fetched by its URL; Anthropic takes 5 MB, Google 20 MB in one request."""

FETCHES_MAX: Final = 20
"""Files that are fetched for one request."""

KEPT_STREAM: Final = 256 * KIB
"""Bytes of a stream that are kept so that it can go on elsewhere: some thousand tokens, whatever the dialect."""
