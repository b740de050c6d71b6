"""A caller's request of the Responses dialect to the neutral form.

`input` is a list of items, of which the neutral form has some as parts of a message: reasoning, calls of tools and
text of the model that follow each other are one turn of the assistant, and results of tools that follow each
other one turn of the user. Items that only OpenAI knows are `Foreign`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Final

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.openai_chat.read_messages import function_call
from tokenway.dialects.openai_responses.content import Part, read_content
from tokenway.dialects.openai_responses.namespaces import ADDITIONAL, NAMESPACE, joined
from tokenway.dialects.openai_responses.schema import ENCRYPTED, LOGPROBS
from tokenway.dialects.openai_responses.settings import read_format, read_thinking, read_tool_choice, read_tools
from tokenway.dialects.seal import OPENAI, Sealed, unseal
from tokenway.dialects.walk import Node, walk
from tokenway.model.errors import invalid_request
from tokenway.model.request import NO_JSON, Foreign, Message, Reasoning, Request, Role, Text, ToolCall, ToolResult

_ROLES: Final = {role.value: role for role in Role}
_KNOWN: Final = frozenset(
    {
        *GATEWAY_FIELDS,
        "background",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
"""Members that are read here, or that ask something of the gateway itself."""
_REASONING: Final = frozenset({"effort", "summary", "generate_summary", "max_tokens", "enabled"})
_MODES: Final = frozenset({"context", "mode"})
_TEXT: Final = frozenset({"format", "verbosity"})
"""What is read of `reasoning` and `text`; any other member is declared, but for a mode that is the usual one."""
_COMMON: Final = frozenset({"type", "id", "status"})
_MEMBERS: Final = {
    "message": _COMMON | {"role", "content"},
    "function_call": _COMMON | {"call_id", "name", "arguments", NAMESPACE},
    "function_call_output": _COMMON | {"call_id", "output"},
    "custom_tool_call": _COMMON | {"call_id", "name", "input", NAMESPACE},
    "custom_tool_call_output": _COMMON | {"call_id", "output"},
    "reasoning": _COMMON | {"summary", "content", "encrypted_content"},
    ADDITIONAL: _COMMON | {"role", "tools"},
}
"""What is read of an item; any other member is declared by its name (`phase`)."""
_TOOL_MEMBERS: Final = {
    "function": frozenset({"type", "name", "description", "parameters", "strict"}),
    "custom": frozenset({"type", "name", "description", "format"}),
    NAMESPACE: frozenset({"type", "name", "tools"}),
}
"""What is read of a tool (not `defer_loading`, `allowed_callers`)."""


def read(body: bytes, model: str, stream: bool) -> Request:  # noqa: FBT001
    """The neutral form of a body; raises Refusal (400) that names the field which is wrong."""
    root = walk(body)
    _refuse_state(root)
    conversation = _Conversation()
    instructions = root.at("instructions")
    if instructions is not None:
        _read_instructions(instructions, conversation)
    given = root.at("input")
    if given is not None and given.is_text:
        conversation.say(Role.USER, (Text(given.text()),))
    elif given is not None:
        for item in given.items():
            _read_item(item, conversation)
    includes, others = _read_include(root.at("include"))
    return Request(
        model=model,
        messages=conversation.messages(),
        stream=stream,
        tools=read_tools(_tools(root)),
        tool_choice=read_tool_choice(root.at("tool_choice")),
        response_format=read_format(root),
        thinking=read_thinking(root.at("reasoning")),
        max_tokens=_whole(root, "max_output_tokens", 1),
        parallel_tool_calls=_flag(root, "parallel_tool_calls"),
        temperature=_number(root, "temperature"),
        top_p=_number(root, "top_p"),
        logprobs=True if LOGPROBS in includes else None,
        top_logprobs=_whole(root, "top_logprobs", 0) if LOGPROBS in includes else None,
        user=_text(root, "safety_identifier") or _text(root, "user"),
        metadata=_metadata(root.at("metadata")),
        service_tier=_text(root, "service_tier"),
        prompt_cache_key=_text(root, "prompt_cache_key"),
        verbosity=_verbosity(root),
        rest={**_extras(root), **_rest(root, others)},
    )


# -- items ---------------------------------------------------------------------------------------------------


class _Conversation:
    """Messages in the making; neighbours of one side become one turn."""

    def __init__(self) -> None:
        self._turns: list[tuple[Role, list[Part], str]] = []
        self._calls: dict[str, ToolCall] = {}
        self._signatures: dict[str, Sealed] = {}

    def say(self, role: Role, parts: tuple[Part, ...]) -> None:
        """A message; the assistant's goes on with what the assistant has begun."""
        if role is Role.ASSISTANT:
            self.add(role, "assistant", *parts)
        else:
            self._turns.append((role, list(parts), ""))

    def add(self, role: Role, kind: str, *parts: Part) -> None:
        """Parts of a turn of this kind, which goes on where the last turn is of it."""
        if self._turns and self._turns[-1][2] == kind:
            self._turns[-1][1].extend(parts)
        else:
            self._turns.append((role, list(parts), kind))

    def call(self, call: ToolCall) -> None:
        """The assistant calls a tool."""
        self._calls[call.id] = call
        self.add(Role.ASSISTANT, "assistant", call)

    def called(self, item: Node) -> ToolCall:
        """The call that an output answers; raises Refusal where there was none before it."""
        name = item.need("call_id")
        found = self._calls.get(name.text())
        if found is None:
            raise name.wrong(f"no call before this output has the id '{name.text()[:80]}'")
        return found

    def sign(self, sealed: Sealed) -> None:
        """The signature of a call that travelled in an item of its own."""
        self._signatures[sealed.call] = sealed

    def messages(self) -> tuple[Message, ...]:
        """All turns, with the signatures at their calls."""
        return tuple(
            Message(role, tuple(self._signed(part) for part in parts)) for role, parts, _ in self._turns if parts
        )

    def _signed(self, part: Part) -> Part:
        if isinstance(part, ToolCall) and part.id in self._signatures:
            sealed = self._signatures[part.id]
            return msgspec.structs.replace(part, signature=sealed.value, format=sealed.format)
        return part


