"""Access tokens for Vertex AI: when they are asked for, and how."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import pytest

from tokenway.control.publish import Facts, build_snapshot
from tokenway.control.vertex import RENEW_BEFORE, Token, TokenFault, Tokens, credentials_of, fetch_token, files_in_use
from tokenway.model.secret import Secret
from tokenway.model.settings import ProviderSettings, Settings

ENVIRONMENT = {
    "GOOGLE_APPLICATION_CREDENTIALS": "usual.json",
    "GOOGLE_CLOUD_PROJECT": "p",
    "GOOGLE_CLOUD_LOCATION": "global",
}


def test_tokens_are_renewed_before_their_end() -> None:
    """Once while they hold; those of files that nobody uses are forgotten; a failure keeps the old one and is told."""
    asked: list[str] = []
    said: list[str] = []

    def fetch(file: str) -> Token:
        asked.append(file)
        if file == "broken":
            raise TokenFault("no such account")
        return Token(Secret(f"{file}-{len(asked)}"), 1000.0 + RENEW_BEFORE)

    tokens = Tokens(fetch, said.append)
    assert tokens.renew(["a", "broken"], 0)
    assert tokens.by_file == {"a": Secret("a-1")}
    assert "no such account" in said[0]
    assert not tokens.renew(["a"], 999)
    assert tokens.renew(["a"], 1000)
    assert tokens.by_file == {"a": Secret("a-3")}
    assert tokens.renew([], 1001)
    assert tokens.by_file == {}
    assert asked == ["a", "broken", "a"]


@pytest.mark.parametrize(
    ("written", "environment", "file"),
    [
        (ProviderSettings(), ENVIRONMENT, "usual.json"),
        (ProviderSettings(credentials="own.json"), ENVIRONMENT, "own.json"),
        (ProviderSettings(api_key=Secret("k"), credentials="own.json"), ENVIRONMENT, None),
        (ProviderSettings(), ENVIRONMENT | {"GOOGLE_OAUTH_ACCESS_TOKEN": "t"}, None),
        (ProviderSettings(), {}, None),
    ],
)
def test_a_key_goes_before_a_credentials_file(
    written: ProviderSettings, environment: dict[str, str], file: str | None
) -> None:
    """And what was written before the variable."""
    assert credentials_of("vertex", written, environment) == file


def test_files_of_enabled_providers_are_in_use() -> None:
    """By a line or by the environment alone; others have none."""
    settings = Settings(
        providers={
            "mine": ProviderSettings(like="vertex", credentials="mine.json"),
            "off": ProviderSettings(enabled=False, like="vertex", credentials="off.json"),
            "openai": ProviderSettings(),
        }
    )
    assert files_in_use(settings, ENVIRONMENT, ["vertex", "groq"]) == {"mine.json", "usual.json"}


def test_a_token_is_published_as_a_key() -> None:
    """A worker need not know where it came from; without one the provider is there and waits for it."""
    settings = Settings(providers={"vertex": ProviderSettings(credentials="own.json")})

    def keys(tokens: dict[str, Secret]) -> tuple[Secret, ...]:
        snapshot = build_snapshot(
            settings, keys={}, environment=ENVIRONMENT, local=None, version=1, facts=Facts(tokens=tokens)
        )
        return snapshot.providers["vertex"].api_keys

    assert keys({"own.json": Secret("ya29")}) == (Secret("ya29"),)
    assert keys({"usual.json": Secret("other")}) == ()


class TokenServer(BaseHTTPRequestHandler):
    """Where a credentials file sends its request."""

    forms: list[dict[str, list[str]]] = []  # noqa: RUF012 - one list for all requests of a test

    def do_POST(self) -> None:
        """Gives a token for an hour, or refuses a grant that it does not know."""
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.forms.append(form)
        is_good = form.get("refresh_token", ["r1"]) == ["r1"]
        body = {"access_token": "ya29.x", "expires_in": 3600} if is_good else {"error": "invalid_grant"}
        data = json.dumps(body).encode()
        self.send_response(200 if is_good else 400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def token_uri() -> object:
    """The address of a token server on this machine."""
    TokenServer.forms.clear()
    server = HTTPServer(("127.0.0.1", 0), TokenServer)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()
    thread.join()
    server.server_close()


def service_account(token_uri: str) -> dict[str, str]:
    """A service account with a key of its own."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "client_email": "gateway@p.example",
        "private_key": key.decode(),
        "private_key_id": "1",
        "token_uri": token_uri,
    }


def test_a_service_account_signs_for_its_token(token_uri: str, tmp_path: Path) -> None:
    """One request to the address in the file, and a token that ends in an hour."""
    pytest.importorskip("google.oauth2.service_account", reason="the extra `vertex` is not installed")
    file = tmp_path / "account.json"
    file.write_text(json.dumps(service_account(token_uri)))
    token = fetch_token(str(file))
    assert token.secret == Secret("ya29.x")
    assert 3500 < token.ends_at - time.time() < 3700
    assert len(TokenServer.forms[0]["assertion"][0].split(".")) == 3


def test_a_users_file_does_too_and_a_refusal_is_a_sentence(
    token_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word of what is in the file."""
    pytest.importorskip("google.oauth2.credentials", reason="the extra `vertex` is not installed")
    # Such a file is always sent to Google's own address.
    monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", token_uri)
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s3cret"}
    file = tmp_path / "user.json"
    file.write_text(json.dumps(user | {"refresh_token": "r1"}))
    assert fetch_token(str(file)).secret == Secret("ya29.x")
    file.write_text(json.dumps(user | {"refresh_token": "revoked"}))
    with pytest.raises(TokenFault, match="RefreshError") as raised:
        fetch_token(str(file))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "AttributeError"),
        ("{}", "neither"),
        (None, "No such file"),
    ],
)
def test_other_files_give_no_token(text: str | None, reason: str, tmp_path: Path) -> None:
    """Each with what is wrong with it."""
    pytest.importorskip("google.oauth2.service_account", reason="the extra `vertex` is not installed")
    file = tmp_path / "x.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(TokenFault, match=reason):
        fetch_token(str(file))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words that a person types."""
    monkeypatch.setattr("tokenway.control.vertex.reads_accounts", lambda: False)
    with pytest.raises(TokenFault, match=r"pip install 'tokenway\[vertex\]'"):
        fetch_token("any.json")


def test_only_addresses_with_tls_are_asked(tmp_path: Path) -> None:
    """A credentials file does not make this process send a signed request in the open."""
    pytest.importorskip("google.oauth2.service_account", reason="the extra `vertex` is not installed")
    file = tmp_path / "account.json"
    file.write_text(json.dumps(service_account("http://tokens.example/token")))
    with pytest.raises(TokenFault, match="TLS"):
        fetch_token(str(file))
