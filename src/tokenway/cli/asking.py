"""The same prompts to two endpoints, several at once, for `tokenway grade compare`."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokenway.cli.client import GatewayError
from tokenway.cli.errors import CommandError
from tokenway.planner.grade.agreement import Asked
from tokenway.planner.grade.answers import Answer, Call, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from tokenway.cli.client import Gateway
    from tokenway.planner.grade.answers import Json, Prompt
    from tokenway.planner.grade.prompts import PromptSet

PATH: Final = "/v1/chat/completions"
_PAUSES: Final = (1.0, 4.0)
"""Seconds before an endpoint that is busy or broken is asked again."""
_PASSING: Final = {http.client.TOO_MANY_REQUESTS, 500, 502, 503, 504, 529}


class Endpoint:
    """One of the two: where it is, and what the model is called there.

    Log-probabilities are asked for until it refuses them.
    """

    def __init__(self, gateway: Gateway, model: str) -> None:
        self._gateway = gateway
        self._model = model
        self._has_logprobs = True
        self.title = f"{model} at {gateway.base_url}"

    def ask(self, prompt: Prompt, tools: Mapping[str, Json]) -> Answer:
        """What it answers; a failure becomes the answer's `problem`."""
        for pause in (*_PAUSES, None):
            try:
                return self._once(prompt, tools)
            except GatewayError as error:
                if error.status not in _PASSING or pause is None:
                    return Answer(problem=str(error))
                time.sleep(pause)
            except CommandError as error:
                return Answer(problem=str(error))
        raise AssertionError("the last pause is none")

    def _once(self, prompt: Prompt, tools: Mapping[str, Json]) -> Answer:
        asks_for_logprobs = self._has_logprobs
        body = body_of(prompt, tools, self._model, logprobs=asks_for_logprobs)
        try:
            return answer_of(self._gateway.post(PATH, body))
        except GatewayError as error:
            if not asks_for_logprobs or error.status not in {400, 404, 422} or "logprob" not in str(error).lower():
                raise
            self._has_logprobs = False
            return self._once(prompt, tools)


def body_of(prompt: Prompt, tools: Mapping[str, Json], model: str, *, logprobs: bool) -> Json:
    """The request."""
    body: Json = {
        "model": model,
        "messages": [{"role": "user", "content": prompt.ask}],
        "max_tokens": prompt.max_tokens,
        "temperature": 0,
    }
    if logprobs:
        body["logprobs"] = True
    if prompt.tools:
        offered = [{"type": "function", "function": {"name": name, **tools[name]}} for name in prompt.tools]
        body |= {"tools": offered, "tool_choice": "auto"}
    return body


def answer_of(data: Json) -> Answer:
    """Reads the first choice; members of other shapes than OpenAI's count as not there."""
    choices = data.get("choices")
    choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
    message = _object(choice.get("message"))
    text = message.get("content")
    calls = tuple(_calls(message.get("tool_calls")))
    if not calls and not (isinstance(text, str) and text.strip()):
        return Answer(problem="The answer says nothing.")
    return Answer(
        text=text if isinstance(text, str) else "",
        calls=calls,
        tokens=_tokens(_object(choice.get("logprobs")).get("content")),
    )


def _object(found: Any) -> Json:
    return found if isinstance(found, dict) else {}


def _calls(found: Any) -> list[Call]:
    functions = [_object(_object(each).get("function")) for each in found] if isinstance(found, list) else []
    return [Call(str(each.get("name", "")), str(each.get("arguments", ""))) for each in functions]


def _tokens(found: Any) -> tuple[Token, ...] | None:
    try:
        return tuple(Token(str(each["token"]), float(each["logprob"])) for each in found) or None
    except (TypeError, KeyError, ValueError):
        return None


class Pair(NamedTuple):
    """The endpoint that is judged by, and the one that is judged."""

    a: Endpoint
    b: Endpoint


def ask_both(
    pair: Pair,
    prompts: PromptSet,
    rounds: int,
    at_once: int,
    chance: np.random.Generator,
    tell: Callable[[int, int], object],
) -> list[Asked]:
    """Asks each endpoint every prompt `rounds` times, in an order by chance, so that neither has the quieter hour.

    `tell` is told how many answers of how many are there. Raises CommandError where one does not answer at all.
    """
    for name, endpoint in zip(("A", "B"), pair, strict=True):
        first = endpoint.ask(prompts.prompts[0], prompts.tools)
        if first.problem:
            own = f" Its own key is given with --key-{name.lower()}." if "--key" in first.problem else ""
            raise CommandError(f"{name} ({endpoint.title}) cannot be compared: {first.problem}{own}")
    turns = [
        (side, number, turn) for turn in range(rounds) for number in range(len(prompts.prompts)) for side in (0, 1)
    ]
    found: dict[tuple[int, int, int], Answer] = {}
    counting = threading.Lock()

    def one(turn: tuple[int, int, int]) -> None:
        side, number, _ = turn
        answer = pair[side].ask(prompts.prompts[number], prompts.tools)
        with counting:
            found[turn] = answer
            tell(len(found), len(turns))

    with ThreadPoolExecutor(at_once, thread_name_prefix="grade") as pool:
        try:
            list(pool.map(one, [turns[index] for index in chance.permutation(len(turns))]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [
        Asked(
            prompt,
            tuple(found[0, number, turn] for turn in range(rounds)),
            tuple(found[1, number, turn] for turn in range(rounds)),
        )
        for number, prompt in enumerate(prompts.prompts)
    ]
