"""Function calls for models that were not taught any: asked for in the prompt, forced by a JSON schema.

Small models ignore `tools`, and their prompt templates often have no place for them. So the functions are listed
in the system message, the answer is forced into one of these shapes, and the shape is unwrapped again, also
while it streams:

    {"name": "get_weather", "arguments": {…}}     a call
    {"answer": "…"}                               plain text (`tool_choice` auto only)
    {"answer": {…}}                               the same under a JSON `response_format`
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from tokenway.local.requests import (
    BadRequest,
    ChatRequest,
    Function,
    Message,
    NamedTool,
    Part,
    ResponseFormat,
    sampling_task,
)


@dataclass(frozen=True, slots=True)
class ToolPlan:
    """The functions that may be called, and the schema of a plain answer; no answer means a call is required."""

    functions: tuple[Function, ...]
    answer: dict[str, Any] | None

    def instructions(self) -> str:
        """What the system message says about the functions."""
        listed = [
            {"name": f.name, "description": f.description or "", "parameters": f.parameters or {}}
            for f in self.functions
        ]
        call = '{"name": the function, "arguments": its arguments}'
        functions = f"Functions: {_compact(listed)}"
        if self.answer is None:
            return f"Call one of these functions: reply with JSON {call}. {functions}"
        # the shape that stands first is the one a small model prefers, and calls need no encouragement
        return (
            'Reply with JSON. Usually reply {"answer": your reply}. '
            f"Only when one of these functions is needed, reply {call} instead. {functions}"
        )

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the forced answer."""
        shapes = [
            _object({"name": {"const": function.name}, "arguments": {"$ref": f"#/$defs/tool{index}"}})
            for index, function in enumerate(self.functions)
        ]
        definitions = {
            f"tool{index}": _moved(_parameters(function), f"#/$defs/tool{index}")
            for index, function in enumerate(self.functions)
        }
        if self.answer is not None:
            definitions["answer"] = _moved(self.answer, "#/$defs/answer")
            shapes.insert(0, _object({"answer": {"$ref": "#/$defs/answer"}}))
        return {"anyOf": shapes, "$defs": definitions}


def plan_tools(request: ChatRequest, *, answers_results: bool = False) -> ToolPlan | None:
    """What `tools` and `tool_choice` ask for; None when no function may be called. Raises `BadRequest`.

    `answers_results` is for models that would call functions without end: when they may choose (`auto`) and the
    conversation ends with a result, they answer.
    """
    if request.functions:
        raise BadRequest("`functions` is no longer supported: send `tools`.", "functions")
    functions = tuple(tool.function for tool in request.tools or ())
    choice = request.tool_choice or ("auto" if functions else "none")
    if not functions:
        if choice not in ("none", "auto"):
            raise BadRequest("`tool_choice` needs `tools`.", "tool_choice")
        return None
    if isinstance(choice, NamedTool):
        chosen = tuple(f for f in functions if f.name == choice.function.name)
        if not chosen:
            raise BadRequest(f"`tool_choice` names {choice.function.name!r}, which `tools` lacks.", "tool_choice")
        return ToolPlan(chosen[:1], None)
    if choice == "none" or (choice == "auto" and answers_results and request.messages[-1].role == "tool"):
        return None
    return ToolPlan(functions, None if choice == "required" else _answer_schema(request.response_format))


