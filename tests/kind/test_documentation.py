"""The commands of docs/kubernetes.md, from top to bottom, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.kind.cluster import ROOT, Cluster, run

pytestmark = pytest.mark.in_turn

PAGE = ROOT / "docs" / "kubernetes.md"
NAMESPACES = ("bank", "police", "helper")


def section(heading: str) -> str:
    """The commands under a heading."""
    text = PAGE.read_text(encoding="utf-8")
    [part] = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", part, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def folder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as a reader has it, on a cluster as the page makes it."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("helm", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    # The cluster and the image are there already: the page's own commands for them were run, with
    # other names, by the fixtures `cluster` and `image`.
    programs = folder / "programs"
    programs.mkdir()
    done_before = {
        "kind": "create cluster|load docker-image tfe-kit:0.1.0",
        "docker": "build --tag tfe-kit:0.1.0 .",
    }
    for name, known in done_before.items():
        program = programs / name
        cases = known.replace("|", '"|"')
        program.write_text(f'#!/bin/sh\ncase "$*" in "{cases}") ;; *) exit 1 ;; esac\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    # The image has another tag here.
    repository, _, tag = cluster.image.rpartition(":")
    chart = folder / "helm" / "values.yaml"
    text = chart.read_text()
    text = text.replace("repository: tfe-kit", f"repository: {repository}")
    chart.write_text(text.replace("tag: 0.1.0", f"tag: {tag}"))
    yield folder
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found", "--wait=false")


def read_out(folder: Path, cluster: Cluster, commands: str, timeout: float = 600) -> str:
    path = f"{folder / 'programs'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = folder / "page.sh"
    script.write_text(f"set -euo pipefail\ncd {folder}\n{commands}")
    return run("bash", script, env=cluster.environment | {"PATH": path}, timeout=timeout).stdout


def test_the_demo(folder: Path, cluster: Cluster) -> None:
    said = read_out(folder, cluster, section("The demo, on your own machine"))
    assert "feature_16" in said
    assert "Phase:          Succeeded" in said


def test_three_namespaces_then_three_clusters(folder: Path, cluster: Cluster) -> None:
    tag = cluster.image.rpartition(":")[2]
    commands = section("Three organisations, three namespaces")
    # The deployer has the image's own name and tag from the values.
    commands = commands.replace(
        "demo: {enabled: false}", f"demo: {{enabled: false}}\nimage: {{tag: {tag}}}"
    )
    said = read_out(folder, cluster, commands)
    assert "the model of the job 'fraud'" in said

    said = read_out(folder, cluster, section("A table on a volume"))
    assert "claim fraud-alice-table" in said and "copied" in said

    # Three contexts for one cluster, with the addresses that the parties have in it.
    current = yaml.safe_load(cluster.kubectl("config", "view", "--minify", "--output=yaml").stdout)
    context = current["contexts"][0]["context"]
    for name in NAMESPACES:
        cluster.kubectl(
            *("config", "set-context", name, f"--namespace={name}"),
            *(f"--cluster={context['cluster']}", f"--user={context['user']}"),
        )
    commands = section("Three clusters")
    for party, name in zip(("alice", "bob", "server"), NAMESPACES, strict=True):
        inside = f"fraud-{party}-0.fraud-{party}.{name}.svc.cluster.local"
        commands = commands.replace(f"{party}.{name}.example", inside)
    assert ".example:" not in commands
    # No load balancer here, and none is needed.
    commands = commands.replace("LoadBalancer", "NodePort")
    said = read_out(folder, cluster, commands)
    assert "feature_16" in said
