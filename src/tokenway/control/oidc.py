"""Sign-in at somebody else's identity provider: OpenID Connect, the code flow with PKCE.

What has to be remembered between the two halves of a sign-in (`Pending`) is kept by the browser, sealed, so that any
machine can finish what another has begun. An answer is believed when its state is the one that was sent, and the
token is signed with a key of the issuer's, made for this client, for this sign-in (nonce), and not over.
"""

from __future__ import annotations

import importlib.util
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tokenway.model.errors import TokenwayError
from tokenway.model.settings import OidcSettings

PENDING_SECONDS: Final = 600.0
"""How long somebody may take at the identity provider."""
DISCOVERY_SECONDS: Final = 3600.0
"""How long what the issuer says of itself is believed; a key that is not known is looked up again at once."""
TIMEOUT_SECONDS: Final = 10.0
LEEWAY_SECONDS: Final = 60
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with the issuer's own key; those with a shared secret, and none, are not believed."""
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class OidcFault(TokenwayError):
    """A sign-in could not be finished; the text says why."""


class Pending(msgspec.Struct, frozen=True):
    """A sign-in that has begun."""

    state: str
    nonce: str
    verifier: str
    redirect: str
    ends: float


class Person(msgspec.Struct, frozen=True):
    """Who has signed in. `identity` is the issuer and his subject there, `name` what he is called."""

    identity: str
    name: str
    groups: tuple[str, ...]


class _Issuer(msgspec.Struct):
    """What an issuer says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    issuer: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


def is_installed() -> bool:
    """Whether the packages of the extra `oidc` are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("authlib", "httpx", "joserfc"))


class Oidc:
    """One client of one issuer."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self._issuer: _Issuer | None = None
        self._keys: Mapping[str, Any] = {}
        self._read_at = 0.0

    async def begin(self, redirect: str) -> tuple[str, Pending]:
        """Where the browser is to go, and what is to be kept until it comes back to `redirect`."""
        issuer = await self._discover()
        pending = Pending(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            redirect=redirect,
            ends=time.time() + PENDING_SECONDS,
        )
        async with self._client(issuer, redirect) as client:
            url, _ = client.create_authorization_url(
                issuer.authorization_endpoint,
                state=pending.state,
                nonce=pending.nonce,
                code_verifier=pending.verifier,
            )
        return str(url), pending

    async def finish(self, pending: Pending, answer: Mapping[str, str]) -> Person:
        """Who came back. `answer` are the parameters of the address at which he did. Raises OidcFault."""
        from authlib.integrations.base_client import OAuthError  # noqa: PLC0415 - of the extra `oidc`

        if not secrets.compare_digest(pending.state.encode(), answer.get("state", "").encode()):
            raise OidcFault("this sign-in was not begun in this browser; begin it again")
        if pending.ends < time.time():
            raise OidcFault("this sign-in took too long; begin it again")
        if "error" in answer or "code" not in answer:
            said = answer.get("error_description") or answer.get("error") or "it gave no code"
            raise OidcFault(f"the identity provider refused: {said[:200]}")
        issuer = await self._discover()
        async with self._client(issuer, pending.redirect) as client:
            try:
                token = await client.fetch_token(
                    issuer.token_endpoint, code=answer["code"], code_verifier=pending.verifier
                )
            except OAuthError as error:
                raise OidcFault(f"the identity provider refused the code: {error.description or error.error}") from None
            except Exception as error:  # whatever the network or the answer is like
                raise OidcFault(f"the identity provider did not answer: {type(error).__name__}") from error
        return self._person(await self._claims(str(token.get("id_token", "")), issuer, pending.nonce))

    async def _claims(self, token: str, issuer: _Issuer, nonce: str) -> dict[str, Any]:
        """What a token says, once it is proved."""
        from joserfc import jwt  # noqa: PLC0415 - of the extra `oidc`
        from joserfc.errors import JoseError  # noqa: PLC0415 - the same
        from joserfc.jwk import KeySet  # noqa: PLC0415 - the same

        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        for is_last in (False, True):
            try:
                keys = KeySet.import_key_set(dict(self._keys))  # type: ignore[arg-type]
                claims: dict[str, Any] = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
                registry.validate(claims)
            except (JoseError, ValueError, KeyError, TypeError) as error:
                if is_last:
                    raise OidcFault(f"the identity provider's token is not valid: {type(error).__name__}") from None
                await self._discover(anew=True)  # its keys may have been changed
            else:
                self._require_party(claims)
                return claims
        raise OidcFault("the identity provider's token is not valid")

    def _require_party(self, claims: Mapping[str, Any]) -> None:
        """A token for several must say that it was made for this one."""
        party = claims.get("azp")
        several = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
        if party != self.settings.client_id and (several or party is not None):
            raise OidcFault("the identity provider's token is for another client")

    def _person(self, claims: Mapping[str, Any]) -> Person:
        name = claims.get(self.settings.name_claim)
        if self.settings.name_claim == "email" and claims.get("email_verified") is False:
            raise OidcFault("the identity provider has not verified your e-mail address")
        groups = claims.get(self.settings.groups_claim)
        return Person(
            identity=f"{self.settings.issuer} {claims['sub']}",
            name=name if isinstance(name, str) and name else str(claims["sub"]),
            groups=tuple(each for each in groups if isinstance(each, str)) if isinstance(groups, list) else (),
        )

    async def _discover(self, *, anew: bool = False) -> _Issuer:
        """What the issuer says of itself, and its keys."""
        import httpx  # noqa: PLC0415 - of the extra `oidc`

        if self._issuer is not None and not anew and time.monotonic() - self._read_at < DISCOVERY_SECONDS:
            return self._issuer
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
                said = await client.get(self.settings.issuer.rstrip("/") + _WELL_KNOWN)
                issuer = msgspec.json.decode(said.raise_for_status().content, type=_Issuer)
                keys = (await client.get(issuer.jwks_uri)).raise_for_status()
                found = msgspec.json.decode(keys.content, type=dict[str, Any])
        except (httpx.HTTPError, msgspec.MsgspecError, ValueError) as error:
            raise OidcFault(f"the identity provider {self.settings.issuer} cannot be reached: {error}") from error
        if issuer.issuer.rstrip("/") != self.settings.issuer.rstrip("/"):
            raise OidcFault(f"{self.settings.issuer} calls itself {issuer.issuer}: write that as auth.oidc.issuer")
        self._issuer, self._keys, self._read_at = issuer, found, time.monotonic()
        return issuer

    def _client(self, issuer: _Issuer, redirect: str) -> Any:
        from authlib.integrations.httpx_client import AsyncOAuth2Client  # noqa: PLC0415 - of the extra `oidc`

        secret = self.settings.client_secret
        methods = issuer.token_endpoint_auth_methods_supported
        basic = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return AsyncOAuth2Client(
            client_id=self.settings.client_id,
            client_secret=None if secret is None else secret.reveal(),
            token_endpoint_auth_method="none" if secret is None else basic,
            scope=" ".join(self.settings.scopes),
            redirect_uri=redirect,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
        )
