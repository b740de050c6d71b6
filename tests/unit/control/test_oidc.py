"""What is asked of an identity provider; its answers are tried in `api/test_oidc.py`, against a real one."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.control.api.identity_provider import CLIENT_ID, CLIENT_SECRET, providing
from tokenway.control.oidc import Oidc, OidcFault, Pending, is_installed
from tokenway.model.secret import Secret
from tokenway.model.settings import OidcSettings


def test_the_packages_are_here() -> None:
    """They are an extra, and the tests have it."""
    assert is_installed()


async def test_each_sign_in_is_its_own() -> None:
    """State, nonce and verifier are new each time, and the verifier is not sent along."""
    async with providing() as provider:
        oidc = Oidc(OidcSettings(provider.issuer, CLIENT_ID, Secret(CLIENT_SECRET), scopes=("openid", "groups")))
        (url, one), (_, two) = await oidc.begin("http://127.0.0.1/cb"), await oidc.begin("http://127.0.0.1/cb")
        assert len({one.state, two.state, one.nonce, two.nonce, one.verifier, two.verifier}) == 6
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["scope"] == "openid groups"
        assert (asked["state"], asked["nonce"], asked["redirect_uri"]) == (one.state, one.nonce, "http://127.0.0.1/cb")
        assert one.verifier not in url
        assert CLIENT_SECRET not in url


async def test_an_issuer_must_be_who_it_is_called() -> None:
    """Else tokens of another would be believed."""
    async with providing() as provider:
        settings = OidcSettings(provider.issuer.replace("127.0.0.1", "localhost"), CLIENT_ID)
        with pytest.raises(OidcFault, match="calls itself"):
            await Oidc(settings).begin("http://127.0.0.1/cb")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"code": "x", "state": "other"}, "not begun in this browser"),
        ({"code": "x"}, "not begun in this browser"),
        ({"state": "s"}, "gave no code"),
        ({"state": "s", "error": "access_denied"}, "access_denied"),
    ],
)
async def test_what_comes_back_must_fit(answer: dict[str, str], said: str) -> None:
    """Before anybody is asked."""
    pending = Pending("s", "n", "v", "http://127.0.0.1/cb", time.time() + 60)
    with pytest.raises(OidcFault, match=said):
        await Oidc(OidcSettings("http://127.0.0.1:9/realm", "x")).finish(pending, answer)


async def test_a_sign_in_must_not_take_too_long() -> None:
    """What the browser keeps is good for ten minutes."""
    pending = Pending("s", "n", "v", "http://127.0.0.1/cb", time.time() - 1)
    with pytest.raises(OidcFault, match="too long"):
        await Oidc(OidcSettings("http://127.0.0.1:9/realm", "x")).finish(pending, {"code": "x", "state": "s"})