def chat_task(request: ChatRequest, plan: ToolPlan | None) -> dict[str, Any]:
    """The runtime task of a conversation. Raises `BadRequest`."""
    task = sampling_task(request) | {"messages": render_messages(request.messages, plan)}
    if request.max_completion_tokens is not None:
        task["max_tokens"] = request.max_completion_tokens
    if request.logprobs:
        # Asked for no alternatives at all, the runtime leaves out the tokens' own log-probabilities as well.
        task |= {"logprobs": True, "top_logprobs": request.top_logprobs or 1}
    form = request.response_format
    if plan is not None:
        task["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": plan.schema()},
        }
    elif form is not None and form.type == "json_schema":
        if form.json_schema is None:
            raise BadRequest("`response_format` of type json_schema needs a json_schema.", "response_format")
        schema = {"name": form.json_schema.name, "schema": form.json_schema.schema}
        task["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form is not None:
        task["response_format"] = {"type": form.type}
    return task


def render_messages(messages: Sequence[Message], plan: ToolPlan | None) -> list[dict[str, str]]:
    """The conversation as plain text messages, which every prompt template can take. Raises `BadRequest`."""
    rendered: list[dict[str, str]] = []
    called: dict[str, str] = {}
    for index, message in enumerate(messages):
        text = _text(message.content, f"messages[{index}].content")
        if message.role == "assistant":
            for call in message.tool_calls or ():
                called[call.id] = call.function.name
                shown = f'{{"name": {_compact(call.function.name)}, "arguments": {call.function.arguments}}}'
                text = f"{text}\n{shown}" if text else shown
            rendered.append({"role": "assistant", "content": text})
        elif message.role == "tool":
            name = called.get(message.tool_call_id or "", "the function")
            rendered.append({"role": "user", "content": f"Result of {name}: {text}"})
        else:
            rendered.append({"role": "system" if message.role == "developer" else message.role, "content": text})
    if plan is not None:
        if rendered[0]["role"] == "system":
            rendered[0]["content"] += f"\n\n{plan.instructions()}"
        else:
            rendered.insert(0, {"role": "system", "content": plan.instructions()})
    return rendered


def _text(content: str | list[Part] | None, param: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    for part in content:
        if part.type not in ("text", "refusal"):
            raise BadRequest(f"The local models read text only, not {part.type}.", param, "unsupported_content")
    return "".join(part.text for part in content)


def _answer_schema(form: ResponseFormat | None) -> dict[str, Any]:
    if form is None or form.type == "text":
        return {"type": "string"}
    return form.json_schema.schema if form.json_schema else {"type": "object"}


def _parameters(function: Function) -> dict[str, Any]:
    if not function.parameters:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    if function.parameters.get("type", "object") != "object":
        raise BadRequest(f"The parameters of {function.name!r} must be an object.", "tools")
    return function.parameters | {"type": "object"}


def _moved(schema: object, root: str) -> Any:
    """The schema with its references pointing to `root`, where it is put; they used to start at its own top."""
    if isinstance(schema, dict):
        return {
            key: f"{root}{value[1:]}"
            if key == "$ref" and isinstance(value, str) and value.startswith("#")
            else _moved(value, root)
            for key, value in schema.items()
        }
    return [_moved(item, root) for item in schema] if isinstance(schema, list) else schema


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Phase(Enum):
    HEAD = auto()
    """Which shape it is has not been read yet."""
    TEXT = auto()
    """Inside the string of a plain answer."""
    VALUE = auto()
    """Inside an object or list that is passed on as it is."""
    DONE = auto()


_CALL = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\S)', re.DOTALL)
_ANSWER = re.compile(r'\s*\{\s*"answer"\s*:\s*(?=\S)')
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^u]", re.DOTALL)
_PAIR_LENGTH = 12


class Unwrapper:
    """Turns the forced JSON, piece by piece, into the deltas of a normal answer.

    HEAD -> TEXT or VALUE -> DONE; what follows the end is ignored.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        """`new_id` makes the identifier of a call."""
        self.has_call = False
        self._new_id = new_id
        self._phase = _Phase.HEAD
        self._held = ""
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> list[dict[str, Any]]:
        """The deltas that this piece completes, in order; none when it only continues something unfinished."""
        deltas: list[dict[str, Any]] = []
        self._held += text
        if self._phase is _Phase.HEAD:
            call, answer = _CALL.match(self._held), _ANSWER.match(self._held)
            if call:
                deltas.append(self._start_call(json.loads(call[1])))
                self._enter(_Phase.VALUE, call.end())
            elif answer:
                is_text = self._held[answer.end()] == '"'
                self._enter(_Phase.TEXT if is_text else _Phase.VALUE, answer.end() + is_text)
        if self._phase is _Phase.TEXT:
            piece = self._take_text()
        elif self._phase is _Phase.VALUE:
            piece = self._take_value()
        else:
            piece = ""
        if piece:
            deltas.append(self._continue_call(piece) if self.has_call else {"content": piece})
        return deltas

    def _enter(self, phase: _Phase, consumed: int) -> None:
        self._phase = phase
        self._held = self._held[consumed:]

    def _start_call(self, name: str) -> dict[str, Any]:
        self.has_call = True
        function = {"name": name, "arguments": ""}
        return {"tool_calls": [{"index": 0, "id": self._new_id(), "type": "function", "function": function}]}

    @staticmethod
    def _continue_call(piece: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}

    def _take_value(self) -> str:
        """What belongs to the object or list that is open; its last bracket ends it."""
        for at, character in enumerate(self._held):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._in_string = False
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    value = self._held[: at + 1]
                    self._enter(_Phase.DONE, at + 1)
                    return value
        value, self._held = self._held, ""
        return value

    def _take_text(self) -> str:
        """The string's characters so far; half an escape, or half a surrogate pair, waits for its rest."""
        out: list[str] = []
        at = 0
        while at < len(self._held):
            character = self._held[at]
            if character == '"':
                self._enter(_Phase.DONE, at + 1)
                return "".join(out)
            if character != "\\":
                out.append(character)
                at += 1
                continue
            escape = _ESCAPE.match(self._held, at)
            if escape is None or self._may_become_pair(escape[0], at):
                break
            decoded = json.loads(f'"{escape[0]}"')
            out.append(decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
            at = escape.end()
        self._held = self._held[at:]
        return "".join(out)

    def _may_become_pair(self, escape: str, at: int) -> bool:
        is_high = len(escape) == 6 and escape[2] in "dD" and escape[3] in "89abAB"
        rest = self._held[at + 6 : at + _PAIR_LENGTH]
        return is_high and len(rest) < 6 and "\\u"[: len(rest)] == rest[:2]
