"""AWS's SDK, Converse, with a bearer token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.fake_provider.reply import Finish
from tests.sdks.seen import MAX_TOKENS, PROMPT, STOPS, SYSTEM, TOOLS, Failed, Seen, Totals, arguments

FINISH: Final = {
    "end_turn": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "tool_use": Finish.TOOLS,
    "content_filtered": Finish.REFUSED,
    "guardrail_intervened": Finish.REFUSED,
}
TOKEN: Final = "AWS_BEARER_TOKEN_BEDROCK"
REQUEST: Final[dict[str, Any]] = {
    "system": [{"text": SYSTEM}],
    "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
    "toolConfig": {
        "tools": [{"toolSpec": {"name": name, "inputSchema": {"json": schema}}} for name, schema in TOOLS.items()]
    },
    "inferenceConfig": {"maxTokens": MAX_TOKENS, "stopSequences": STOPS},
}


class Bedrock:
    """See `tests.sdks.seen.Client`. The SDK blocks, so that it runs in a thread; it sends a token over TLS only."""

    def __init__(self, origin: str, key: str, authority: Path) -> None:
        """The SDK reads its token from the environment at every call, and has no other place for it."""
        self._before = os.environ.get(TOKEN)
        os.environ[TOKEN] = key
        self._client = boto3.session.Session().client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=origin,
            verify=str(authority),
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def ask(self, model: str, *, stream: bool) -> Seen:
        """One request."""
        return await asyncio.to_thread(self._stream if stream else self._whole, model)

    async def close(self) -> None:
        """Frees its connections, and gives the environment back."""
        self._client.close()
        del os.environ[TOKEN]
        if self._before is not None:
            os.environ[TOKEN] = self._before

    def _whole(self, model: str) -> Seen:
        try:
            answer = self._client.converse(modelId=model, **REQUEST)
        except ClientError as error:
            raise _failed(error) from error
        content = answer["output"]["message"]["content"]
        return seen(content, answer["stopReason"], answer.get("usage"), answer["ResponseMetadata"]["HTTPHeaders"])

    def _stream(self, model: str) -> Seen:
        try:
            answer = self._client.converse_stream(modelId=model, **REQUEST)
        except ClientError as error:
            raise _failed(error) from error
        events: list[dict[str, Any]] = []
        try:
            events.extend(answer["stream"])
        except EventStreamError as error:
            raise Failed(200, error.response["Error"]["Message"], _text(fold(events))) from error
        finally:
            answer["stream"].close()
        stops = [event["messageStop"]["stopReason"] for event in events if "messageStop" in event]
        assert len(stops) == 1, "a stream says once why it ends"
        usage = [event["metadata"].get("usage") for event in events if "metadata" in event]
        return seen(fold(events), stops[0], usage[-1], answer["ResponseMetadata"]["HTTPHeaders"])


def _failed(error: ClientError) -> Failed:
    told = error.response
    return Failed(told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Message"])


def fold(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The content that a stream's events amount to; the SDK leaves that to its users."""
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        if "contentBlockStart" in event:
            begun = event["contentBlockStart"]
            tool = begun["start"].get("toolUse")
            blocks[begun["contentBlockIndex"]] = {"toolUse": {**tool, "input": ""}} if tool else dict(begun["start"])
        elif "contentBlockDelta" in event:
            more = event["contentBlockDelta"]
            _add(blocks.setdefault(more["contentBlockIndex"], {}), more["delta"])
    return [blocks[index] for index in sorted(blocks)]


def _add(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "text" in delta.get("reasoningContent", {}):
        thought = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        thought["text"] += delta["reasoningContent"]["text"]


def _text(content: list[dict[str, Any]]) -> str:
    return "".join(block.get("text", "") for block in content)


def seen(content: list[dict[str, Any]], stop: str, usage: Mapping[str, int] | None, headers: Mapping[str, str]) -> Seen:
    """An answer's content, its stop reason and its usage."""
    thoughts = [block["reasoningContent"].get("reasoningText", {}) for block in content if "reasoningContent" in block]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    return Seen(
        text=_text(content),
        reasoning="".join(thought.get("text", "") for thought in thoughts),
        calls=tuple((call["name"], arguments(call["input"])) for call in calls if call["toolUseId"]),
        finish=FINISH[stop],
        totals=None if usage is None else totals(usage),
        headers=headers,
    )


def totals(usage: Mapping[str, int]) -> Totals:
    """The usage of an answer: what was cached is counted beside the input, and in the total."""
    cached, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    given = usage["inputTokens"] + cached + written
    assert usage["totalTokens"] == given + usage["outputTokens"]
    return Totals(given, usage["outputTokens"], cached, written)
