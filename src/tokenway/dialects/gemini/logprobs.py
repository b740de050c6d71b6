"""Log probabilities: Gemini's `logprobsResult` to OpenAI's list, and back.

Gemini keeps the chosen tokens and the likely ones of each step in two lists of one length; OpenAI has the second
inside of the first. Gemini gives no bytes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE

_encode: Final = msgspec.json.encode


class _Token(msgspec.Struct, rename="camel"):
    token: str | None = None
    log_probability: float | None = None


class _Step(msgspec.Struct):
    candidates: list[_Token] | None = None


class _Result(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Step] | None = None


class _TokenOut(msgspec.Struct):
    token: str = ""
    logprob: float = 0.0
    top_logprobs: list[_TokenOut] | None = None


_decode: Final = msgspec.json.Decoder(_Result).decode
_decode_list: Final = msgspec.json.Decoder(list[_TokenOut]).decode


def read_logprobs(raw: msgspec.Raw) -> msgspec.Raw | None:
    """OpenAI's list for a `logprobsResult`; None where it says nothing."""
    try:
        result = _decode(raw)
    except UNREADABLE:
        return None
    chosen = result.chosen_candidates or []
    steps = result.top_candidates or []
    found = []
    for number, each in enumerate(chosen):
        likely = (steps[number].candidates or []) if number < len(steps) else []
        found.append({**_token(each), "top_logprobs": [_token(one) for one in likely]})
    return msgspec.Raw(_encode(found)) if found else None


def _token(token: _Token) -> dict[str, Any]:
    return {"token": token.token or "", "logprob": token.log_probability or 0.0, "bytes": None}


def write_logprobs(lists: list[msgspec.Raw]) -> dict[str, object] | None:
    """A `logprobsResult` for OpenAI's lists, one after the other; None without any, or where they cannot be read."""
    chosen: list[dict[str, object]] = []
    steps: list[dict[str, object]] = []
    for raw in lists:
        try:
            tokens = _decode_list(raw)
        except UNREADABLE:
            return None
        for each in tokens:
            chosen.append({"token": each.token, "logProbability": each.logprob})
            likely = [{"token": one.token, "logProbability": one.logprob} for one in each.top_logprobs or ()]
            steps.append({"candidates": likely})
    return {"chosenCandidates": chosen, "topCandidates": steps} if chosen else None
