"""Whether the local engine can run on this machine, and what installs what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tokenway.local.install import install
from tokenway.local.models import (
    CHAT_NAME,
    CHAT_WEIGHTS,
    EMBED_NAME,
    EMBED_WEIGHTS,
    INSTALL_HINT,
    PROVIDER,
    file_sha256,
    locate,
    missing,
)
from tokenway.local.probe import Machine, probe
from tokenway.local.tokens import token_counter
from tokenway.model.errors import ConfigError
from tokenway.model.settings import Settings


class LocalStatus(NamedTuple):
    """Whether the local engine can run here, the models it would serve, and what it lacks, a sentence each."""

    works: bool
    models: tuple[str, ...]
    problems: tuple[str, ...]


def local_status(settings: Settings) -> LocalStatus:
    """What the local engine lacks, asked without loading it; reads the weights once to check their hashes."""
    provider = settings.providers.get(PROVIDER)
    extra = {name: Path(path) for name, path in provider.models.items()} if provider else {}
    problems = [*probe(Machine.this()), *missing(extra)]
    for weights in (CHAT_WEIGHTS, EMBED_WEIGHTS):
        path = locate(weights)
        if path is not None and path.stat().st_size == weights.size and file_sha256(path) != weights.sha256:
            problems.append(f"{path} is not the file that {weights.package} ships: {INSTALL_HINT} to repair it.")
    return LocalStatus(not problems, (CHAT_NAME, EMBED_NAME, *extra), tuple(problems))


def install_local(say: Callable[[str], None]) -> int:
    """Installs the local model's weights, telling each step; returns the exit status."""
    return install(say)


class Count(NamedTuple):
    """How many tokens a text has, who counted, and whether the count is the encoding's own."""

    tokens: int
    source: str
    is_exact: bool


def count_tokens(text: str, encoding: str) -> Count:
    """Counts with the best tokenizer that is installed; raises ConfigError for an unknown encoding."""
    try:
        counter = token_counter(encoding)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None
    return Count(counter.count(text), counter.source, counter.is_exact)
