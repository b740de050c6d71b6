"""`tokenway models` and `tokenway endpoints`: the gateway's catalogue as a table and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run, StubGateway

MODELS = [
    {"id": "local", "owned_by": "local", "description": "A demonstration."},
    {
        "id": "a/b",
        "owned_by": "lab",
        "context_length": 8192,
        "pricing": {"prompt": "0.00000005", "completion": "0.0000015"},
    },
]
ENDPOINTS = {
    "id": "a/b",
    "endpoints": [
        {
            "tag": "lab/b",
            "quantization": "fp8",
            "grade": {"weights": "fp8_block"},
            "pricing": {"prompt": "0.00000005", "completion": "0.0000015"},
            "context_length": 8192,
            "status": 0,
            "latency_last_30m": {"p50": 250, "p90": 1204.4},
            "throughput_last_30m": {"p50": 74.26},
            "uptime_last_30m": 99.962,
            "tokenway": {"breaker": "closed", "requests_last_30m": 7},
        },
        {"name": "other/b", "latency_last_30m": None, "throughput_last_30m": None, "uptime_last_30m": None},
    ],
}


@pytest.fixture
def catalogue(stub: StubGateway) -> StubGateway:
    """A gateway with two models, one of which has two endpoints."""
    alias = {"id": "short", "canonical_slug": "a/b", "owned_by": "lab"}
    stub.serves("/v1/models", {"data": [*MODELS, alias]})
    stub.serves("/v1/models/local/endpoints", {"data": {"id": "local", "endpoints": []}})
    stub.serves("/v1/models/a/b/endpoints", {"data": ENDPOINTS})
    return stub


def test_models_are_listed_with_dollars_per_million(catalogue: StubGateway, tokenway: Run) -> None:
    """Prices are exact and per million tokens; what is not known is a dash."""
    done = tokenway("models", "--base-url", catalogue.base_url)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[1] == ["local", "local", "–", "–", "–", "A demonstration."]
    assert lines[2] == ["a/b", "lab", "0.05", "1.5", "8192", "–"]


def test_what_is_sold_by_the_piece_does_not_look_free(stub: StubGateway, tokenway: Run) -> None:
    """A dash is no zero; a model that is free has zeros."""
    free = {"prompt": "0", "completion": "0", "request": "0"}
    models = [{"id": "w", "pricing": free | {"sound_hour": "0.36"}}, {"id": "f", "pricing": free}]
    stub.serves("/v1/models", {"data": models})
    lines = [line.split("\t") for line in tokenway("models", "--base-url", stub.base_url).stdout.splitlines()]
    assert [(line[0], *line[2:4]) for line in lines[1:]] == [("w", "–", "–"), ("f", "0", "0")]


def test_models_as_json_are_what_the_gateway_said(catalogue: StubGateway, tokenway: Run) -> None:
    """The JSON form leaves nothing out."""
    assert json.loads(tokenway("models", "--json", "--base-url", catalogue.base_url).stdout)[:2] == MODELS


def test_no_models_are_a_sentence(stub: StubGateway, tokenway: Run) -> None:
    """An empty catalogue prints nothing to standard output."""
    stub.serves("/v1/models", {"data": []})
    done = tokenway("models", "--base-url", stub.base_url)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no model" in done.stderr


def test_endpoints_of_one_model_show_what_was_measured(catalogue: StubGateway, tokenway: Run) -> None:
    """Time to the first token in seconds, speed in tokens per second; dashes until measured. Its name is left out."""
    done = tokenway("endpoints", "a/b", "--base-url", catalogue.base_url)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines == [
        ["endpoint", "grade", "$/M", "TTFT s", "tok/s", "up %", "state"],
        ["lab/b", "fp8_block", "0.05/1.5", "0.25/1.2", "74.3", "100.0", "ok"],
        ["other/b", "–", "–", "–", "–", "–", "–"],
    ]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"status": 0, "tokenway": {"breaker": "closed", "requests_last_30m": 200}}, "ok"),
        ({"status": -1, "tokenway": {"breaker": "closed", "requests_last_30m": 200}}, "degraded"),
        ({"status": -2, "tokenway": {"breaker": "closed", "requests_last_30m": 200}}, "failing"),
        ({"status": -2, "tokenway": {"breaker": "open", "requests_last_30m": 200}}, "open"),
        ({"status": 0, "tokenway": {"breaker": "probing", "requests_last_30m": 0}}, "probing"),
        ({"status": 0, "tokenway": {"breaker": "closed", "requests_last_30m": 0}}, "–"),
        ({"status": 0, "tokenway": {"requests_last_30m": 0, "probes_last_30m": 1}}, "ok"),
        ({"status": 0}, "–"),
    ],
)
def test_the_state_is_what_keeps_calls_away(
    stub: StubGateway, tokenway: Run, fields: dict[str, object], state: str
) -> None:
    """The breaker first, then how often it was answered; nothing is said of one that was not called."""
    stub.serves("/v1/models/m/endpoints", {"data": {"id": "m", "endpoints": [{"tag": "p/m"} | fields]}})
    done = tokenway("endpoints", "m", "--base-url", stub.base_url)
    assert done.stdout.splitlines()[1].split("\t")[-1] == state


def test_a_row_fits_a_terminal_of_a_hundred_columns(
    stub: StubGateway, tokenway: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every figure there is; if a name is too long, it is the name that is broken."""
    long = ENDPOINTS["endpoints"][0] | {  # type: ignore[operator]
        "tag": "openrouter/meta-llama/llama-3.3-70b-instruct",
        "tokenway": {"breaker": "probing"},
        "latency_last_30m": {"p50": 2_250, "p90": 21_204.4},
    }
    short = long | {"tag": "groq/llama-3.3-70b-versatile"}
    model = {"id": "llama-3.3-70b", "endpoints": [short, long]}
    stub.serves("/v1/models", {"data": [{"id": "llama-3.3-70b"}]})
    stub.serves("/v1/models/llama-3.3-70b/endpoints", {"data": model})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    done = tokenway("endpoints", "--base-url", stub.base_url)
    title, first, *others = re.sub(r"\x1b\[\d*m", "", done.stdout).splitlines()
    assert max(map(len, [title, first, *others])) <= 100
    assert first.split() == [
        *("llama-3.3-70b", "groq/llama-3.3-70b-versatile", "fp8_block", "0.05/1.5", "2.25/21.2", "74.3", "100.0"),
        "probing",
    ]
    assert "2.25/21.2" in others[0]