def _read_instructions(instructions: Node, conversation: _Conversation) -> None:
    """A text, or items as a response object has them."""
    if not instructions.is_list:
        conversation.say(Role.SYSTEM, (Text(instructions.text()),))
        return
    for item in instructions.items():
        _read_item(item, conversation)


def _read_item(item: Node, conversation: _Conversation) -> None:
    kind = item.at("type")
    if kind is None:
        if item.at("role") is None and item.at("id") is not None:
            raise _needs_state(item, "an item that is only named by its id")
        name = "message"
    else:
        name = kind.text()
    reader = _ITEMS.get(name)
    if reader is None:
        _read_foreign(item, name, conversation)
    else:
        reader(item, conversation)


def _read_message(item: Node, conversation: _Conversation) -> None:
    role = item.need("role").one_of(_ROLES)
    conversation.say(role, read_content(item.need("content")))


def _read_call(item: Node, conversation: _Conversation) -> None:
    item.need("arguments")
    conversation.call(_spaced(function_call(item, _id(item)), item))


def _read_custom_call(item: Node, conversation: _Conversation) -> None:
    call = ToolCall(_id(item), item.need("name").text(), item.need("input").text(), custom=True)
    conversation.call(_spaced(call, item))


def _spaced(call: ToolCall, item: Node) -> ToolCall:
    """The call by the one name that its tool has for other dialects."""
    space = item.at(NAMESPACE)
    return call if space is None else msgspec.structs.replace(call, name=joined(space.text(), call.name))


def _read_output(item: Node, conversation: _Conversation) -> None:
    call = conversation.called(item)
    content = read_content(item.need("output"), of_tool=True)
    result = ToolResult(
        call.id,
        tuple(part for part in content if not isinstance(part, Foreign)),  # type: ignore[misc]
        call.name,
        custom=call.custom,
    )
    foreign = [part for part in content if isinstance(part, Foreign)]
    conversation.add(Role.USER, "results", result, *foreign)


def _read_reasoning(item: Node, conversation: _Conversation) -> None:
    """A reasoning item to one part, or a call's signature.

    Another vendor's signature comes with the text that it vouches for, its sealed form without any.
    """
    sealed = Sealed("", OPENAI)
    encrypted = item.at("encrypted_content")
    if encrypted is not None:
        sealed = unseal(encrypted.text(), OPENAI)
    if sealed.call:
        conversation.sign(sealed)
        return
    summaries, texts = _texts(item.at("summary")), _texts(item.at("content"))
    text = "\n\n".join(filter(None, texts or summaries))
    if not text and not sealed.value:
        return
    name = item.at("id")
    is_signature = sealed.format != OPENAI and bool(summaries or texts)
    conversation.add(
        Role.ASSISTANT,
        "assistant",
        Reasoning(
            text,
            sealed.value if is_signature else "",
            "" if is_signature else sealed.value,
            sealed.format if sealed.value else "",
            bool(summaries) and not texts,
            "" if name is None else name.text(),
        ),
    )


def _read_reference(item: Node, conversation: _Conversation) -> None:  # noqa: ARG001
    raise _needs_state(item, "an item that is only named by its id")


def _read_tools(item: Node, conversation: _Conversation) -> None:
    """More tools; they are read together with the request's own."""


def _read_foreign(item: Node, name: str, conversation: _Conversation) -> None:
    """An item that only OpenAI knows: what the model did, or what was given to it."""
    part = Foreign(name, item.raw(), OPENAI)
    if name.endswith(("_output", "_response")):
        conversation.add(Role.USER, "results", part)
    else:
        conversation.add(Role.ASSISTANT, "assistant", part)


