"""The files in deploy/ for several machines: what they start exists, and what they promise each other fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from turnlane.cli.main import command_line

from .pages import ROOT

DEPLOY = ROOT / "deploy"
UNITS = ("turnlane-front-end.service", "turnlane-worker@.service")
STREAM_GRACE = 3.0
"""Seconds that open streams get after the drain."""


def manifests() -> list[dict[str, Any]]:
    files = ("kubernetes.yaml", "kubernetes-migrate.yaml")
    return [one for file in files for one in yaml.safe_load_all((DEPLOY / file).read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in manifests() if one["kind"] == kind]


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(name, spec, its one container) of every pod that serves."""
    for deployment in of_kind("Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        [container] = spec["containers"]
        yield deployment["metadata"]["name"], spec, container


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def grace_of(arguments: list[str]) -> float:
    [grace] = [float(one.partition("=")[2]) for one in arguments if one.startswith("--grace=")]
    return grace


# --- commands ---


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_starts_a_command_that_exists(unit: str) -> None:
    [start] = re.findall(r"^ExecStart=(.*)$", (DEPLOY / unit).read_text(), re.MULTILINE)
    command_line().parse_args(start.split()[1:])


def test_containers_start_commands_that_exist() -> None:
    arguments = [container["args"] for _, _, container in pods()]
    arguments += [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in of_kind("Job")]
    arguments += [service["command"] for service in compose()["services"].values() if "command" in service]
    assert len(arguments) == 5
    for words in arguments:
        target = [] if words == ["migrate"] else ["agents.py"]  # the image's TURNLANE_TARGET
        command_line().parse_args([*words, *target])


# --- time to stop ---


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_waits_longer_than_the_drain(unit: str) -> None:
    text = (DEPLOY / unit).read_text()
    [grace] = re.findall(r"TURNLANE_GRACE=(\d+)", text)
    [patience] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert float(patience) > float(grace) + STREAM_GRACE


def test_kubernetes_waits_longer_than_the_drain() -> None:
    for name, spec, container in pods():
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        needed = float(sleep[1]) + grace_of(container["args"]) + STREAM_GRACE
        assert spec["terminationGracePeriodSeconds"] > needed, name


def test_compose_waits_longer_than_the_drain() -> None:
    for name in ("front-end", "worker"):
        service = compose()["services"][name]
        patience = float(service["stop_grace_period"].removesuffix("s"))
        assert patience > float(service["environment"]["TURNLANE_GRACE"]) + STREAM_GRACE


# --- probes and selectors ---


def test_probes_ask_a_port_that_is_open_there() -> None:
    for _, _, container in pods():
        [port] = container["ports"]
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
        assert [probe["port"] for probe in probes] == [port["name"]] * 3
        # Alive is not ready: nobody is restarted because the database is away.
        assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
        flags = [one for one in container["args"] if one.startswith("--health-port=")]
        assert port["containerPort"] == (int(flags[0].partition("=")[2]) if flags else 8080)


def test_selectors_find_their_pods() -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in of_kind("Deployment")]
    found = [one["spec"]["selector"] for one in of_kind("Service")]
    found += [
        one["spec"]["selector"]["matchLabels"] for one in (*of_kind("PodDisruptionBudget"), *of_kind("Deployment"))
    ]
    assert len(found) == 5
    for selector in found:
        assert sum(selector.items() <= of.items() for of in labels) == 1


def test_every_pod_gets_the_secret() -> None:
    [secret] = of_kind("Secret")
    assert {"TURNLANE_ENGINE", "TURNLANE_API_KEYS"} <= secret["stringData"].keys()
    for _, _, container in pods():
        assert container["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
