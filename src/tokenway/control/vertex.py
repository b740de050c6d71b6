"""Access tokens for Google Vertex AI, which takes no keys: asked for with a credentials file, and renewed in time.

This needs the package google-auth (the extra `vertex`), which signs the request; the request itself goes through the
standard library. What asks is the control process: workers get a token in their snapshot like any other key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from tokenway.control.addresses import reads_accounts, row_of
from tokenway.model.errors import TokenwayError
from tokenway.model.secret import Secret
from tokenway.model.settings import ProviderSettings, Settings

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
RENEW_BEFORE: Final = 600.0
"""Seconds before a token's end at which the next one is asked for."""
AGAIN_AFTER: Final = 30.0
"""Seconds after which a token that did not come is asked for again."""
_TIMEOUT: Final = 20.0
_ANSWER_MAX: Final = 1 << 20


class TokenFault(TokenwayError):
    """No token came; the text says why, without any part of the credentials."""


class Token(msgspec.Struct, frozen=True):
    """An access token and the Unix time at which it ends."""

    secret: Secret
    ends_at: float


class Tokens:
    """The tokens of the credentials files that are in use. `fetch` asks for one; it may take seconds."""

    def __init__(self, fetch: Callable[[str], Token], say: Callable[[str], None]) -> None:
        self._fetch = fetch
        self._say = say
        self._held: dict[str, Token] = {}

    @property
    def by_file(self) -> dict[str, Secret]:
        """The tokens there are."""
        return {file: token.secret for file, token in self._held.items()}

    def renew(self, files: Iterable[str], now: float) -> bool:
        """Asks for those that are missing or end soon, and forgets those of other files; whether anything changed."""
        wanted = set(files)
        changed = bool(self._held.keys() - wanted)
        self._held = {file: token for file, token in self._held.items() if file in wanted}
        for file in sorted(wanted):
            held = self._held.get(file)
            if held is not None and held.ends_at - now > RENEW_BEFORE:
                continue
            try:
                self._held[file] = self._fetch(file)
            except TokenFault as fault:
                self._say(f"no access token for Vertex AI: {fault}")
            else:
                changed = True
        return changed


def credentials_of(name: str, written: ProviderSettings, environment: Mapping[str, str]) -> str | None:
    """The credentials file of a provider, as written or by its variable; None where it has none, or a key instead."""
    row = row_of(name, written)
    if written.api_key is not None or written.api_keys or (row is not None and row.key(environment) is not None):
        return None
    if written.credentials is not None:
        return written.credentials
    return environment.get(row.account_file) or None if row is not None and row.account_file else None


def files_in_use(settings: Settings, environment: Mapping[str, str], detected: Iterable[str]) -> set[str]:
    """The credentials files of every provider that is enabled, by the settings or by the environment."""
    written = {name: each for name, each in settings.providers.items() if each.enabled}
    written |= {name: ProviderSettings() for name in detected if name not in settings.providers}
    found = (credentials_of(name, each, environment) for name, each in written.items())
    return {file for file in found if file is not None}


def fetch_token(file: str) -> Token:
    """Asks for a token with a service account's file, or that of `gcloud auth application-default login`.

    Raises TokenFault.
    """
    if not reads_accounts():
        raise TokenFault("the package google-auth is not installed: pip install 'tokenway[vertex]'")
    # Slow to import, and there only where somebody uses Vertex AI.
    fault: Any = import_module("google.auth.exceptions").GoogleAuthError
    service_account: Any = import_module("google.oauth2.service_account")
    user: Any = import_module("google.oauth2.credentials")
    try:
        kind = json.loads(Path(file).read_text(encoding="utf-8")).get("type")
        if kind == "service_account":
            held = service_account.Credentials.from_service_account_file(file, scopes=[SCOPE])
        elif kind == "authorized_user":
            held = user.Credentials.from_authorized_user_file(file, scopes=[SCOPE])
        else:
            raise TokenFault(f"{file} is neither a service account's nor a user's credentials file")
        held.refresh(_ask)
    except (OSError, ValueError, AttributeError, fault) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise TokenFault(f"{file}: {reason}") from None
    # Its times are in UTC and do not say so.
    return Token(Secret(held.token), held.expiry.replace(tzinfo=UTC).timestamp())


class _Answer(msgspec.Struct):
    """What google-auth reads of an answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _ask(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: Any,
) -> _Answer:
    """One HTTP request, as google-auth wants it made."""
    from urllib.error import HTTPError, URLError  # noqa: PLC0415 - a start has no need of HTTP, mail and all that
    from urllib.request import Request, urlopen  # noqa: PLC0415 - the same

    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise TokenFault("the credentials file names an address without TLS")
    request = Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - checked above
    try:
        with urlopen(request, timeout=timeout or _TIMEOUT) as answer:  # noqa: S310 - the same
            return _Answer(answer.status, dict(answer.headers), answer.read(_ANSWER_MAX))
    except HTTPError as error:
        return _Answer(error.code, dict(error.headers), error.read(_ANSWER_MAX))
    except URLError as error:
        raise TokenFault(f"{url.partition('?')[0]} cannot be reached: {error.reason}") from None
