"""`tokenway ask`: one question, one answer."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from cyclopts import Parameter

from tokenway.cli.answer import print_meter, stream_answer
from tokenway.cli.connection import Connection, connect
from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson
from tokenway.cli.output import print_json

STOPPED = 130
"""Exit status of an answer that Ctrl-C ended: 128 + SIGINT."""


def ask(
    model: Annotated[str, Parameter(help="Name of the model, e.g. local.")],
    prompt: Annotated[str, Parameter(help="The question; - reads it from standard input.", allow_leading_hyphen=True)],
    /,
    *,
    system: Annotated[str | None, Parameter(help="Instruction that goes before the question.")] = None,
    max_tokens: Annotated[int | None, Parameter(help="The most output tokens.")] = None,
    temperature: Annotated[float | None, Parameter(help="Sampling temperature.")] = None,
    as_json: AsJson = False,
    connection: Connection | None = None,
) -> int:
    """Ask a model one question and stream the answer.

    Talks to a running gateway. On a terminal a meter shows the time to the
    first token, tokens per second (marked slow under 20), tokens and cost.
    Ctrl-C stops the answer.

    For example:
      tokenway ask local "Name three rivers" --max-tokens 60
      cat notes.txt | tokenway ask local - --system "Summarise in one sentence"
    """
    if prompt.startswith("--") and not any(character.isspace() for character in prompt):
        raise BadUsage(f"There is no option {prompt}. Try `tokenway ask --help`.")
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise BadUsage("The prompt is empty; write a question after the model's name.")
    messages = [{"role": "user", "content": text}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
    given = {name: value for name, value in options.items() if value is not None}
    answer = stream_answer(connect(connection), model, messages, given, show=not as_json)
    if as_json:
        found = {"answer": answer.content, "finish_reason": answer.finish_reason or None, "stopped": answer.stopped}
        print_json({**found, **answer.meter.figures(), "tokenway": answer.meter.report or None})
    else:
        print_meter(answer)
    return STOPPED if answer.stopped else 0
