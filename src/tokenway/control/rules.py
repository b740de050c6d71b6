"""What types cannot say about a configuration: names that lead nowhere, addresses, keys, contradictions."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping as Environment
from importlib.util import find_spec
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from tokenway.control.addresses import (
    address_fault,
    enabled_by,
    is_loopback,
    reads_accounts,
    row_of,
    signing_region,
    with_region,
)
from tokenway.control.document import Mapping, Scalar
from tokenway.control.examination import Examination, Path, shown
from tokenway.control.findings import Finding, Severity, nearest
from tokenway.control.model_rules import examine_models
from tokenway.control.oidc import is_installed as oidc_installed
from tokenway.control.quota_rules import examine_quotas
from tokenway.dialects.known import KnownProvider, is_key
from tokenway.dialects.providers import KNOWN
from tokenway.model.catalog import Dialect
from tokenway.model.secret import Secret
from tokenway.model.settings import LOCAL_PROVIDER, POSTGRES, SHARED_SCHEMES, ProviderSettings, Settings, TlsSettings

NOT_YET: Final[tuple[tuple[Path, Severity, str], ...]] = ()
"""Settings with a meaning that this version does not act on, said instead of accepted in silence."""

RETENTION_LEAST: Final = 2 * 86_400.0
"""Probes' budgets, budgets that roll over a day, and what a start learns of endpoints need yesterday and today."""

_PROVIDER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*", re.ASCII)
_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-type", "content-encoding", "te", "upgrade"}
)
"""Headers that frame the request; a fixed value would break it."""

_CREDENTIALS: Final = ("api_key", "api_keys", "headers", "aws", "credentials")
"""Where credentials may stand in a provider's line."""
_WORDS: Final = {
    "limit_field": ("max_completion_tokens", "max_tokens"),
    "reasoning_field": ("reasoning_content", "reasoning_details", "extra_content", ""),
    "prefill": ("prefix", "partial", "continue_final_message", ""),
}
"""Quirks that are one of a few words."""

_WEAK_KEY: Final = 16


def examine(settings: Settings, root: Mapping, environment: Environment[str, str]) -> list[Finding]:
    """Every rule over settings that have been read; the tree says where each stands."""
    subject = Examination(settings, root, environment)
    subject.findings += enabled_by(environment)[1]
    _account_file(subject)
    _server(subject)
    _stores(subject)
    _retention(subject)
    _fixed_keys(subject)
    _identity_provider(subject)
    _timeouts(subject)
    for name, provider in settings.providers.items():
        _provider(subject, name, provider)
    examine_models(subject)
    examine_quotas(subject)
    _not_yet(subject)
    return subject.findings


def in_force(settings: Settings, root: Mapping, environment: Environment[str, str]) -> Settings:
    """The settings without the known providers that are left out because their key may be absent, and is."""
    subject = Examination(settings, root, environment)
    kept = {
        name: written
        for name, written in settings.providers.items()
        if not (written.enabled and _missing(subject, name) and _is_waived(subject, name))
    }
    return msgspec.structs.replace(settings, providers=kept)


def _not_yet(subject: Examination) -> None:
    """One finding for each setting that has no effect yet, at the first place where it was written."""
    for pattern, severity, reason in NOT_YET:
        paths = [path for path in subject.matching(pattern) if not _is_null(subject.node(path))]
        if paths and not any(finding.path == shown(paths[0]) for finding in subject.findings):
            more = f" (written at {len(paths)} places)" if len(paths) > 1 else ""
            subject.say(paths[0], reason + more, severity=severity)


def _account_file(subject: Examination) -> None:
    """A note where a credentials file would enable Vertex AI, were the package there that reads it."""
    environment = subject.environment
    row = KNOWN["vertex"]
    if reads_accounts() or row.name in subject.settings.providers or row.missing(environment):
        return
    if row.key(environment) is None:
        reason = f"{row.title} is not enabled: it needs the extra `vertex`, or a token in {row.key_variables[0]}"
        subject.findings.append(Finding(f"${row.account_file}", 0, "", reason, (), Severity.NOTE))


def _token_file(subject: Examination, name: str, provider: ProviderSettings) -> None:
    """A credentials file is Vertex AI's, can be read, and the package is there that reads it."""
    path: Path = ("providers", name, "credentials")
    row = row_of(name, provider)
    if provider.credentials is None:
        return
    if row is None or not row.account_file:
        subject.say(path, "is for Vertex AI only; write api_key for another one")
    elif _readable_file(subject, path, provider.credentials) and not reads_accounts():
        subject.say(path, "needs the package google-auth: pip install 'tokenway[vertex]'")


