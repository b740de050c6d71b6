"""A small OpenID provider that really signs, for tests: discovery, keys, the code flow with PKCE."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tokenway.aio.tasks import Tasks
from tokenway.control.app import serve_control

CLIENT_ID = "gateway"
CLIENT_SECRET = "the gateway's secret there"


class IdentityProvider:
    """Signs in whoever comes, as `claims` say; `forge` changes a token's claims before it is signed."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.issuer = f"http://127.0.0.1:{self.listener.getsockname()[1]}/realm"
        self.claims: dict[str, Any] = {}
        self.forge: dict[str, Any] = {}
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)
        self.signs_with = self.key
        self._codes: dict[str, dict[str, str]] = {}

    def renew_key(self) -> None:
        """Signs with another key from now on, and says so."""
        self.key = self.signs_with = RSAKey.generate_key(2048, parameters={"kid": "two"}, private=True)

    def app(self) -> Starlette:
        """Its pages."""
        return Starlette(
            routes=[
                Route("/realm/.well-known/openid-configuration", self._discovery),
                Route("/realm/keys", self._keys),
                Route("/realm/authorize", self._authorize),
                Route("/realm/token", self._token, methods=["POST"]),
            ]
        )

    async def _discovery(self, _request: Request) -> Response:
        ends = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "keys",
        }
        return JSONResponse({"issuer": self.issuer} | {name: f"{self.issuer}/{end}" for name, end in ends.items()})

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        said = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        asked = self._codes.pop(said.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(said.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or said.get("redirect_uri") != asked["redirect_uri"]
            or challenge.rstrip(b"=").decode() != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        times = {"iat": now, "exp": now + 300}
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "sub": "s-1", "nonce": asked["nonce"], **times}
        claims |= self.claims | self.forge
        header = {"alg": "RS256", "kid": self.signs_with.kid}
        token = jwt.encode(header, claims, self.signs_with)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": token})


@asynccontextmanager
async def providing() -> AsyncIterator[IdentityProvider]:
    """One that listens."""
    provider = IdentityProvider()
    tasks = Tasks(lambda *_: None)
    tasks.spawn("identity provider", serve_control(provider.app(), provider.listener))
    try:
        yield provider
    finally:
        await tasks.close()
        provider.listener.close()
