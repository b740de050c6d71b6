"""Addresses of providers, and which known providers the environment enables by itself."""

from __future__ import annotations

import ipaddress
import re
from collections import ChainMap
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from tokenway.control.findings import Finding, Severity
from tokenway.dialects.known import KnownProvider, is_key
from tokenway.dialects.providers import KNOWN, detected
from tokenway.model.catalog import Dialect, credential_header
from tokenway.model.settings import ProviderSettings

_OPERATIONS: Final = ("/chat/completions", "/completions", "/embeddings", "/models", "/responses", "/messages")
_VERSIONS: Final = {Dialect.ANTHROPIC: "/v1", Dialect.GEMINI: "/v1beta"}
_VERSION: Final = re.compile(r"v[0-9]+((alpha|beta)[0-9]*)?", re.ASCII)
_SENDABLE: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
_REGION: Final = "AWS_REGION"
_REGIONAL: Final = re.compile(r"https://bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com", re.ASCII)
"""Amazon's own addresses, which name the region that a signature has to name too."""


def address_fault(base_url: str) -> str | None:
    """Why a provider cannot be called at this address; None when it can."""
    if base_url.startswith("unix:"):
        return None if re.fullmatch(r"unix:/[^:]+(:/.*)?", base_url) else "expected unix:/path/to.sock:/v1"
    try:
        parts = urlsplit(base_url)
        has_port = parts.port != 0
    except ValueError:
        return "is not a URL"
    reason = None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _SENDABLE.fullmatch(base_url):
        reason = "expected an address such as https://host/v1"
    elif not has_port:
        reason = "has port 0"
    elif parts.username is not None or parts.password is not None:
        reason = "holds a user or password; use api_key or headers"
    elif "?" in base_url or "#" in base_url:
        reason = "ends with the path: leave '?' and '#' out"
    else:
        ending = next((end for end in _OPERATIONS if parts.path.rstrip("/").endswith(end)), None)
        if ending is not None:
            reason = f"is what the operation's path is added to: leave {ending} out"
    return reason


def versioned(dialect: Dialect, base_url: str) -> str:
    """A base URL without a slash at its end, with the version that the dialect's path starts from.

    The SDKs of Anthropic and Google take their host alone and add it, so people write the host alone.
    """
    address = base_url.rstrip("/")
    version = _VERSIONS.get(dialect)
    if version is None or any(_VERSION.fullmatch(part) for part in urlsplit(address).path.split("/")):
        return address
    return f"{address}:{version}" if re.fullmatch(r"unix:/[^:]+", address) else address + version


def row_of(name: str, written: ProviderSettings | None) -> KnownProvider | None:
    """What is known of a provider: the row that it was said to be like, else the one of its own name."""
    return KNOWN.get((written.like if written is not None else None) or name)


def with_region(written: ProviderSettings | None, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment as a provider's line means it: a region that stands there goes before the variable."""
    region = None if written is None or written.aws is None else written.aws.region
    return ChainMap({_REGION: region}, dict(environment)) if region else environment


def signing_region(written: ProviderSettings, environment: Mapping[str, str]) -> str:
    """The region that signs for a provider: the one written, that of a written address, else the environment's."""
    if written.aws is not None and written.aws.region:
        return written.aws.region
    own = _REGIONAL.match(written.base_url or "")
    return own[1] if own is not None else KNOWN["bedrock"].variable(_REGION, environment)


def speeches_of(
    written: ProviderSettings, row: KnownProvider | None, environment: Mapping[str, str]
) -> dict[Dialect, tuple[str, str]]:
    """Each dialect that a provider understands, its own first, with its base URL and credential header.

    An address that was written stands for the row's, and for the row's other dialects that share that one; those at
    other addresses would reach somebody else. Empty when there is no address.
    """
    environment = with_region(written, environment)
    known: dict[Dialect, tuple[str | None, str]] = {}
    if row is not None:
        known[row.dialect] = (row.address(environment), row.credential_header)
        for offer in row.speaks:
            known[offer.dialect] = (row.fill(offer.base_url, environment), offer.credential_header)
    usual = Dialect.OPENAI_CHAT if row is None else row.dialect
    dialect = written.dialect or usual
    own_address, own_header = known.get(dialect, (None, credential_header(dialect)))
    if written.base_url is None and own_address is None:
        return {}
    found = {dialect: (written.base_url or own_address, own_header)}
    for other, (address, header) in known.items():
        if other is not dialect and (written.base_url is None or address == own_address):
            found[other] = (written.base_url or address, header)
    if written.speaks is not None:
        address = found[dialect][0]
        asked = [other for other in written.speaks if other is not dialect]
        found = {dialect: found[dialect]} | {
            other: found.get(other, (address, credential_header(other))) for other in asked
        }
    return {each: (versioned(each, address), header) for each, (address, header) in found.items() if address}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def reads_accounts() -> bool:
    """Whether google-auth is installed, which asks for access tokens with a credentials file."""
    try:
        return find_spec("google.oauth2.service_account") is not None
    except ModuleNotFoundError:
        return False


def enabled_by(environment: Mapping[str, str]) -> tuple[dict[str, KnownProvider], list[Finding]]:
    """The known providers whose usual variables are set and usable, and a warning for each that is set in vain."""
    findings = []
    rows = detected(environment)
    for name, row in detected(environment).items():
        if row.account_file and row.key(environment) is None and not reads_accounts():
            del rows[name]
    for name, row in list(rows.items()):
        fault = address_fault(row.address(environment) or "")
        if fault is not None:
            del rows[name]
            source = f"${row.address_variables[0]}" if row.address_variables else name
            findings.append(Finding(source, 0, "", f"{row.title} is not enabled: {fault}", (), Severity.WARNING))
    for row in KNOWN.values():
        for variable in row.key_variables:
            text = environment.get(variable, "").strip()
            if text and not is_key(text):
                reason = f"{row.title} is not enabled: the value holds characters that no key has"
                findings.append(Finding(f"${variable}", 0, "", reason, (), Severity.WARNING))
    return rows, findings