def test_endpoints_of_all_models_are_one_list(catalogue: StubGateway, tokenway: Run) -> None:
    """Without a name every model is asked for, and an alias of one is not asked for again."""
    found = json.loads(tokenway("endpoints", "--json", "--base-url", catalogue.base_url).stdout)
    assert [one["id"] for one in found] == ["local", "a/b"]


def test_an_unknown_model_is_the_gateways_sentence(catalogue: StubGateway, tokenway: Run) -> None:
    """Exit status 1 and what the gateway said."""
    done = tokenway("endpoints", "nope", "--base-url", catalogue.base_url)
    assert (done.returncode, done.stderr) == (1, "tokenway: There is no such path.\n")


def test_prices_that_disagree_are_shown_without_a_gateway(
    tokenway: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a table and as JSON, in dollars per million tokens."""
    config = tmp_path / "f.yaml"
    config.write_text(
        "providers: {openai: {api_key: k}}\n"
        "models: {a: {endpoints: [{provider: openai, model: gpt-4o, "
        "price: {input: 2.5, output: 11, cache_read: 1.25}}]}}"
    )
    found = json.loads(tokenway("models", "--check", "--json", "--config", str(config)).stdout)
    row = {"provider": "openai", "model": "gpt-4o", "rate": "output", "source": "configuration", "says": "11"}
    assert row | {"against": "price book", "against_says": "10"} in found
    lines = tokenway("models", "--check", "--config", str(config)).stdout.splitlines()
    assert "openai\tgpt-4o\toutput\tconfiguration\t11\tprice book\t10" in lines
