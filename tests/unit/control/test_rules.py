"""Rules about the server, keys and providers."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tokenway.control import rules
from tokenway.control.config import load
from tokenway.control.findings import Finding, Severity

GOOD_KEY = "sk-0123456789abcdef"


def found(text: str, directory: Path, environment: dict[str, str] | None = None) -> list[Finding]:
    """The findings about a configuration text, with a file `there` beside it."""
    (directory / "there").write_text("x")
    file = directory / "f.yaml"
    file.write_text(text)
    return list(load(file, environment or {}).findings)


@pytest.mark.parametrize(
    ("text", "line", "path", "severity", "reason"),
    [
        ("server: {port: 9, control_port: 9}", 1, "server.control_port", "error", "is 9 like the public port"),
        ('server:\n  host: ""', 2, "server.host", "error", "is empty"),
        ("server: {host: 0.0.0.0}\nauth: {required: false}", 2, "auth.required", "warning", "anybody may spend"),
        ("store: postgresql://a:secret@b", 1, "store", "error", "or postgresql://user:password@host:5432/database"),
        ("store: postgresql://a@b:port/c", 1, "store", "error", "expected sqlite:///"),
        ("store: mysql://a@b/c", 1, "store", "error", "expected sqlite:///"),
        ("store: tokenway.db", 1, "store", "error", "expected sqlite:///"),
        ("store: 'sqlite:///'", 1, "store", "error", "expected sqlite:///"),
        ("ledger: {hours: 47h}", 1, "ledger.hours", "error", "less than two days"),
        ("ledger: {retention: 1d}", 1, "ledger.retention", "error", "less than two days"),
        ("shared: http://x", 1, "shared", "error", "expected valkey://"),
        ("shared: valkey://:secret@host/first", 1, "shared", "error", "expected valkey://"),
        ("shared: valkey://a:secret@host:port", 1, "shared", "error", "expected valkey://"),
        ("shared: 'redis:///0'", 1, "shared", "error", "expected valkey://"),
        ("timeouts: {total: 40s}", 1, "timeouts.first_token", "warning", "never passes"),
        ('auth: {keys: [{name: a, key: ""}]}', 1, "auth.keys[0].key", "error", "is empty"),
        ("auth: {keys: [{name: a, key: a b}]}", 1, "auth.keys[0].key", "error", "holds a space"),
        ("auth: {keys: [{name: a, key: short}]}", 1, "auth.keys[0].key", "warning", "could be guessed"),
        (f'auth: {{keys: [{{name: "", key: {GOOD_KEY}}}]}}', 1, "auth.keys[0].name", "error", "is empty"),
        (
            f"auth:\n  keys:\n  - {{name: a, key: {GOOD_KEY}}}\n  - {{name: b, key: {GOOD_KEY}}}",
            4,
            "auth.keys[1].key",
            "error",
            "is the same key as 'a' at line 3",
        ),
        (
            f"auth:\n  keys:\n  - {{name: a, key: {GOOD_KEY}}}\n  - {{name: a, key: {GOOD_KEY}2}}",
            4,
            "auth.keys[1].name",
            "error",
            "'a' stands twice, first at line 3",
        ),
        ("providers:\n  opnai: {api_key: k}", 2, "providers.opnai", "error", "needs a base_url"),
        ("providers:\n  openai: {}", 2, "providers.openai", "error", "set OPENAI_API_KEY"),
        ("providers:\n  azure: {api_key: k}", 2, "providers.azure", "error", "set AZURE_OPENAI_ENDPOINT"),
        ("providers: {openai: {api_key: ''}}", 1, "providers.openai.api_key", "error", "is empty"),
        ("providers: {openai: {api_key: a, api_keys: [b]}}", 1, "providers.openai.api_keys", "error", "beside api_key"),
        ("providers: {openai: {api_keys: [a, a]}}", 1, "providers.openai.api_keys[1]", "warning", "stands twice"),
        (
            "providers: {openai: {api_key: k, dialect: gemini}}",
            1,
            "providers.openai.dialect",
            "error",
            "understands openai_chat, openai_responses, and others",
        ),
        ("providers: {a b: {base_url: http://x/v1}}", 1, "providers.a b", "error", "a provider's name"),
        ("providers: {x: {base_url: nope}}", 1, "providers.x.base_url", "error", "expected an address"),
        ("providers: {x: {base_url: 'http://localhost:8080/v1'}}", 1, "providers.x.base_url", "error", "own address"),
        ("providers: {llamacpp: }", 1, "providers.llamacpp.base_url", "error", "own address"),
        (
            "providers: {x: {base_url: http://y/v1, headers: {Host: z}}}",
            1,
            "providers.x.headers.Host",
            "error",
            "cannot",
        ),
        (
            'providers: {x: {base_url: http://y, headers: {a: "1\\n2"}}}',
            1,
            "providers.x.headers.a",
            "error",
            "one line",
        ),
        (
            "providers: {x: {base_url: http://y, models: {a: there}}}",
            1,
            "providers.x.models",
            "error",
            "only the provider",
        ),
        ("providers: {x: {like: opnai, api_key: k}}", 1, "providers.x.like", "error", "not a provider that is known"),
        ("providers: {x: {like: openai}}", 1, "providers.x", "error", "needs credentials"),
        ("providers: {local: {api_key: k}}", 1, "providers.local", "error", "takes `enabled` and `models` only"),
        ("providers: {local: {models: {a: nowhere}}}", 1, "providers.local.models.a", "error", "there is no file"),
    ],
)
def test_each_rule_finds_its_mistake(
    text: str, line: int, path: str, severity: str, reason: str, tmp_path: Path
) -> None:
    """A mistake is one finding, at the line and setting where it was made."""
    (finding,) = found(text, tmp_path)
    assert (finding.line, finding.path, finding.severity) == (line, path, severity)
    assert reason in finding.reason


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: 0, control_port: 0}",
        "server: {host: 0.0.0.0}",
        "auth: {required: false}",
        "store: sqlite:////tmp/x.db",
        f"auth: {{keys: [{{name: a, key: {GOOD_KEY}, budget: 5.00}}]}}",
        "providers: {openai: {api_key: k}}",
        "providers: {openai: {base_url: http://127.0.0.1:9/v1}}",
        "providers: {ollama: }",
        "providers: {x: {base_url: 'http://localhost:9000/v1', headers: {x-team: blue}}}",
        "providers: {local: {models: {a: there}}}",
        "providers: {local: {enabled: false}}",
        "providers: {openai: {enabled: false}, x: {enabled: false}}",
        "server: {tls: null}\nshared: null",
        "shared: valkey://host:6379/0",
        "shared: rediss://user:password@host/7?ssl_ca_certs=/etc/ca.pem",
        "shared: redis://host",
    ],
)
def test_what_is_right_is_left_alone(text: str, tmp_path: Path) -> None:
    """A rule that fires on a good configuration would be a rule that people learn to ignore."""
    assert found(text, tmp_path) == []


def test_credentials_may_come_from_the_environment(tmp_path: Path) -> None:
    """A known provider that is named without a key takes the usual variable."""
    assert found("providers: {openai: {}}", tmp_path, {"OPENAI_API_KEY": "sk-1"}) == []


@pytest.mark.parametrize(
    ("provider", "environment", "is_there"),
    [
        ("openai: {api_key: '${MINE:-}'}", {}, False),
        ("openai: {api_key: '${MINE:-}'}", {"MINE": ""}, False),
        ("azure: {api_key: '${MINE:-}'}", {"AZURE_OPENAI_ENDPOINT": "https://a.example"}, False),
        ("openai: {api_key: '${MINE:-}'}", {"MINE": "sk-1"}, True),
        ("openai: {api_key: '${MINE:-}'}", {"OPENAI_API_KEY": "sk-1"}, True),
        ("openai: {api_key: '${MINE:-}', api_keys: [sk-1]}", {}, True),
        ("openai: {api_key: '${MINE:-}', base_url: 'http://127.0.0.1:9/v1'}", {}, True),
        ("own: {api_key: '${MINE:-}', base_url: 'http://127.0.0.1:9/v1'}", {}, True),
    ],
)
def test_a_known_provider_whose_key_may_be_absent_is_left_out_without_it(
    provider: str, environment: dict[str, str], is_there: bool, tmp_path: Path
) -> None:
    """The start goes on, models that name it too, and a note says why it is not there."""
    file = tmp_path / "f.yaml"
    name = provider.partition(":")[0]
    file.write_text(f"providers: {{{provider}}}\nmodels: {{m: {{endpoints: [{{provider: {name}, model: x}}]}}}}")
    loaded = load(file, environment)
    assert loaded.settings is not None
    assert (name in loaded.settings.providers) == is_there
    notes = [(finding.path, finding.severity) for finding in loaded.findings]
    assert notes == ([] if is_there else [(f"providers.{name}.api_key", "note")])


@pytest.mark.parametrize("key", ["''", "'${EMPTY}'", "null"])
def test_a_key_that_may_not_be_absent_stops_the_start(key: str, tmp_path: Path) -> None:
    """Only `${NAME:-}` says that there may be none."""
    file = tmp_path / "f.yaml"
    file.write_text(f"providers: {{openai: {{api_key: {key}}}}}")
    assert load(file, {"EMPTY": ""}).settings is None


ACCOUNT = {
    "GOOGLE_APPLICATION_CREDENTIALS": "key.json",
    "GOOGLE_CLOUD_PROJECT": "p",
    "GOOGLE_CLOUD_LOCATION": "global",
}


@pytest.mark.parametrize(
    ("text", "environment", "is_there", "is_noted"),
    [
        ("", ACCOUNT, False, True),
        ("", ACCOUNT, True, False),
        ("", ACCOUNT | {"GOOGLE_CLOUD_PROJECT": ""}, False, False),
        ("", ACCOUNT | {"GOOGLE_APPLICATION_CREDENTIALS": ""}, False, False),
        ("", ACCOUNT | {"GOOGLE_OAUTH_ACCESS_TOKEN": "ya29"}, False, False),
        ("providers: {vertex: {api_key: b}}", ACCOUNT, False, False),
        ("providers: {vertex: {enabled: false}}", ACCOUNT, False, False),
    ],
)
def test_a_credentials_file_without_its_package_is_noted(
    text: str,
    environment: dict[str, str],
    is_there: bool,
    is_noted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has one for Vertex AI learns why that is not enabled, and what enables it."""
    monkeypatch.setattr("tokenway.control.rules.reads_accounts", lambda: is_there)
    findings = [str(finding) for finding in found(text, tmp_path, environment)]
    note = "$GOOGLE_APPLICATION_CREDENTIALS: note: Google Vertex AI is not enabled: it needs the extra `vertex`"
    assert findings == ([f"{note}, or a token in GOOGLE_OAUTH_ACCESS_TOKEN"] if is_noted else [])


