"""Addresses of providers, and which known providers the environment enables by itself."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from tokenway.control.findings import Finding, Severity
from tokenway.dialects.registry import KNOWN, KnownProvider, detected, is_key

_OPERATIONS: Final = ("/chat/completions", "/completions", "/embeddings", "/models")
_SENDABLE: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)


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


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def enabled_by(environment: Mapping[str, str]) -> tuple[dict[str, KnownProvider], list[Finding]]:
    """The known providers whose usual variables are set and usable, and a warning for each that is set in vain."""
    findings = []
    rows = detected(environment)
    for name, row in detected(environment).items():
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
