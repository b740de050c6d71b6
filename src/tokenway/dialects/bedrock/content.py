"""The turns of a neutral request as Bedrock's `messages` and `system`.

Turns alternate and the first is the user's: turns of one role are joined, system and developer messages go into
`system`, wherever they stood. Blank texts are left out, which Bedrock refuses. A call's id becomes plain where it is
not (`toolu_01.x` becomes a hash), the same in the call and its result. A prompt cache's breakpoint is a block behind
its part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final

from tokenway.dialects.bedrock.answer import tool_input
from tokenway.dialects.bedrock.blobs import make_blob
from tokenway.dialects.bedrock.extras import CLAUDE, NOVA
from tokenway.dialects.bedrock.media import Names, media_block
from tokenway.dialects.opening import no_opening
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.errors import invalid_request
from tokenway.model.request import (
    Foreign,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

Block = dict[str, Any]

_SYSTEM: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})
_PLAIN_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TRAITS: Final = {"auto": ""}
_RESULT_MEDIA: Final = frozenset({MediaKind.IMAGE, MediaKind.DOCUMENT, MediaKind.VIDEO})


class Content:
    """Writes the turns of one request for a model of `vendor`; `dropped` gathers the names of what is not said."""

    def __init__(self, vendor: str, dropped: dict[str, None]) -> None:
        self._vendor = vendor
        self._dropped = dropped
        self._names = Names()
        self.tools_used: dict[str, None] = {}
        """The names of the tools in the turns, in order."""
        self.may_think = True
        """Whether the turn that called the tools whose results come last began with reasoning; True without any."""

    def system(self, messages: Iterable[Message]) -> list[Block]:
        """The blocks of `system`; raises Refusal (400) for media, which it cannot hold."""
        blocks: list[Block] = []
        for message in messages:
            if message.role not in _SYSTEM:
                continue
            self._note_name(message)
            for part in message.parts:
                if isinstance(part, Media):
                    raise invalid_request(
                        "Bedrock takes no media in a system message.",
                        param=part.place or None,
                        code="unsupported_media",
                    )
                blocks.extend(self._blocks(part))
        return blocks

    def turns(self, messages: Iterable[Message]) -> list[Block]:
        """The `messages`; raises Refusal (400) for what Bedrock cannot be told at all."""
        turns: list[Block] = []
        for message in messages:
            if message.role in _SYSTEM:
                continue
            self._note_name(message)
            blocks = [block for part in message.parts for block in self._turn_blocks(part, message.role)]
            if not blocks:
                continue
            self._note_thought(message.role, blocks)
            if turns and turns[-1]["role"] == message.role.value:
                turns[-1]["content"].extend(blocks)
            else:
                turns.append({"role": message.role.value, "content": blocks})
        if not turns or turns[0]["role"] != Role.USER.value:
            raise no_opening("on Bedrock")
        return turns

    def cache_point(self, cache: str) -> Iterator[Block]:
        """The block of a breakpoint; none for the models of vendors that have no prompt cache there."""
        if not cache:
            return
        if self._vendor in {CLAUDE, NOVA, ""}:
            point = {"type": "default", **({"ttl": cache} if cache == "1h" else {})}
            yield {"cachePoint": point}
        else:
            self.drop("cache_control")

    def drop(self, name: str) -> None:
        """Notes that something is not said."""
        self._dropped[name] = None

    def _note_name(self, message: Message) -> None:
        if message.name:
            self.drop("name")

    def _note_thought(self, role: Role, blocks: list[Block]) -> None:
        if role is Role.USER:
            self.may_think = self.may_think or not any("toolResult" in block for block in blocks)
        elif any("toolUse" in block for block in blocks):
            self.may_think = "reasoningContent" in blocks[0]

    def _turn_blocks(self, part: Any, role: Role) -> Iterator[Block]:
        if isinstance(part, Media) and role is Role.ASSISTANT:
            raise invalid_request(
                "Bedrock takes media from the user only, not in a message of the assistant's.",
                param=part.place or None,
                code="unsupported_media",
            )
        return self._blocks(part)

    def _blocks(self, part: Any) -> Iterator[Block]:
        match part:
            case Text() | Refusal():
                if part.text.strip():
                    yield {"text": part.text}
                    yield from self.cache_point(part.cache if isinstance(part, Text) else "")
            case Media():
                yield self._media(part)
                yield from self.cache_point(part.cache)
            case Reasoning():
                yield from self._reasoning(part)
            case ToolCall():
                yield self._call(part)
                yield from self.cache_point(part.cache)
            case ToolResult():
                yield self._result(part)
                caches = [each.cache for each in (part, *part.content) if each.cache]
                yield from self.cache_point(caches[0] if caches else "")
            case Foreign():
                self.drop(part.name)

    def _media(self, media: Media) -> Block:
        if _TRAITS.get(media.detail, media.detail):
            self.drop("detail")
        if media.title and media.kind is not MediaKind.DOCUMENT:
            self.drop("title")
        return media_block(media, self._names)

    def _reasoning(self, part: Reasoning) -> Iterator[Block]:
        """What Claude thought, back to a Claude; reasoning of others, or without a signature, no model takes."""
        is_own = part.format == ANTHROPIC and self._vendor in {CLAUDE, ""}
        if is_own and part.sealed:
            yield {"reasoningContent": {"redactedContent": make_blob(part.sealed)}}
        elif is_own and part.signature:
            yield {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}
        else:
            self.drop("reasoning")

    def _call(self, call: ToolCall) -> Block:
        self.tools_used[call.name] = None
        if call.signature:
            self.drop("reasoning")
        given = tool_input(call.arguments)
        return {"toolUse": {"toolUseId": plain_id(call.id), "name": call.name, "input": given}}

    def _result(self, result: ToolResult) -> Block:
        content: list[Block] = []
        for part in result.content:
            if isinstance(part, Text):
                content += [{"text": part.text}] if part.text.strip() else []
            elif part.kind in _RESULT_MEDIA:
                content.append(self._media(part))
            else:
                raise invalid_request(
                    f"Bedrock takes no {part.kind.value} in a tool's result.",
                    param=part.place or None,
                    code="unsupported_media",
                )
        shape: Block = {"toolUseId": plain_id(result.id), "content": content}
        if result.is_error:
            shape["status"] = "error"
        return {"toolResult": shape}


def plain_id(text: str) -> str:
    """The id of a tool's call in letters and length that every model on Bedrock takes; the same for the same id."""
    if _PLAIN_ID.fullmatch(text):
        return text
    return f"call_{sha256(text.encode()).hexdigest()[:32]}"
