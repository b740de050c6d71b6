"""The control process's options over the leash: nothing of the settings is lost, and only there are secrets written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tokenway.compose.told import ControlOptions, decode, encode
from tokenway.control.config import load
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings

CONFIG = """
server: {port: 1, drain: 3s}
store: sqlite:////var/lib/x.db
auth: {keys: [{name: a, key: sk-12345678901234567, budget: {usd: 5.25, period: month}}]}
providers:
  lab: {base_url: "http://127.0.0.1:9/v1", api_keys: [sk-1, sk-2], quirks: {limit_field: max_tokens}, headers: {a: b}}
  other: {base_url: "http://127.0.0.1:9/v1"}
  bedrock: {aws: {access_key: AKIA, secret_key: hidden, region: eu-west-1}}
models:
  mock:
    endpoints:
      - {provider: lab, model: m, price: {input: 1, output: 2.5}, timeouts: {total: 5s}, limits: {rpm: 5}, weight: 2}
      - {provider: other, model: m, quantization: fp8}
    routing: {hedge: {at: p95, max_share: 0.1}, probe: {every: 1m, usd_per_day: 0.1}, sort: price, rescue: "on"}
    fallbacks: [z]
aliases: {z: mock}
"""


def test_settings_come_as_they_were(tmp_path: Path) -> None:
    """Every kind of setting, secrets included."""
    (tmp_path / "tokenway.yaml").write_text(CONFIG)
    settings = load(tmp_path / "tokenway.yaml", {}).demand()
    told = ControlOptions(settings, "tokenway.yaml", {"server.port": "0"}, "data", 8080, 8081)
    assert decode(encode(told)) == told
    assert decode(encode(told)).data == Path("data")
    assert told.settings.auth.keys[0].key == Secret("sk-12345678901234567")


def test_defaults_come_as_they_were() -> None:
    """Of an empty file."""
    told = ControlOptions(Settings(), None, {}, "data", 1, 2, is_first=False)
    assert decode(encode(told)) == told


def test_what_does_not_belong_there_is_refused() -> None:
    """Neither a secret in the clear nor anything that could not be read again."""
    told = ControlOptions(Settings(), None, {"a": object()}, "data", 1, 2)  # type: ignore[dict-item]
    with pytest.raises(NotImplementedError, match="object"):
        encode(told)
    assert "••••" in str(Secret("sk-1"))
    assert b"sk-1" not in msgspec.json.encode(repr(Secret("sk-1")))
