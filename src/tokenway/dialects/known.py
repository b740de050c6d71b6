"""What is known of a provider before anybody has written a line about it: the record of one row.

A row says what a person would otherwise have to look up: the address, the variable that usually holds the
key, the header it goes into, which wire formats it understands and where it differs from them, and what the
names of the provider's own models begin with. Hosts of other people's models have no prefixes, because their
names do not tell who should serve them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from tokenway.model.catalog import AwsKeys, Dialect, Operation, Quirks, credential_header
from tokenway.model.secret import Secret

_PLACES: Final = (
    ("//global-aiplatform.googleapis.com", "//aiplatform.googleapis.com"),
    ("//us-aiplatform.googleapis.com", "//aiplatform.us.rep.googleapis.com"),
    ("//eu-aiplatform.googleapis.com", "//aiplatform.eu.rep.googleapis.com"),
)
"""Google's locations that are no region: the host's name says them otherwise."""


class Service(StrEnum):
    """What a provider does beside chat, each at the path that OpenAI (rerank: Cohere) gave it."""

    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    IMAGES = "images"
    SPEECH = "speech"
    TRANSCRIPTIONS = "transcriptions"
    RERANK = "rerank"


_OPERATIONS: Final = {
    Service.COMPLETIONS: (Operation.COMPLETION,),
    Service.EMBEDDINGS: (Operation.EMBEDDING, Operation.EMBED_CONTENT),
    Service.MODERATIONS: (Operation.MODERATION,),
    Service.IMAGES: (Operation.IMAGE, Operation.IMAGE_EDIT, Operation.IMAGE_VARIATION),
    Service.SPEECH: (Operation.SPEECH,),
    Service.TRANSCRIPTIONS: (Operation.TRANSCRIPTION, Operation.TRANSLATION),
    Service.RERANK: (Operation.RERANK,),
}


class Offer(msgspec.Struct, frozen=True):
    """One more dialect that a provider understands, where, and which header carries the key there."""

    dialect: Dialect
    base_url: str
    header: str = ""

    @property
    def credential_header(self) -> str:
        """Its own header, or the usual one of the dialect."""
        return self.header or credential_header(self.dialect)


def is_key(text: str) -> bool:
    """Whether a header can carry it as a credential: printable ASCII without spaces, at least one character."""
    return bool(text) and all("!" <= char <= "~" for char in text)


class KnownProvider(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Addresses may hold `{VARIABLE}`, which is read from the environment.

    `key_variables` are alternatives, the usual one first; a row without any needs no key. `signing` are the
    variables of an access key and its secret, and `account_file` that of a credentials file, which do instead of a
    key. `stand_ins` gives another variable to read where the first is not set. `elsewhere` are operations that it has
    at another address. `prices` is its name in the price
    book, where that is another one, and `models` a pattern of the book's names that are names of its models.
    """

    name: str
    title: str
    base_url: str
    dialect: Dialect = Dialect.OPENAI_CHAT
    key_variables: tuple[str, ...] = ()
    header: str = ""
    prefixes: tuple[str, ...] = ()
    address_variables: tuple[str, ...] = ()
    stand_ins: tuple[tuple[str, str], ...] = ()
    signing: tuple[str, str] | None = None
    account_file: str = ""
    speaks: tuple[Offer, ...] = ()
    quirks: Quirks = Quirks()
    services: tuple[Service, ...] = ()
    elsewhere: tuple[tuple[Operation, str], ...] = ()
    chats: bool = True
    prices: str = ""
    models: str = "."

    @property
    def is_keyless(self) -> bool:
        """Whether it is called without a key: a server of one's own."""
        return not self.key_variables

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What its models may be asked for: everything, unless it has no chat at all."""
        if self.chats:
            return tuple(Operation)
        return tuple(operation for service in self.services for operation in _OPERATIONS[service])

    @property
    def chats_by_completions(self) -> bool:
        """Whether legacy completions can be asked for as they are."""
        return self.is_keyless or Service.COMPLETIONS in self.services

    @property
    def credential_header(self) -> str:
        """Its own header, or the usual one of its dialect."""
        return self.header or credential_header(self.dialect)

    def key(self, environment: Mapping[str, str]) -> Secret | None:
        """The key from the first usual variable that holds one; space around it is a slip of the shell."""
        for name in self.key_variables:
            text = environment.get(name, "").strip()
            if is_key(text):
                return Secret(text)
        return None

    def aws(self, environment: Mapping[str, str]) -> AwsKeys | None:
        """What signs its requests, from the environment; None when it is not all there."""
        if self.signing is None:
            return None
        access, secret = (environment.get(name, "").strip() for name in self.signing)
        region = self.variable("AWS_REGION", environment)
        if not (is_key(access) and is_key(secret) and region):
            return None
        token = environment.get("AWS_SESSION_TOKEN", "").strip()
        return AwsKeys(access, Secret(secret), region, Secret(token) if is_key(token) else None)

    def address(self, environment: Mapping[str, str]) -> str | None:
        """The base URL with its variables filled in; None when one of them is not set."""
        return self.fill(self.base_url, environment)

    def fill(self, address: str, environment: Mapping[str, str]) -> str | None:
        """One of the row's addresses with its variables filled in; None when one of them is not set."""
        for name in self.address_variables:
            text = self.variable(name, environment)
            if not text:
                return None
            address = address.replace("{" + name + "}", text.rstrip("/"))
        for regional, own in _PLACES:
            address = address.replace(regional, own)
        return address

    def variable(self, name: str, environment: Mapping[str, str]) -> str:
        """The value of a variable or of the one that stands in for it; empty when neither is set."""
        return (environment.get(name) or environment.get(dict(self.stand_ins).get(name, ""), "")).strip()

    def missing(self, environment: Mapping[str, str], *, has_key: bool = False) -> tuple[str, ...]:
        """The variables to set before it can be called; `has_key` when the credentials come from elsewhere."""
        missing = [] if has_key or self._has_credentials(environment) else [self.key_variables[0]]
        if self.address(environment) is None:
            missing += [name for name in self.address_variables if not self.variable(name, environment)]
        return tuple(missing)

    def _has_credentials(self, environment: Mapping[str, str]) -> bool:
        if self.is_keyless or self.key(environment) is not None or environment.get(self.account_file):
            return True
        return self.signing is not None and all(is_key(environment.get(name, "").strip()) for name in self.signing)