def _server(subject: Examination) -> None:
    server = subject.settings.server
    if server.port and server.port == server.control_port:
        subject.say(("server", "control_port"), f"is {server.port} like the public port; choose another")
    if not server.host:
        subject.say(("server", "host"), "is empty; 127.0.0.1 serves this machine, 0.0.0.0 every network")
    elif not subject.settings.auth.required and not is_loopback(server.host):
        subject.say(
            ("auth", "required"),
            f"is false while {server.host} is open to other machines: anybody may spend your providers' money",
            severity=Severity.WARNING,
        )
    if server.tls is not None:
        files = (("cert", server.tls.cert), ("key", server.tls.key))
        readable = [_readable_file(subject, ("server", "tls", field), path) for field, path in files]
        if all(readable):
            _certificate(subject, server.tls)


def _certificate(subject: Examination, tls: TlsSettings) -> None:
    """Loads the pair like the listener will, so that a wrong one is found before the start."""
    try:
        # Without a password of ours the library would ask the terminal for that of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password="")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        subject.say(("server", "tls"), f"the certificate and the key cannot be used together: {reason}")


def _stores(subject: Examination) -> None:
    if subject.settings.store is not None:
        store = subject.settings.store.reveal()
        if _is_database(store):
            if find_spec("psycopg") is None:
                subject.say(("store",), "PostgreSQL needs the package psycopg: install tokenway[postgres]")
        elif not store.startswith("sqlite:///") or store == "sqlite:///":
            # What was written is not repeated: it may hold a password.
            expected = "expected sqlite:///path/to/tokenway.db or postgresql://user:password@host:5432/database"
            subject.say(("store",), expected)
    shared = subject.settings.shared
    if shared is not None:
        if not _is_shared(shared.reveal()):
            subject.say(("shared",), "expected valkey://user:password@host:6379/0, or valkeys:// for TLS")
        elif find_spec("valkey") is None:
            subject.say(("shared",), "Valkey and Redis need the package valkey: install tokenway[valkey]")


def _is_database(url: str) -> bool:
    """Whether a URL names a database on a PostgreSQL server."""
    try:
        parts = urlsplit(url)
        is_reachable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or an address is not closed
        return False
    return url.startswith(POSTGRES) and (is_reachable or "host=" in parts.query) and parts.path.strip("/") != ""


def _retention(subject: Examination) -> None:
    kept = subject.settings.ledger
    for name in kept.__struct_fields__:
        if 0 < getattr(kept, name) < RETENTION_LEAST:
            subject.say(("ledger", name), "keeps less than two days; 0s keeps everything")


def _is_shared(url: str) -> bool:
    """Whether a URL names a Valkey or Redis server, and by number a database of it."""
    try:
        parts = urlsplit(url)
        is_reachable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return parts.scheme in SHARED_SCHEMES and is_reachable and re.fullmatch(r"(/\d*)?", parts.path) is not None


def _fixed_keys(subject: Examination) -> None:
    keys = subject.settings.auth.keys
    if not subject.is_whole(("auth", "keys"), len(keys)):
        return
    seen: dict[Secret, int] = {}
    names: dict[str, int] = {}
    for index, fixed in enumerate(keys):
        path: Path = ("auth", "keys", index)
        first = seen.setdefault(fixed.key, index)
        if first != index:
            where = subject.place(("auth", "keys", first, "key"))
            subject.say((*path, "key"), f"is the same key as {keys[first].name!r} at {where}")
        first = names.setdefault(fixed.name, index)
        if first != index:
            subject.say((*path, "name"), f"{fixed.name!r} stands twice, first at {subject.place((*path[:2], first))}")
        for field in ("name", "project"):
            if not getattr(fixed, field):
                subject.say((*path, field), "is empty")
        if not _secret(subject, (*path, "key"), fixed.key):
            continue
        if len(fixed.key.reveal()) < _WEAK_KEY:
            reason = f"is shorter than {_WEAK_KEY} characters and could be guessed"
            subject.say((*path, "key"), reason, severity=Severity.WARNING)


