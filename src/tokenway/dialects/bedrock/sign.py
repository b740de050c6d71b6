"""AWS Signature Version 4: what proves to Amazon who sends a request.

    canonical request   method, path, query, headers, names of the headers, hash of the body; one a line
    text to sign        AWS4-HMAC-SHA256, time, scope, hash of the canonical request; one a line
    key                 HMAC of the date, by the secret; of the region, by that; of the service; of `aws4_request`
    signature           HMAC of the text to sign, by the key

The path is encoded twice: once as it goes over the wire (a model's id `a:0` is `a%3A0` there), and once more for the
signature (`a%253A0`). Every service but S3 does so (IAM user guide, *Create a signed AWS API request*).
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import msgspec

from tokenway.model.secret import Secret
from tokenway.wire.percent import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "bedrock"
"""The service's name in a signature: not that of its host, `bedrock-runtime`."""
NO_BODY: Final = sha256(b"").hexdigest()
"""The hash of an empty body."""

UNSIGNED: Final = frozenset(
    {
        *("authorization", "baggage", "connection", "expect", "keep-alive", "proxy-authorization", "te"),
        *("traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id"),
    }
)
"""Headers that others on the way may change or add, and the signature itself."""
_SPACES: Final = re.compile(r"\s+")


class Credentials(msgspec.Struct, frozen=True):
    """An access key of AWS; one that lasts for a session only has a token besides."""

    access_key: str
    secret_key: Secret
    session_token: Secret | None = None


class Call(msgspec.Struct, frozen=True):
    """What is signed, as it goes over the wire: the path is encoded once, the query is without its `?`.

    `headers` must have `host`; `payload_hash` is that of the whole body (`payload_hash`).
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    payload_hash: str = NO_BODY
    query: str = ""


def payload_hash(body: bytes) -> str:
    """The hash of a body, as `Call` wants it."""
    return sha256(body).hexdigest()


def sign(
    call: Call, credentials: Credentials, region: str, now: float, service: str = SERVICE
) -> tuple[tuple[str, str], ...]:
    """The header lines to add to the call: its time, the session's token, the signature. `now` is Unix time."""
    time = datetime.fromtimestamp(int(now), UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [("x-amz-date", time)]
    if credentials.session_token:
        added.append(("x-amz-security-token", credentials.session_token.reveal()))
    signed = _canonical_headers((*call.headers, *added))
    names = ";".join(signed)
    request = "\n".join(
        [
            call.method.upper(),
            quote(_normalised(call.path), safe="/"),
            _canonical_query(call.query),
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            names,
            call.payload_hash,
        ]
    )
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([ALGORITHM, time, scope, sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key.reveal()}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={credentials.access_key}/{scope}"
    return (*added, ("authorization", f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"))


def _canonical_headers(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The headers that are signed by their lower-case names, in order, without needless space."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        plain = name.lower().strip()
        if plain not in UNSIGNED:
            found.setdefault(plain, []).append(_SPACES.sub(" ", value.strip()))
    return {name: ",".join(found[name]) for name in sorted(found)}


def _normalised(path: str) -> str:
    """The path without `.`, `..` and doubled slashes."""
    kept: list[str] = []
    for step in path.split("/"):
        if step == "..":
            kept[-1:] = []
        elif step not in {"", "."}:
            kept.append(step)
    end = "/" if path.endswith("/") and kept else ""
    return f"/{'/'.join(kept)}{end}"


def _canonical_query(query: str) -> str:
    """The query's pairs in order of their encoded names, then values; a name alone has an empty value."""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
    return "&".join([f"{name}={value}" for name, value in pairs])
