"""`tokenway chat`: a conversation in the terminal, with the meter after each answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from tokenway.cli.answer import print_meter, stream_answer
from tokenway.cli.connection import Connection, connect
from tokenway.cli.errors import CommandError
from tokenway.model.errors import TokenwayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenway.cli.client import Gateway

PREFERRED: Final = "local"
"""The model to begin with when none is named and the gateway has it: free, and always there."""
_PROMPT: Final = "> "
_HELP: Final = """\
/model          the model in use and those there are
/model NAME     go on with another model, same conversation
/clear          forget the conversation
/help           this text
Ctrl-C stops an answer, Ctrl-D leaves."""


def chat(
    model: Annotated[
        str | None, Parameter(help="Name of the model [otherwise local, else the first there is].")
    ] = None,
    /,
    *,
    system: Annotated[str | None, Parameter(help="Instruction that goes before the conversation.")] = None,
    connection: Connection | None = None,
) -> int:
    """Talk with a model in the terminal.

    Talks to a running gateway and keeps the conversation until you leave. A
    meter shows the time to the first token, tokens per second (marked slow
    under 20), tokens and cost. Ctrl-C stops an answer, Ctrl-D leaves; /model,
    /clear and /help are commands.

    For example:
      tokenway chat
      tokenway chat local --system "Answer in French"
    """
    gateway = connect(connection)
    names = model_names(gateway)
    if model is None:
        if not names:
            raise CommandError("The gateway offers no model; add one to its configuration (`tokenway check` helps).")
        model = PREFERRED if PREFERRED in names else names[0]
    return Conversation(gateway, model, system).run()


def model_names(gateway: Gateway) -> list[str]:
    """The names in `/v1/models`, in the gateway's order; raises CommandError."""
    return [str(model.get("id")) for model in gateway.get("/v1/models").get("data", ())]


class Conversation:
    """The loop of lines and answers. Without a terminal it reads lines to the end and prompts nobody."""

    def __init__(self, gateway: Gateway, model: str, system: str | None) -> None:
        self._gateway = gateway
        self._model = model
        self._system = [{"role": "system", "content": system}] if system else []
        self._history: list[dict[str, str]] = []
        self._interactive = sys.stdin.isatty()

    def run(self) -> int:
        """Until the end of input; returns 0. Without a terminal the first failure is raised instead."""
        if self._interactive:
            import readline  # noqa: F401, PLC0415 - importing it gives `input` its line editing and history

            print(f"{self._model} at {self._gateway.base_url}. /help lists the commands, Ctrl-D leaves.")
        while True:
            try:
                line = input(_PROMPT if self._interactive else "").strip()
            except EOFError:
                if self._interactive:
                    print()
                return 0
            except KeyboardInterrupt:
                print("\nCtrl-D leaves.")
                continue
            if line.startswith("/"):
                self._obey(line)
            elif line:
                self._ask(line)

    def _obey(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        match command, rest.strip():
            case "/help", _:
                print(_HELP)
            case "/clear", _:
                self._history.clear()
                print("The conversation is forgotten.")
            case "/model", "":
                self._guarded(self._list_models)
            case "/model", name:
                self._model = name
                print(f"Now {name}.")
            case _:
                print(f"There is no command {command}; /help lists them.")

    def _list_models(self) -> None:
        print(f"In use: {self._model}. There are: {', '.join(model_names(self._gateway)) or 'none'}.")

    def _ask(self, line: str) -> None:
        self._guarded(lambda: self._answer(line))

    def _answer(self, line: str) -> None:
        question = {"role": "user", "content": line}
        answer = stream_answer(self._gateway, self._model, [*self._system, *self._history, question], {})
        print_meter(answer)
        # A stopped answer counts as far as it was read; one that never began leaves no trace.
        if answer.content:
            self._history += [question, {"role": "assistant", "content": answer.content}]

    def _guarded(self, action: Callable[[], None]) -> None:
        """A failure is told and the conversation goes on, unless nobody is there to read it."""
        try:
            action()
        except TokenwayError as error:
            if not self._interactive:
                raise
            print(f"tokenway: {error}", file=sys.stderr)