def _identity_provider(subject: Examination) -> None:
    """What is said of an identity provider can work, and its packages are there."""
    oidc = subject.settings.auth.oidc
    path: Path = ("auth", "oidc")
    if oidc is None:
        return
    for field in ("issuer", "redirect_url"):
        address = urlsplit(getattr(oidc, field) or "https://none")
        is_safe = address.scheme == "https" or (address.scheme == "http" and is_loopback(address.hostname or ""))
        if not is_safe or not address.hostname or address.query or address.fragment:
            subject.say((*path, field), "expected https://host/path; http only on this machine")
    if "openid" not in oidc.scopes:
        subject.say((*path, "scopes"), "must hold openid")
    if not oidc_installed():
        subject.say(path, "needs more packages: pip install 'tokenway[oidc]'")


def _timeouts(subject: Examination) -> None:
    timeouts = subject.settings.timeouts
    for name in ("connect", "first_token", "between_tokens"):
        if getattr(timeouts, name) > timeouts.total:
            subject.say(
                ("timeouts", name), "is longer than timeouts.total, so it never passes", severity=Severity.WARNING
            )


def _provider(subject: Examination, name: str, provider: ProviderSettings) -> None:
    path: Path = ("providers", name)
    if name == LOCAL_PROVIDER:
        _local(subject, provider)
        return
    if not _PROVIDER_NAME.fullmatch(name):
        subject.say(path, "a provider's name is letters, digits, '.', '_' and '-', at most 64 of them")
    if provider.models:
        subject.say((*path, "models"), "only the provider 'local' has models here; list others under `models`")
    if provider.enabled:
        _credentials(subject, name, provider)
        _address(subject, name, provider)
    _aws(subject, name, provider)
    _token_file(subject, name, provider)
    if provider.like is not None and provider.like not in KNOWN:
        reason = f"{provider.like!r} is not a provider that is known here"
        subject.say((*path, "like"), reason, nearest(provider.like, KNOWN))
    for quirk, words in _WORDS.items():
        value = getattr(provider.quirks, quirk)
        if value is not None and value not in words:
            reason = f"expected one of {', '.join(filter(None, words))}, got {value!r}"
            subject.say((*path, "quirks", quirk), reason, nearest(value, words))
    for header, value in provider.headers.items():
        if not _HEADER_NAME.fullmatch(header) or header.lower() in _OURS:
            subject.say((*path, "headers", header), "this header cannot be set")
        elif not _HEADER_VALUE.fullmatch(value):
            subject.say((*path, "headers", header), "a header's value is printable ASCII on one line")


def _local(subject: Examination, provider: ProviderSettings) -> None:
    path: Path = ("providers", LOCAL_PROVIDER)
    if provider != ProviderSettings(enabled=provider.enabled, models=provider.models):
        subject.say(path, "is the embedded engine and takes `enabled` and `models` only; give your own another name")
    for name, file in provider.models.items():
        _readable_file(subject, (*path, "models", name), file)


def _credentials(subject: Examination, name: str, provider: ProviderSettings) -> None:
    path: Path = ("providers", name)
    if provider.api_key is not None:
        _secret(subject, (*path, "api_key"), provider.api_key)
        if provider.api_keys:
            subject.say((*path, "api_keys"), "stands beside api_key; put every key into api_keys")
    if subject.is_whole((*path, "api_keys"), len(provider.api_keys)):
        for index, key in enumerate(provider.api_keys):
            _secret(subject, (*path, "api_keys", index), key)
            if key in provider.api_keys[:index]:
                subject.say((*path, "api_keys", index), "stands twice", severity=Severity.WARNING)
    row = row_of(name, provider)
    if row is None:
        if provider.base_url is None and provider.like is None:
            reason = "is not a provider that is known here, so it needs a base_url"
            subject.say(path, reason, nearest(name, KNOWN))
        return
    missing = _missing(subject, name)
    if missing and _is_waived(subject, name):
        reason = f"is empty, so {name!r} is left out until its variable is set"
        subject.say((*path, "api_key"), reason, severity=Severity.NOTE)
    elif missing:
        subject.say(path, _needs(row, missing))
    elif _is_without_credentials(subject, name, row):
        keys = " or ".join((*row.key_variables, *(row.signing or ())[:1]))
        reason = f"has no credentials, so {row.title} will refuse its calls: write api_key here or set {keys}"
        subject.say(path, reason, severity=Severity.WARNING)


def _needs(row: KnownProvider, missing: tuple[str, ...]) -> str:
    """What a known provider lacks, and where it can be said."""
    if missing[0] in row.key_variables:
        return f"needs credentials: write api_key here or set {' and '.join(missing)}"
    return f"needs an address: write base_url here or set {' and '.join(missing)}"


