"""What watches the parties asks for what they tell."""

from __future__ import annotations

import json
import re
from typing import Any

from party.agreement.job import PARTIES
from party.reporting.documents import StatusDocument
from party.reporting.probes import _Collector
from tests.chart.rendering import OFF, by_deployer

ALL = {"serviceMonitor": True, "alerts": True, "dashboard": True}


def watching(**metrics: bool) -> list[dict[str, Any]]:
    kinds = ("ServiceMonitor", "PrometheusRule", "ConfigMap")
    made = by_deployer(OFF | {"metrics": metrics})
    return [
        one
        for one in made
        if one["kind"] in kinds[:2] or one["metadata"]["name"].endswith("-dashboard")
    ]


def told() -> set[str]:
    """The metrics that a party serves."""
    status = StatusDocument(
        party="bob", job="", epochs=1, steps=1, epoch=0, step=0, started="", updated="",
        certificate_expires="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    served = _Collector(lambda: status, lambda: {"bytes_sent": 1, "bytes_received": 1}).collect()
    return {sample.name for metric in served for sample in metric.samples}


def test_nothing_watches_unless_it_is_asked_for() -> None:
    assert watching() == []
    for key, kind in (
        ("serviceMonitor", "ServiceMonitor"),
        ("alerts", "PrometheusRule"),
        ("dashboard", "ConfigMap"),
    ):
        assert [one["kind"] for one in watching(**{key: True})] == [kind] * len(PARTIES)


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    named = set(re.findall(r"party_[a-z_]+", json.dumps(watching(**ALL))))
    assert {"party_phase", "party_step", "party_disk_full"} <= named <= told()


def test_alerts_are_of_the_partys_own_pod() -> None:
    for rule in watching(alerts=True):
        name = rule["metadata"]["name"]
        for alert in rule["spec"]["groups"][0]["rules"]:
            pods = set(re.findall(r'pod="([^"]*)"', alert["expr"]))
            assert pods == {f"{name}-0"}


def test_a_monitor_finds_its_partys_service_and_port() -> None:
    made = by_deployer(OFF | {"metrics": ALL})
    services = {one["metadata"]["name"]: one for one in made if one["kind"] == "Service"}
    for monitor in watching(serviceMonitor=True):
        service = services[monitor["metadata"]["name"]]
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        assert wanted <= service["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
        others = [one for name, one in services.items() if one is not service]
        assert not any(wanted <= one["metadata"]["labels"].items() for one in others)


def test_the_dashboard_is_json_whose_panels_do_not_overlap() -> None:
    (text,) = {one["data"]["tfe-kit.json"] for one in watching(dashboard=True)}
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(text)["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