@pytest.mark.parametrize(
    ("text", "is_there", "expected"),
    [
        ("providers: {vertex: {credentials: there.json}}", True, None),
        ("providers: {vertex: {credentials: there.json}}", False, "needs the package google-auth"),
        ("providers: {vertex: {credentials: gone.json}}", True, "there is no file"),
        ("providers: {openai: {api_key: k, credentials: there.json}}", True, "is for Vertex AI only"),
    ],
)
def test_a_credentials_file_must_be_of_use(
    text: str, is_there: bool, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, its package too, and its provider takes one."""
    monkeypatch.setattr("tokenway.control.rules.reads_accounts", lambda: is_there)
    (tmp_path / "there.json").write_text("{}")
    reasons = [str(finding) for finding in found(text, tmp_path, ACCOUNT)]
    assert len(reasons) == (0 if expected is None else 1)
    assert all(expected in reason for reason in reasons if expected is not None)


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("providers: {bedrock: {}}", {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r"}, []),
        ("providers: {bedrock: {aws: {access_key: A, secret_key: s, region: r}, base_url: 'https://x'}}", {}, []),
        (
            "providers: {bedrock: {aws: {access_key: A, secret_key: s}, base_url: 'https://x'}}",
            {},
            [("providers.bedrock.aws.region", "is not said: write it here or set AWS_REGION")],
        ),
        ("providers: {bedrock: {aws: {access_key: A, secret_key: s, region: r}}}", {}, []),
        (
            "providers: {bedrock: {aws: {access_key: A, secret_key: s}, base_url: 'https://bedrock-runtime.r.amazonaws.com'}}",
            {},
            [],
        ),
        (
            "providers: {bedrock: {api_key: k}}",
            {},
            [("providers.bedrock", "needs an address: write base_url here or set AWS_REGION")],
        ),
        (
            "providers: {openai: {api_key: k, aws: {access_key: A, secret_key: s}}}",
            {},
            [("providers.openai.aws", "signs requests of the dialect bedrock only; write api_key for another one")],
        ),
        (
            "providers: {bedrock: {aws: {access_key: A, secret_key: ''}}}",
            {"AWS_REGION": "r"},
            [("providers.bedrock.aws.secret_key", "is empty")],
        ),
    ],
)
def test_signing_keys_do_instead_of_a_key(
    text: str, environment: dict[str, str], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Bedrock takes them from the environment or from its line, with a region."""
    assert [(finding.path, finding.reason) for finding in found(text, tmp_path, environment)] == expected


@pytest.mark.parametrize(
    ("address", "environment", "is_warned"),
    [
        ("https://bedrock-runtime.us-west-2.amazonaws.com", {}, True),
        ("https://bedrock-runtime.us-west-2.amazonaws.com", {"AWS_BEARER_TOKEN_BEDROCK": "k"}, False),
        (
            "https://bedrock-runtime.us-west-2.amazonaws.com",
            {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s"},
            False,
        ),
        ("https://proxy.example", {}, False),
    ],
)
def test_an_address_of_the_providers_own_needs_credentials(
    address: str, environment: dict[str, str], is_warned: bool, tmp_path: Path
) -> None:
    """A server in front of it may have them; the provider itself does not answer without."""
    findings = found(f"providers: {{bedrock: {{base_url: '{address}'}}}}", tmp_path, environment)
    assert [finding.severity for finding in findings] == (["warning"] if is_warned else [])
    assert all("AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID" in finding.reason for finding in findings)


@pytest.mark.parametrize(
    ("quirk", "value", "hint"),
    [
        ("limit_field", "max_token", ("max_tokens",)),
        ("limit_field", "max_tokens", None),
        ("reasoning_field", "reasoning_detail", ("reasoning_details",)),
        ("reasoning_field", "''", None),
        ("prefill", "prefixed", ("prefix",)),
        ("prefill", "''", None),
    ],
)
def test_a_quirk_that_is_a_word_is_one_of_those_known(
    quirk: str, value: str, hint: tuple[str, ...] | None, tmp_path: Path
) -> None:
    """A slip would only show in a provider's refusal, or in what it forgets."""
    findings = found(f"providers: {{lab: {{base_url: 'http://x.example/v1', quirks: {{{quirk}: {value}}}}}}}", tmp_path)
    expected = [] if hint is None else [(f"providers.lab.quirks.{quirk}", hint[0])]
    assert [(finding.path, finding.nearest[0]) for finding in findings] == expected


def test_a_key_that_could_not_be_read_is_reported_once(tmp_path: Path) -> None:
    """A variable that is missing is one mistake, not two."""
    (finding,) = found("providers: {openai: {api_key: '${NOPE}'}}", tmp_path)
    assert "NOPE" in finding.reason


def test_no_finding_shows_a_key(tmp_path: Path) -> None:
    """Keys that are wrong, doubled or weak are named by their place."""
    text = "auth: {keys: [{name: a, key: zq one}, {name: b, key: zq one}, {name: c, key: zqzq}]}\n"
    text += "providers: {openai: {api_keys: [zq 1, zqzq, zqzq]}, groq: {api_key: [zq]}}"
    findings = found(text, tmp_path)
    assert len(findings) >= 5
    assert all("zq" not in str(finding) for finding in findings)


def test_settings_without_effect_are_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is written, a setting of a later version is one note that counts its places."""
    later = (("models", "*", "endpoints", "*", "weight"), Severity.NOTE, "this version does not use it")
    monkeypatch.setattr(rules, "NOT_YET", (later,))
    endpoint = "{provider: local, model: local, weight: 2}"
    text = f"models: {{a: {{endpoints: [{endpoint}]}}, b: {{endpoints: [{endpoint}]}}}}"
    (note,) = found(text, tmp_path)
    assert note.severity == "note"
    assert note.path == "models.a.endpoints[0].weight"
    assert "2 places" in note.reason


def test_files_are_looked_up_beside_the_configuration(tmp_path: Path) -> None:
    """A relative path starts at the directory of the file, and one that leads nowhere is found."""
    (finding,) = found("server: {tls: {cert: there, key: nowhere}}", tmp_path)
    assert (finding.path, finding.severity) == ("server.tls.key", "error")


def test_a_certificate_is_tried_with_its_key(tmp_path: Path) -> None:
    """A pair that belongs together is fine; another's key and a file that is no certificate are not."""
    authority = trustme.CA()
    for name in ("a", "b"):
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    assert found("server: {tls: {cert: a.pem, key: a.key}}", tmp_path) == []
    for cert, key in (("a.pem", "b.key"), ("there", "a.key")):
        (finding,) = found(f"server: {{tls: {{cert: {cert}, key: {key}}}}}", tmp_path)
        assert (finding.path, finding.severity) == ("server.tls", "error")


def test_a_database_on_a_server_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the ways that PostgreSQL's own programs take; without the driver it is said what to install."""
    for url in ("postgresql://a:b@c:5432/d?sslmode=require", "postgres://c/d", "postgresql:///d?host=/run/postgresql"):
        assert found(f"store: {url}", tmp_path) == []
    monkeypatch.setattr("tokenway.control.rules.find_spec", lambda _name: None)
    (finding,) = found("store: postgresql://a:secret@c/d", tmp_path)
    assert "install tokenway[postgres]" in finding.reason
    assert "secret" not in str(finding)
