"""Rules about budgets, and about what keys may be used for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenway.control.config import load
from tokenway.control.findings import Finding

KEY = "name: a, key: sk-0123456789abcdef"


def found(text: str, directory: Path) -> list[Finding]:
    """The findings about a configuration text."""
    file = directory / "f.yaml"
    file.write_text(text)
    return list(load(file, {}).findings)


@pytest.mark.parametrize(
    ("text", "path", "severity", "reason"),
    [
        (f"auth: {{keys: [{{{KEY}, addresses: [10.0.0.0/33]}}]}}", "addresses[0]", "error", "a network such as"),
        (f"auth: {{keys: [{{{KEY}, addresses: [10.0.0.0/8, home]}}]}}", "addresses[1]", "error", "got 'home'"),
        (f"auth: {{keys: [{{{KEY}, addresses: []}}]}}", "addresses", "warning", "nothing is allowed"),
        (f"auth: {{keys: [{{{KEY}, models: []}}]}}", "models", "warning", "leave it out to allow all"),
        (f"auth: {{keys: [{{{KEY}, endpoints: [opnai/x]}}]}}", "endpoints[0]", "error", "'opnai' is not a provider"),
        (f"auth: {{keys: [{{{KEY}, expires: soon}}]}}", "expires", "error", "expected a day such as 2030-01-31"),
        (
            f"auth: {{keys: [{{{KEY}, budget: {{usd: 1, rolling: true}}}}]}}",
            "budget.rolling",
            "error",
            "needs a period",
        ),
        (f"auth: {{keys: [{{{KEY}, limits: {{rpm: 0}}}}]}}", "limits.rpm", "error", "a whole number from 1"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_at_its_place(
    tmp_path: Path, text: str, path: str, severity: str, reason: str
) -> None:
    """One finding, in words that say what to write."""
    [finding] = found(text, tmp_path)
    assert (finding.path, finding.severity.value) == (f"auth.keys[0].{path}", severity)
    assert reason in finding.reason


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("projects: {web: {budget: {usd: 1, rolling: true}}}", "projects.web.budget.rolling", "does not roll"),
        ("projects: {web: {markup: -2}}", "projects.web.markup", "a share from -1 to 1000"),
        ("projects: {web: {markup: 1000.000001}}", "projects.web.markup", "a share from -1 to 1000"),
        ("projects: {web: {markup: 0.1234567}}", "projects.web.markup", "with at most six decimals such as 0.125"),
        ("projects: {web: {markup: 10%}}", "projects.web.markup", "a share from -1 to 1000"),
        ("projects: {web: {on_outage: stop}}", "projects.web.on_outage", "one of serve, refuse"),
        ("projects: {web: {run: {calls: -1}}}", "projects.web.run.calls", "a whole number from 1"),
        ("projects: {web: {budget: much}}", "projects.web.budget.usd", "an amount of USD"),
        ("limits: {queue: 700s}", "limits.queue", "to 10m"),
    ],
)
def test_what_is_wrong_elsewhere_is_said_at_its_place(tmp_path: Path, text: str, path: str, reason: str) -> None:
    """Of projects, and of what happens at limits."""
    [finding] = found(text, tmp_path)
    assert finding.path == path
    assert reason in finding.reason


def test_a_models_budget_that_rolls_needs_a_period(tmp_path: Path) -> None:
    """As any other."""
    endpoints = "endpoints: [{provider: lab, model: m, price: {input: 1, output: 1}}]"
    text = f"""
providers: {{lab: {{base_url: "http://x/v1"}}}}
models: {{m: {{{endpoints}, quota: {{budget: {{usd: 1, rolling: true}}}}}}}}
"""
    [finding] = found(text, tmp_path)
    assert finding.path == "models.m.quota.budget.rolling"


def test_what_is_right_is_not_talked_about(tmp_path: Path) -> None:
    """An address is a network of one; a provider that is known need not be enabled."""
    text = f"auth: {{keys: [{{{KEY}, addresses: [192.0.2.1, '2001:db8::/32'], endpoints: [openai, local]}}]}}"
    assert found(text, tmp_path) == []


SERVER = "providers: {lab: {dialect: openai_chat, base_url: 'http://lab:8000/v1'}}\n"
BOUNDS = [
    f"auth: {{keys: [{{{KEY}, budget: 5}}]}}",
    f"auth: {{keys: [{{{KEY}, max_cost: 5}}]}}",
    "projects: {web: {budget: 5}}",
    "projects: {web: {prepaid: true}}",
    "projects: {web: {run: {usd: 5}}}",
]


@pytest.mark.parametrize("bound", BOUNDS)
def test_where_money_is_bounded_an_endpoint_without_a_price_is_told_of(tmp_path: Path, bound: str) -> None:
    """Unless it has one, which may be nothing, or it is written that it may serve."""
    free = "{provider: lab, model: x, price: {input: 0, output: 0}}"
    models = f"models: {{m: {{endpoints: [{free}, {{provider: lab, model: y}}]}}}}\n"
    [finding] = found(SERVER + models + bound, tmp_path)
    assert (finding.path, finding.severity.value) == ("models.m.endpoints[1]", "warning")
    assert "has no price, so its calls take nothing of budgets and credits" in finding.reason
    assert found(SERVER + models + bound + "\nlimits: {unpriced: serve}", tmp_path) == []


def test_a_price_is_not_missed_without_need(tmp_path: Path) -> None:
    """Where no money is bounded, where the price book may know it, and where a model's own budget is."""
    models = "models: {m: {endpoints: [{provider: lab, model: y}]%s}}\n"
    assert found(SERVER + models % "", tmp_path) == []
    assert len(found(SERVER + models % ", quota: {budget: 5}", tmp_path)) == 1
    known = "providers: {openai: {api_key: sk-x}}\nmodels: {m: {endpoints: [{provider: openai, model: y}]}}\n"
    assert found(known + BOUNDS[2], tmp_path) == []


def test_what_refuses_endpoints_without_a_price_says_so(tmp_path: Path) -> None:
    """They are there for nothing, whether money is bounded or not."""
    models = "models: {m: {endpoints: [{provider: lab, model: y}]}}\n"
    [finding] = found(SERVER + models + "limits: {unpriced: refuse}", tmp_path)
    assert (finding.path, finding.severity.value) == ("models.m.endpoints[0]", "warning")
    assert "nothing is sent to it" in finding.reason
