"""Budgets and limits of the configuration, as a snapshot has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tokenway.control.config import load
from tokenway.control.publish import build_snapshot
from tokenway.control.quotas import bound_by, ids_by_subject, limits_of, of_fixed, parse_moment
from tokenway.model.limits import Limit, Measure, OnOutage, Scope, Term
from tokenway.model.money import NANO_PER_USD, NanoUsd
from tokenway.model.quotas import Unpriced
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Principal

TEXT = """
auth:
  keys:
  - name: ci
    key: sk-0123456789abcdef
    project: web
    user: ann
    budget: {usd: 5, period: day}
    limits: {rpm: 60, tpm: 100000, input_tpm: 80000, output_tpm: 20000, concurrency: 8}
    max_cost: 0.25
    models: ["gpt-*", claude]
    endpoints: [lab, openai/gpt-4o]
    addresses: [10.0.0.0/8]
    expires: 2030-01-31
projects:
  web:
    budget: {usd: 100, period: month, rolling: true}
    limits: {rpm: 600}
    markup: 0.1
    on_outage: refuse
    prepaid: true
    run: {calls: 50, tokens: 200000, usd: 1.5, depth: 3, loops: 4}
limits: {queue: 2s}
models:
  claude:
    endpoints: [{provider: lab, model: c}]
    quota: {budget: 20, limits: {concurrency: 4}}
providers: {lab: {base_url: "http://x/v1"}}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """All that can be written."""
    file = tmp_path / "tokenway.yaml"
    file.write_text(TEXT)
    return load(file, {}).demand()


def test_every_limit_that_is_written_is_there(settings: Settings) -> None:
    """By an id that says what it is of, so that it stays the same when its amount changes."""
    key, web, model = (Scope.KEY, "config:ci"), (Scope.PROJECT, "web"), (Scope.MODEL, "claude")
    minute = Term.MINUTE
    expected = [
        Limit("config:key:ci:usd:day", *key, Measure.USD, 5 * NANO_PER_USD, Term.DAY),
        Limit("config:key:ci:requests:minute", *key, Measure.REQUESTS, 60, minute),
        Limit("config:key:ci:tokens:minute", *key, Measure.TOKENS, 100_000, minute),
        Limit("config:key:ci:input_tokens:minute", *key, Measure.INPUT_TOKENS, 80_000, minute),
        Limit("config:key:ci:output_tokens:minute", *key, Measure.OUTPUT_TOKENS, 20_000, minute),
        Limit("config:key:ci:concurrency:total", *key, Measure.CONCURRENCY, 8),
        Limit("config:project:web:usd:month:rolling", *web, Measure.USD, 100 * NANO_PER_USD, Term.MONTH, rolling=True),
        Limit("config:project:web:requests:minute", *web, Measure.REQUESTS, 600, minute),
        Limit("config:project:web:requests:run", *web, Measure.REQUESTS, 50, per_run=True),
        Limit("config:project:web:tokens:run", *web, Measure.TOKENS, 200_000, per_run=True),
        Limit("config:project:web:usd:run", *web, Measure.USD, 3 * NANO_PER_USD // 2, per_run=True),
        Limit("config:project:web:depth:run", *web, Measure.DEPTH, 3, per_run=True),
        Limit("config:project:web:loops:run", *web, Measure.LOOPS, 4, per_run=True),
        Limit("credits:web", *web, Measure.USD, 7),
        Limit("config:model:claude:usd:total", *model, Measure.USD, 20 * NANO_PER_USD),
        Limit("config:model:claude:concurrency:total", *model, Measure.CONCURRENCY, 4),
    ]
    assert limits_of(settings, {"web": 7}) == {each.id: each for each in expected}


def test_without_any_there_are_none() -> None:
    """Nothing is bound that nobody has bound."""
    assert limits_of(Settings(), {}) == {}
    principal = Principal("key_1", "laptop", "default")
    assert bound_by(principal, Settings(), {}) == principal


def test_a_key_is_bound_by_its_own_its_projects_and_its_users(settings: Settings) -> None:
    """And may do what stands beside it; what its project is charged and wants in an outage goes along."""
    limits = limits_of(settings, {})
    anns = Limit("lim_1", Scope.USER, "ann", Measure.USD, 5)
    found = bound_by(of_fixed(settings.auth.keys[0]), settings, limits | {"lim_1": anns})
    assert found == Principal(
        "config:ci",
        "ci",
        "web",
        user="ann",
        limits=(
            *ids_by_subject(limits.values(), Scope.KEY)["config:ci"],
            *(ids_by_subject(limits.values(), Scope.PROJECT)["web"]),
            "lim_1",
        ),
        expires_at=1_896_048_000.0,
        max_cost=NanoUsd(NANO_PER_USD // 4),
        models=("gpt-*", "claude"),
        endpoints=("lab", "openai/gpt-4o"),
        addresses=("10.0.0.0/8",),
        markup=100_000,
        on_outage=OnOutage.REFUSE,
    )


def test_limits_that_are_bound_already_stay(settings: Settings) -> None:
    """Each once, whoever else knows of it."""
    limits = limits_of(settings, {})
    other = bound_by(Principal("key_1", "x", "web", limits=("lim_9", "credits:web")), settings, limits)
    assert other.limits[:2] == ("lim_9", "credits:web")
    assert len(set(other.limits)) == len(other.limits)


def test_a_snapshot_has_them_and_those_of_models(settings: Settings) -> None:
    """With how long a call may wait at a rate."""
    snapshot = build_snapshot(settings, keys={}, environment={}, local=None, version=1)
    assert snapshot.limits == limits_of(settings, {})
    assert snapshot.limits["credits:web"].amount == 0
    assert snapshot.model_limits == {
        "claude": ("config:model:claude:usd:total", "config:model:claude:concurrency:total")
    }
    assert snapshot.queue == 2.0
    assert not snapshot.refuses_unpriced
    strict = replace(settings, limits=replace(settings.limits, unpriced=Unpriced.REFUSE))
    assert build_snapshot(strict, keys={}, environment={}, local=None, version=1).refuses_unpriced


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-02", 86_400.0),
        ("1970-01-02T00:00:01Z", 86_401.0),
        (" 1970-01-02T01:00:00+01:00", 86_400.0),
        ("1970-01-02 00:00", 86_400.0),
    ],
)
def test_a_day_begins_in_utc(text: str, at: float) -> None:
    """Unless a zone says otherwise."""
    assert parse_moment(text) == at


@pytest.mark.parametrize("text", ["", "soon", "2030-13-01", "2030-02-30"])
def test_what_is_no_day_is_refused(text: str) -> None:
    """By ValueError, for whoever has to say where it stands."""
    with pytest.raises(ValueError, match=r"."):
        parse_moment(text)
