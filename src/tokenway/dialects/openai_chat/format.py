"""The OpenAI chat dialect, gathered (provisional)."""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE, Format, UpstreamError, fault_text
from tokenway.dialects.openai_chat import error, request
from tokenway.dialects.openai_chat.passing import PassingChat, read_answer, with_usage_members
from tokenway.model.catalog import Dialect


def _read_error(status, body):
    try:
        decoded = msgspec.json.decode(body)
    except UNREADABLE:
        return UpstreamError()
    e = decoded.get("error") if isinstance(decoded, dict) else None
    if not e:
        return UpstreamError()
    code = e.get("code") if isinstance(e, dict) else None
    return UpstreamError(fault_text(e), code if isinstance(code, str) else "", isinstance(e, dict))


FORMAT: Final = Format(
    Dialect.OPENAI_CHAT,
    b"text/event-stream",
    lambda op, body, model, stream: request.parse(op, body),
    lambda req: PassingChat(req.choices, asks_usage=req.asks_usage),
    read_answer,
    with_usage_members,
    None,
    None,
    lambda problem, id: error.error_body(problem),
    lambda problem, maker: error.error_event(problem, maker.exchange, maker.model, maker.created),
    lambda op, model, stream: request.PATHS[op],
    None,
    None,
    None,
    None,
    _read_error,
)