def _is_without_credentials(subject: Examination, name: str, row: KnownProvider) -> bool:
    """Whether an address of the provider's own was written, and nothing anywhere that it would accept."""
    written, provider = subject.node(("providers", name)), subject.settings.providers[name]
    if not _is_written(written, "base_url") or _is_written(written, *_CREDENTIALS):
        return False
    host = urlsplit(provider.base_url or "").hostname or ""
    theirs = urlsplit(row.base_url).hostname or ""
    if host.split(".")[-2:] != theirs.split(".")[-2:]:
        return False
    named = dict.fromkeys(row.address_variables, "named")  # the address is there, whatever the environment says of it
    return bool(row.missing({**subject.environment, **named}))


def _aws(subject: Examination, name: str, provider: ProviderSettings) -> None:
    """What signs requests belongs to Bedrock, and needs a region."""
    path: Path = ("providers", name, "aws")
    row = row_of(name, provider)
    dialect = provider.dialect or (row.dialect if row is not None else Dialect.OPENAI_CHAT)
    if provider.aws is None:
        return
    if dialect is not Dialect.BEDROCK:
        subject.say(path, "signs requests of the dialect bedrock only; write api_key for another one")
        return
    for field in ("access_key", "secret_key"):
        _secret(subject, (*path, field), getattr(provider.aws, field))
    if not signing_region(provider, subject.environment):
        subject.say((*path, "region"), "is not said: write it here or set AWS_REGION")


def _missing(subject: Examination, name: str) -> tuple[str, ...]:
    """The variables that a known provider lacks; none where its address is written, which may need no key."""
    row = row_of(name, subject.settings.providers.get(name))
    written = subject.node(("providers", name))
    if row is None or _is_written(written, "base_url"):
        return ()
    environment = with_region(subject.settings.providers.get(name), subject.environment)
    return row.missing(environment, has_key=_is_written(written, *_CREDENTIALS))


def _is_waived(subject: Examination, name: str) -> bool:
    """Whether the key was written so that it may be absent, and is."""
    key = subject.node(("providers", name, "api_key"))
    return isinstance(key, Scalar) and key.is_waived


def _is_written(node: object, *names: str) -> bool:
    """Whether one of these settings was given a value, be it one that could not be read."""
    return isinstance(node, Mapping) and any(
        name in node.entries and not _is_null(node.entries[name]) for name in names
    )


def _is_null(node: object) -> bool:
    return isinstance(node, Scalar) and node.is_null


def _address(subject: Examination, name: str, provider: ProviderSettings) -> None:
    path: Path = ("providers", name)
    row = row_of(name, provider)
    effective = provider.base_url
    if effective is None:
        if row is None:
            return  # that it needs one is said already
        spoken = (row.dialect, *(offer.dialect for offer in row.speaks))
        if provider.dialect is not None and provider.dialect not in spoken:
            reason = f"{row.title} is not known to understand it; it understands {', '.join(spoken)}"
            subject.say((*path, "dialect"), f"{reason}, and others at a base_url of their own")
            return
        effective = row.address(with_region(provider, subject.environment))
        if effective is None:
            return
    fault = address_fault(effective)
    if fault is not None:
        subject.say((*path, "base_url"), f"{effective!r} {fault}" if provider.base_url is None else fault)
    elif _is_ourselves(subject, urlsplit(effective)):
        reason = f"{effective} is this gateway's own address; a request would go round in circles"
        subject.say((*path, "base_url"), reason)


def _is_ourselves(subject: Examination, parts: SplitResult) -> bool:
    server = subject.settings.server
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return bool(parts.hostname) and port == server.port and is_loopback(parts.hostname or "")


def _secret(subject: Examination, path: Path, secret: Secret) -> bool:
    """Whether a key can be sent in a header; a finding says why not, and never shows it."""
    if not secret:
        subject.say(path, "is empty")
    elif not is_key(secret.reveal()):
        subject.say(path, "holds a space, a line break or a character outside ASCII, so it cannot be a key")
    else:
        return True
    return False


def _readable_file(subject: Examination, path: Path, file: str) -> bool:
    if not os.path.isfile(file):  # noqa: PTH113 - a path from a person; pathlib raises where this says no
        subject.say(path, f"there is no file {file}")
    elif not os.access(file, os.R_OK):
        subject.say(path, f"{file} may not be read by this user")
    else:
        return True
    return False
