"""What a person is told when the gateway starts: how to use it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.compose.addresses import control_url, public_url
from tokenway.compose.paths import CREDENTIALS, Credentials, read_credentials, write_credentials
from tokenway.compose.terminal import say
from tokenway.model.errors import ConfigError
from tokenway.model.settings import LOCAL_CHAT, ServerSettings, Settings

if TYPE_CHECKING:
    from tokenway.local.supervise import EngineState
    from tokenway.metering.ledger import Settled
    from tokenway.store.accounts.records import FirstStart

_EXAMPLE: Final = '{"model": "%s", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]}'


def exchange_printer() -> Callable[[Settled], None]:
    """Prints a line for each exchange."""
    from tokenway.telemetry.lines import exchange_line  # noqa: PLC0415 - only for a terminal

    return lambda record: say(exchange_line(record, color=True))


def say_ready(server: ServerSettings, data_dir: Path, made: Credentials | None, model: str) -> None:
    """How to use it: addresses, what the first start made once, a command that streams."""
    base = f"{public_url(server)}/v1"
    say(f"Tokenway listens at   {base}")
    if made is not None:
        say(f"Your key, shown once  {made.api_key}")
        say(f"Sign in as            {made.admin}, password {made.password}")
        say(f"Control API's token   {made.token}")
    say(f"Keys are kept in      {data_dir / CREDENTIALS}")
    say(f"Control and metrics   {control_url(server)}")
    say("Try it:")
    say(f"  curl -N {base}/chat/completions -H 'content-type: application/json' \\")
    key = "$TOKENWAY_API_KEY" if made is None else made.api_key
    say(f'    -H "authorization: Bearer {key}" \\')
    say(f"    -d '{_EXAMPLE % model}'")


def engine_line(state: EngineState) -> str:
    """What became of the local engine."""
    from tokenway.local.supervise import Phase  # noqa: PLC0415 - the supervisor has no engine

    if state.phase is Phase.UNAVAILABLE:
        return f"The local model is not available. {state.reason}"
    served = ", ".join(model.name for model in state.models)
    return f"The local engine is ready: {served}." + (f" {state.reason}" if state.reason else "")


def example_model(settings: Settings, local: Container[str]) -> str:
    """A model that the printed command can ask for; `local` are the local engine's, as far as is known by then."""
    return LOCAL_CHAT if LOCAL_CHAT in local else next(iter(settings.models), "MODEL")


def remember(data_dir: Path, base_url: str, first: FirstStart | None) -> Credentials | None:
    """Writes down what the first start made and returns it, or the new address beside what is there."""
    if first is not None:
        made = Credentials(
            first.key.secret.reveal(),
            base_url,
            first.project,
            first.user.name,
            first.password.reveal(),
            first.token.secret.reveal(),
        )
        write_credentials(data_dir, made)
        return made
    with contextlib.suppress(ConfigError):  # a damaged file is its owner's to repair; `ask` says how
        known = read_credentials(data_dir)
        if known is not None and known.base_url != base_url:
            write_credentials(data_dir, msgspec.structs.replace(known, base_url=base_url))
    return None
