"""Rules about models, fallbacks and aliases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenway.control.config import load
from tokenway.control.findings import Finding, Severity
from tokenway.control.model_rules import alias_chain, is_model_name

LAB = "providers: {lab: {base_url: http://127.0.0.1:9/v1}}\n"


def found(text: str, directory: Path, environment: dict[str, str] | None = None) -> list[Finding]:
    """The findings about a configuration text."""
    file = directory / "f.yaml"
    file.write_text(text)
    return [finding for finding in load(file, environment or {}).findings if finding.severity != "note"]


def model(endpoint: str = "provider: lab, model: m", more: str = "") -> str:
    """A configuration with one model `a` at line 2."""
    return f"{LAB}models: {{a: {{endpoints: [{{{endpoint}}}]{more}}}}}\n"


def twice(more: str, second: str = "provider: local, model: local") -> str:
    """A configuration with a model of two endpoints."""
    return f"{LAB}models: {{a: {{endpoints: [{{{PRICED}}}, {{{second}}}], {more}}}}}\n"


PRICED = "provider: lab, model: m, price: {input: 1, output: 2}"
PROBE = "routing: {probe: {usd_per_day: %s}}"


@pytest.mark.parametrize(
    ("text", "path", "severity", "reason", "nearest"),
    [
        (model("provider: lob, model: m"), "models.a.endpoints[0].provider", "error", "no provider 'lob'", ("lab",)),
        (model("provider: groq, model: m"), "models.a.endpoints[0].provider", "error", "set GROQ_API_KEY", ()),
        (model("provider: ollama, model: m"), "models.a.endpoints[0].provider", "error", "add `ollama: {}`", ()),
        (
            model("provider: local, model: locol"),
            "models.a.endpoints[0].model",
            "error",
            "no model 'locol'",
            ("local",),
        ),
        (model("provider: lab, model: a b"), "models.a.endpoints[0].model", "error", "without spaces", ()),
        (
            LAB + "models: {a: {endpoints: [{provider: lab, model: m, limits: {rpm: 9}}]}, "
            "b: {endpoints: [{provider: lab, model: m}]}}",
            "models.b.endpoints[0].limits",
            "warning",
            "is not as at line 2",
            (),
        ),
        (model(more=", fallbacks: [a]"), "models.a.fallbacks[0]", "error", "back on itself", ()),
        (model(more=", fallbacks: [locale]"), "models.a.fallbacks[0]", "error", "no model that can", ("local",)),
        (model(more=", fallbacks: [gpt-4o]"), "models.a.fallbacks[0]", "warning", "set OPENAI_API_KEY", ()),
        (model(more=", routing: {hedge: {at: 90}}"), "models.a.routing.hedge.at", "error", "p1 to p99", ()),
        (model(PRICED, f", {PROBE % 1}"), "models.a.routing.probe", "warning", "nothing is probed", ()),
        (twice(PROBE % 1, "provider: lab, model: n"), "models.a.endpoints[1]", "warning", "has no price", ()),
        (twice(PROBE % 0), "models.a.routing.probe.usd_per_day", "error", "an amount of USD above 0", ()),
        (twice("routing: {probe: {every: 1m}}"), "models.a.routing.probe.usd_per_day", "error", "is required", ()),
        (
            twice("routing: {probe: {every: 9s, usd_per_day: 1}}"),
            "models.a.routing.probe.every",
            "error",
            "from 10s to 24h",
            (),
        ),
        (
            model("provider: lab, model: m, quantization: fp8, grade: {weights: fp8}"),
            "models.a.endpoints[0].quantization",
            "error",
            "beside grade",
            (),
        ),
        (
            model("provider: lab, model: m, grade: {kv_cache: pf8}"),
            "models.a.endpoints[0].grade.kv_cache",
            "warning",
            "no number format",
            ("fp8",),
        ),
        (
            model("provider: lab, model: m, price: {input: 0.0000005, output: 1}"),
            "models.a.endpoints[0].price.input",
            "warning",
            "is the unit right",
            (),
        ),
        (
            model("provider: lab, model: m, capabilities: {context: 10, max_output: 20}"),
            "models.a.endpoints[0].capabilities.max_output",
            "warning",
            "more than",
            (),
        ),
        (LAB + "models: {a: {endpoints: []}}", "models.a.endpoints", "error", "is empty", ()),
        (LAB + "models: {a: {}}", "models.a.endpoints", "error", "is required", ()),
        (LAB + "models: {a b: {endpoints: [{provider: lab, model: m}]}}", "models.a b", "error", "without spaces", ()),
        (LAB + "aliases: {x: lokal}", "aliases.x", "error", "no model that can", ("local",)),
        (LAB + "aliases: {x: x}", "aliases.x", "error", "x → x", ()),
        (LAB + "aliases: {x: claude-3-5-sonnet}", "aliases.x", "warning", "set ANTHROPIC_API_KEY", ()),
        (LAB + "aliases: {x: anthropic/claude}", "aliases.x", "warning", "Anthropic, which is not enabled", ()),
    ],
)
def test_each_rule_finds_its_mistake(
    text: str, path: str, severity: str, reason: str, nearest: tuple[str, ...], tmp_path: Path
) -> None:
    """A mistake is one finding at its setting, with the names that were likely meant."""
    (finding,) = found(text, tmp_path)
    assert (finding.line, finding.path, finding.severity) == (2, path, severity)
    assert reason in finding.reason
    assert finding.nearest[:1] == nearest


def test_an_endpoint_stands_once_in_a_model(tmp_path: Path) -> None:
    """Two entries for one endpoint would have one name in the ledger."""
    endpoint = "{provider: lab, model: m}"
    (finding,) = found(f"{LAB}models: {{a: {{endpoints: [{endpoint}, {endpoint}]}}}}", tmp_path)
    assert (finding.path, finding.severity) == ("models.a.endpoints[1]", "error")


def test_each_alias_of_a_circle_is_found(tmp_path: Path) -> None:
    """So is the way round, and an alias that leads into the circle."""
    findings = found("aliases: {a: b, b: a, c: a}", tmp_path)
    assert [finding.path for finding in findings] == ["aliases.a", "aliases.b", "aliases.c"]
    assert "a → b → a" in findings[0].reason


def test_an_alias_behind_a_model_is_a_warning(tmp_path: Path) -> None:
    """The model of the same name goes first."""
    (finding,) = found(model() + "aliases: {a: local}", tmp_path)
    assert (finding.path, finding.severity) == ("aliases.a", "warning")


@pytest.mark.parametrize(
    "text",
    [
        model(),
        model("provider: openai, model: gpt-4o"),
        model("provider: lab, model: m, quantization: q4_k_m"),
        model("provider: lab, model: m, price: {input: 0, output: 0, request: 0.01}"),
        model(more=", fallbacks: [local, lab/other, gpt-4o]"),
        twice(PROBE % 0.5),
        twice(PROBE % 0.5, "provider: openai, model: gpt-4o"),
        LAB + "aliases: {a: b, b: c, c: local, d: openai/gpt-4o, e: o3-mini}",
    ],
)
def test_what_is_right_is_left_alone(text: str, tmp_path: Path) -> None:
    """Names that a caller can reach are no findings, whichever way they are reached."""
    assert found(text, tmp_path, {"OPENAI_API_KEY": "sk-1"}) == []


def test_a_provider_with_a_mistake_is_still_a_provider(tmp_path: Path) -> None:
    """One mistake does not make findings of everything that depends on it."""
    (finding,) = found(model().replace("base_url: http", "bse_url: x, base_url: http"), tmp_path)
    assert finding.path == "providers.lab.bse_url"


@pytest.mark.parametrize(
    ("models", "chain"),
    [(set(), ["x", "y", "z"]), ({"y"}, ["x", "y"]), ({"x"}, ["x", "y", "z"])],
)
def test_a_chain_of_aliases_ends_at_a_model(models: set[str], chain: list[str]) -> None:
    """A name in the middle that is a model ends it, because models go first."""
    assert alias_chain("x", {"x": "y", "y": "z"}, models) == chain


@pytest.mark.parametrize(
    ("name", "good"), [("gpt-4o", True), ("a/b:c", True), ("", False), ("a b", False), ("x" * 257, False)]
)
def test_a_models_name_fits_a_header(name: str, good: bool) -> None:
    """Printable, without spaces, of bounded length."""
    assert is_model_name(name) is good


def test_a_provider_that_is_switched_off_is_no_error(tmp_path: Path) -> None:
    """Endpoints, fallbacks and aliases that lead to it are warned about, so one line is enough to switch it off."""
    text = (
        "providers: {local: {enabled: false}, lab: {base_url: 'http://127.0.0.1:9/v1', enabled: false}}\n"
        "models: {a: {endpoints: [{provider: lab, model: m}], fallbacks: [local]}}\n"
        "aliases: {b: lab/other, c: a}\n"
    )
    findings = found(text, tmp_path)
    assert {finding.path for finding in findings} == {
        "models.a.endpoints[0].provider",
        "models.a.fallbacks[0]",
        "aliases.b",
    }
    assert {finding.severity for finding in findings} == {Severity.WARNING}
    assert all("switched off" in finding.reason for finding in findings)