_ITEMS: Final[dict[str, Callable[[Node, _Conversation], None]]] = {
    "message": _read_message,
    "function_call": _read_call,
    "function_call_output": _read_output,
    "custom_tool_call": _read_custom_call,
    "custom_tool_call_output": _read_output,
    "reasoning": _read_reasoning,
    "item_reference": _read_reference,
    ADDITIONAL: _read_tools,
}


def _id(item: Node) -> str:
    name = item.need("call_id")
    if not name.text():
        raise name.wrong("it must not be empty")
    return name.text()


def _texts(parts: Node | None) -> list[str]:
    return [] if parts is None else [part.need("text").text() for part in parts.items()]


# -- settings ------------------------------------------------------------------------------------------------


def _tools(root: Node) -> list[Node]:
    """The tools of the request, and those that items of its input bring; the same one once."""
    lists = [root.at("tools"), *(item.need("tools") for item in _items(root) if item.value.get("type") == ADDITIONAL)]
    tools = chain.from_iterable(each.items() for each in lists if each is not None)
    return list({bytes(tool.raw()): tool for tool in tools}.values())


def _items(root: Node) -> list[Node]:
    given = root.at("input")
    return given.items() if given is not None and given.is_list else []


def _refuse_state(root: Node) -> None:
    """What stands for text that this request does not hold cannot be converted."""
    for name in ("previous_response_id", "conversation", "prompt"):
        found = root.at(name)
        if found is not None:
            raise _needs_state(found, "what it stands for", _ADVICE.get(name, _IN_FULL))


_IN_FULL: Final = "give the input in full"
_ADVICE: Final = {
    "conversation": "conversations are not kept here: name the response before this one in 'previous_response_id', or "
    + _IN_FULL
}


def _needs_state(node: Node, what: str, advice: str = _IN_FULL) -> Exception:
    return invalid_request(
        f"'{node.path}': the upstream speaks another API and does not have {what}; {advice}.",
        param=node.path,
        code="unsupported_parameter",
    )


def _read_include(include: Node | None) -> tuple[list[str], list[str]]:
    """The names in `include`, and those that have no neutral field. Sealed reasoning is always given back."""
    if include is None:
        return [], []
    names = [name.text() for name in include.items()]
    return names, [name for name in names if name not in {ENCRYPTED, LOGPROBS}]


def _rest(root: Node, includes: list[str]) -> dict[str, msgspec.Raw]:
    """Members without a neutral place, under their own names."""
    rest = {name: node.raw() for name, node in root.members() if name not in _KNOWN}
    if includes:
        rest["include"] = Node(includes).raw()
    truncation = root.at("truncation")
    if truncation is not None and truncation.text() != "disabled":
        rest["truncation"] = truncation.raw()
    reasoning, text = root.at("reasoning"), root.at("text")
    for name, node in reasoning.members() if reasoning is not None else ():
        if name not in _REASONING and not (name in _MODES and node.text() in {"auto", "standard"}):
            rest[node.path] = node.raw()
    for name, node in text.members() if text is not None else ():
        if name not in _TEXT:
            rest[node.path] = node.raw()
    return rest


def _extras(root: Node) -> dict[str, msgspec.Raw]:
    """Members of items and tools that have no neutral place, by their names."""
    extras: dict[str, msgspec.Raw] = {}
    for found, usual, known in ((_items(root), "message", _MEMBERS), (_tools(root), "", _TOOL_MEMBERS)):
        spaces = [each for each in found if each.value.get("type") == NAMESPACE]
        for each in (*found, *(tool for space in spaces for tool in space.need("tools").items())):
            kind = each.value.get("type") or usual
            members = known.get(kind)
            if members is not None:
                lost = [(name, node) for name, node in each.members() if name not in members]
                place = f"{NAMESPACE}." if kind == NAMESPACE else ""
                extras.update({f"{place}{name}": node.raw() for name, node in lost if node.value is not False})
    return extras


def _metadata(metadata: Node | None) -> msgspec.Raw:
    if metadata is None or not any(True for _ in metadata.members()):
        return NO_JSON
    return metadata.raw()


def _verbosity(root: Node) -> str | None:
    text = root.at("text")
    return None if text is None else _text(text, "verbosity")


def _text(node: Node, key: str) -> str | None:
    found = node.at(key)
    return None if found is None else found.text()


def _flag(node: Node, key: str) -> bool | None:
    found = node.at(key)
    return None if found is None else found.flag()


def _number(node: Node, key: str) -> float | None:
    found = node.at(key)
    return None if found is None else found.number()


def _whole(node: Node, key: str, least: int) -> int | None:
    found = node.at(key)
    return None if found is None else found.whole(least)
