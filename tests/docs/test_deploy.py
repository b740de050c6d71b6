"""The deployments: what stands in them is what the program understands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tokenway.cli.main import command_paths
from tokenway.control.config import load
from tokenway.control.findings import Severity
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tools.tree import ROOT

DEPLOY: Final = ROOT / "deploy"
MANIFESTS: Final = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    """The YAML documents of a file."""
    return [dict(each) for each in yaml.safe_load_all(path.read_text())]


def gateway() -> dict[str, Any]:
    """The pod of a node."""
    found = [each for each in documents(DEPLOY / "kubernetes" / "gateway.yaml") if each["kind"] == "StatefulSet"]
    return dict(found[0]["spec"]["template"]["spec"])


def secrets() -> dict[str, str]:
    """The environment that the example of the secrets gives a node."""
    (secret,) = documents(DEPLOY / "kubernetes" / "secret.example.yaml")
    return dict(secret["stringData"])


def settings() -> Settings:
    """The shared configuration, read as a node reads it."""
    loaded = load(DEPLOY / "tokenway.yaml", secrets(), {})

    assert [str(each) for each in loaded.findings if each.severity is Severity.ERROR] == []
    return loaded.demand()


def test_the_shared_configuration_is_one_that_a_node_can_use() -> None:
    """With the variables of the example, which are all that it needs."""
    found = settings()

    assert found.server.host == "0.0.0.0"
    assert found.store == Secret(secrets()["TOKENWAY_DATABASE"])
    assert found.shared == Secret(secrets()["TOKENWAY_SHARED"])


def test_both_deployments_have_the_same_configuration() -> None:
    """Kustomize takes no file from outside its folder, so there are two."""
    assert (DEPLOY / "kubernetes" / "tokenway.yaml").read_text() == (DEPLOY / "tokenway.yaml").read_text()


def test_nodes_may_drain_before_they_are_killed() -> None:
    """The platform waits longer than the gateway lets streams go on, the pause before the signal included."""
    drain = settings().server.drain
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())

    assert gateway()["terminationGracePeriodSeconds"] > drain + 5
    assert int(compose["services"]["node-1"]["stop_grace_period"].removesuffix("s")) > drain


def test_the_commands_of_the_containers_exist() -> None:
    """As the command line has them."""
    pod = gateway()
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    used = [each["args"][0] for each in (*pod["initContainers"], *pod["containers"])] + [
        compose["migrate"]["command"][0]
    ]

    assert {(word,) for word in used} <= set(command_paths())


def test_probes_ask_paths_that_there_are_on_ports_that_are_named() -> None:
    """A probe of a wrong path would keep every node from ever being ready."""
    (container,) = gateway()["containers"]
    ports = {each["name"] for each in container["ports"]}
    probes = [container[name]["httpGet"] for name in ("readinessProbe", "livenessProbe")]

    assert [each["path"] for each in probes] == ["/health/ready", "/health/live"]
    assert {each["port"] for each in probes} <= ports
    assert "http-check expect status 200" in (DEPLOY / "haproxy.cfg").read_text()


def test_a_journal_outlives_its_node() -> None:
    """The data directory of a node is on a volume, in both deployments."""
    (container,) = gateway()["containers"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    data = "/var/lib/tokenway"

    assert data in {each["mountPath"] for each in container["volumeMounts"]}
    assert [compose["services"][name]["volumes"] for name in ("node-1", "node-2")] == [
        [f"node-1:{data}"],
        [f"node-2:{data}"],
    ]
    assert f"TOKENWAY_DATA_DIR={data}" in (DEPLOY / "Dockerfile").read_text()


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_name_what_they_are(path: Path) -> None:
    """Every document has a kind and a version, and what selects pods finds them."""
    for each in documents(path):
        if path.name != "tokenway.yaml":
            assert {"apiVersion", "kind"} <= each.keys()
        template = each.get("spec", {}).get("template") if each.get("kind") in {"StatefulSet", "Deployment"} else None
        if template is not None:
            assert each["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_kustomize_is_given_every_manifest() -> None:
    """One that is not listed would be forgotten; the secrets are each operator's own."""
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    others = {"kustomization.yaml", "secret.example.yaml", "tokenway.yaml"}

    assert set(kustomization["resources"]) == {path.name for path in MANIFESTS if path.name not in others} | {
        "secret.yaml"
    }
