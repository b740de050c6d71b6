"""What `tokenway check` says."""

from __future__ import annotations

import json
from pathlib import Path

from tokenway.control.check import describe, render_json, render_text, run_check
from tokenway.control.config import load
from tokenway.control.findings import Finding, Severity

EXAMPLE = Path(__file__).parents[3] / "examples" / "tokenway.yaml"


def test_the_example_can_be_used() -> None:
    """What people copy first has no error and no warning, with and without provider keys."""
    for environment in ({}, {"OPENAI_API_KEY": "sk-1", "TOKENWAY_CI_KEY": "sk-fixed-0123456789"}):
        findings = run_check(EXAMPLE, environment)
        assert [str(finding) for finding in findings if finding.severity is not Severity.NOTE] == []


def test_check_finds_the_file_that_serve_would_use(tmp_path: Path) -> None:
    """Without a path the search order is the one of `serve`."""
    file = tmp_path / "c.yaml"
    file.write_text("serve: {}\n")
    (finding,) = run_check(None, {"TOKENWAY_CONFIG": str(file)})
    assert (finding.file, finding.line, finding.nearest[0]) == (str(file), 1, "server")


def test_text_has_a_line_for_each_finding_and_a_sum() -> None:
    """The last line says whether the configuration can be used."""
    findings = [
        Finding("f", 1, "a", "wrong", ("b",)),
        Finding("f", 2, "", "odd", (), Severity.WARNING),
        Finding("f", 3, "", "odd", (), Severity.WARNING),
    ]
    assert render_text(findings).splitlines() == [
        "f:1: error: a: wrong (did you mean 'b'?)",
        "f:2: warning: odd",
        "f:3: warning: odd",
        "The configuration cannot be used: 1 error, 2 warnings.",
    ]
    assert render_text([]) == "The configuration can be used: nothing to remark."


def test_json_carries_every_field() -> None:
    """A program gets the same facts as a person."""
    shown = json.loads(render_json([Finding("f", 1, "a", "odd", ("b",), Severity.NOTE)]))
    finding = {"file": "f", "line": 1, "path": "a", "reason": "odd", "nearest": ["b"], "severity": "note"}
    assert shown == {"ok": True, "findings": [finding]}
    assert json.loads(render_json([Finding("f", 1, "a", "wrong")]))["ok"] is False


def test_a_description_counts_what_is_configured(tmp_path: Path) -> None:
    """Providers by name, those of the environment included; the rest by number."""
    file = tmp_path / "f.yaml"
    file.write_text("providers: {lab: {base_url: http://127.0.0.1:9/v1}}\naliases: {a: local, b: local}\n")
    environment = {"GROQ_API_KEY": "g"}
    assert describe(load(file, environment), environment) == (
        f"{file}: providers groq, lab; 0 models, 2 aliases, 0 fixed keys"
    )
    assert describe(load(None, {}), {}).startswith("no configuration file: providers none;")
    file.write_text("providers: {lab: {base_url: http://127.0.0.1:9/v1, enabled: false}}\n")
    assert describe(load(file, {}), {}).startswith(f"{file}: providers none;")


def test_a_description_says_what_probes_may_cost(tmp_path: Path) -> None:
    """Of all models together, exactly; nothing where nothing is probed."""
    file = tmp_path / "f.yaml"
    model = "{endpoints: [{provider: lab, model: m}, {provider: lab, model: n}], routing: {probe: {usd_per_day: %s}}}"
    models = f"models: {{a: {model % 0.1}, b: {model % 0.2}, c: {{endpoints: [{{provider: lab, model: m}}]}}}}"
    file.write_text(f"providers: {{lab: {{base_url: http://127.0.0.1:9/v1}}}}\n{models}\n")
    assert describe(load(file, {}), {}).endswith("; probes of 2 models for up to 0.3 USD a day")
