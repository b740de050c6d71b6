"""The response object: what a whole answer is, and what the first and the last event of a stream carry.

It tells the request's settings back. Ids are made of the exchange's, so that whoever sees one finds the other:
`gen-…` answers as `resp_…`, with the items `msg_…_0`, `fc_…_1`, by their place in the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tokenway.dialects.base import Maker
from tokenway.dialects.openai_responses.namespaces import namespaced
from tokenway.dialects.openai_responses.request import ResponsesRequest
from tokenway.dialects.openai_responses.schema import NOTHING

_EXCHANGE: Final = "gen-"
_RESPONSE: Final = "resp_"

_DEFAULTS: Final[dict[str, object]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Settings that a response tells, with what stands there where the request does not say."""


def stem(exchange: str) -> str:
    """What the ids of an exchange's response and items have in common."""
    return exchange.removeprefix(_EXCHANGE)


def response_id(exchange: str) -> str:
    """The id of the response that an exchange gives."""
    return _RESPONSE + stem(exchange)


def exchange_id(response: str) -> str:
    """The exchange that a response's id was made of."""
    return _EXCHANGE + response.removeprefix(_RESPONSE)


class Shape:
    """Response objects of one exchange."""

    __slots__ = ("_body", "_head", "_namespaced", "_settings")

    def __init__(self, maker: Maker) -> None:
        request = maker.request
        settings = dict(_DEFAULTS)
        store, background, previous = True, False, ""
        self._body = b""
        self._namespaced: dict[str, tuple[str, str]] | None = None
        if isinstance(request, ResponsesRequest):
            store, background, previous = request.store, request.background, request.previous
            self._body = request.body
            for name in _DEFAULTS:
                value = getattr(request.settings, name)
                if value is not None and value not in NOTHING:
                    settings[name] = value
        self._head: dict[str, object] = {
            "id": maker.answer or response_id(maker.exchange),
            "object": "response",
            "created_at": maker.created,
            "model": maker.model,
        }
        self._settings = {
            "background": background,
            **settings,
            "previous_response_id": previous or None,
            "store": store,
        }

    def follow(self, response: dict[str, object]) -> None:
        """Goes on with a response that has been told: its id, its time and its settings are the ones that hold."""
        self._head, self._settings = response, {}

    def apart(self, name: str) -> tuple[str, str]:
        """The namespace, if any, and the name by which the caller knows the tool that a model calls so.

        The request has been read before a model can call anything; before, its tools may be anything.
        """
        if self._namespaced is None:
            self._namespaced = namespaced(self._body)
        return self._namespaced.get(name, ("", name))

    def make(
        self,
        status: str,
        output: Sequence[object] = (),
        *,
        usage: object = None,
        error: object = None,
        incomplete: object = None,
    ) -> dict[str, object]:
        """The object in this status; every member that the SDK's type requires is there."""
        return {
            **self._head,
            "status": status,
            "error": error,
            "incomplete_details": incomplete,
            "output": output,
            **self._settings,
            "usage": usage,
        }


def failure(code: str, message: str) -> dict[str, object]:
    """The value of `error` in a failed response."""
    return {"code": code, "message": message}


def with_member(text: bytes, member: bytes) -> bytes:
    """An encoded object that is not empty, with one more member at its end, if there is one."""
    return b"%b,%b}" % (text[:-1], member) if member else text


def priced_usage(usage: dict[str, object] | None, cost: bytes) -> object:
    """A usage object with its cost; None where nothing was counted."""
    if usage is None or not cost:
        return usage
    return msgspec.Raw(with_member(msgspec.json.encode(usage), cost))
