"""What the command line needs from the layers below, as plain functions.

Heavy packages (the database above all) are imported inside the function that needs them, so that a
command pays only for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tokenway.compose.addresses import public_url
from tokenway.compose.stores import Schema, migrate, open_store, schema_of
from tokenway.control.check import describe, render_json, render_text
from tokenway.control.config import find_config, find_data, load
from tokenway.control.import_litellm import Imported, import_litellm
from tokenway.control.price_check import Disagreement, disagreements
from tokenway.control.prices import corrections, published_book
from tokenway.model.errors import ConfigError
from tokenway.model.settings import Settings

if TYPE_CHECKING:
    from tokenway.store.open import Store


class Checked(NamedTuple):
    """A checked configuration: whether it can be used, and the findings for people and for programs."""

    ok: bool
    text: str
    json: str


def data_directory(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """The data directory: `flag`, TOKENWAY_DATA_DIR, or the user's; it need not exist."""
    return find_data(flag, environment)


def effective_settings(config: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings that a gateway would use here; raises ConfigError when it could not start with them."""
    loaded = load(find_config(config, environment), environment)
    if loaded.settings is None:
        raise ConfigError(f"The configuration {loaded.path or ''} has errors; `tokenway check` lists them.")
    return loaded.settings


def configured_base_url(environment: Mapping[str, str]) -> str:
    """The public listener's address by configuration or default; raises ConfigError."""
    return public_url(effective_settings(None, environment).server)


def check_configuration(config: Path | None, environment: Mapping[str, str]) -> Checked:
    """Everything there is to say about the configuration that a gateway would use here."""
    loaded = load(find_config(config, environment), environment)
    text = render_text(loaded.findings)
    if loaded.settings is not None:
        text = f"{text}\n{describe(loaded, environment)}."
    return Checked(loaded.settings is not None, text, render_json(loaded.findings))


def import_litellm_file(file: Path) -> Imported:
    """A LiteLLM proxy's configuration file as one of ours; raises ConfigError when it cannot be read or is none."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read {file}: {reason}") from None
    return import_litellm(text)


def compare_prices(config: Path | None, environment: Mapping[str, str], day: int) -> list[Disagreement]:
    """Where the configured prices, our corrections, the price book and a second collection disagree on a Unix day."""
    settings = effective_settings(config, environment)
    return disagreements(settings, environment, published_book(), corrections(), day)


@contextmanager
def stored(
    data_dir: Path, config: Path | None, environment: Mapping[str, str], *, make: bool = False
) -> Iterator[Store]:
    """The store of the gateway that keeps its data in `data_dir`, whether it runs or not.

    Without `make` a store that is not there is an error rather than a new empty file. Raises ConfigError or
    StoreError.
    """
    store = open_store(effective_settings(config, environment), data_dir, makes=make)
    try:
        yield store
    finally:
        store.close()


def store_schema(
    data_dir: Path, config: Path | None, environment: Mapping[str, str], *, change: bool = False
) -> Schema:
    """The schema of the gateway's database; with `change` brought to what this version needs. Raises TokenwayError."""
    settings = effective_settings(config, environment)
    return migrate(settings, data_dir) if change else schema_of(settings, data_dir)
