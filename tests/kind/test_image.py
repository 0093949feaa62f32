"""The image: small, without what it does not need, and content with very little."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kind.cluster import ROOT, run

LARGEST = 1_600_000_000

BARE = [
    *("docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"),
]
"""No capability, no network, and nothing to write to."""


def inside(image: str, *command: str) -> str:
    return run(*BARE, image, *command).stdout


def test_it_is_at_most_1600_megabytes_unpacked(image: str) -> None:
    [described] = json.loads(run("docker", "image", "inspect", image).stdout)
    assert described["Size"] <= LARGEST


def test_it_says_what_it_is_and_how_it_is_asked_for_its_health(image: str) -> None:
    [described] = json.loads(run("docker", "image", "inspect", image).stdout)
    labels = described["Config"]["Labels"]
    for name in ("title", "description", "licenses", "version", "revision", "source"):
        assert labels[f"org.opencontainers.image.{name}"]
    assert "/healthz" in " ".join(described["Config"]["Healthcheck"]["Test"])
    assert described["Config"]["User"] == "10001:10001"


@pytest.mark.parametrize("command", ["party", "deployer"])
def test_both_commands_run_in_it(image: str, command: str) -> None:
    assert "Usage" in inside(image, command, "--help")


def test_it_holds_no_compiler_no_tests_and_no_leftovers_of_the_build(image: str) -> None:
    code = """
import os, shutil
found = [name for name in ("gcc", "cc", "g++", "ld", "as", "make", "git") if shutil.which(name)]
for top in ("/opt", "/root", "/source", "/var/lib/apt/lists"):
    for folder, folders, files in os.walk(top):
        found += [f"{folder}/{name}" for name in folders if name in ("tests", ".cache")]
        found += [f"{folder}/{name}" for name in files if name.endswith((".a", ".c", ".h"))]
        found += [f"{folder}/{name}" for name in files if name.endswith("_test.py")]
print(found)
"""
    assert inside(image, "python", "-c", code).strip() == "[]"


def test_no_program_in_it_makes_its_user_another(image: str) -> None:
    found = "find / -xdev -type f -perm {} 2> /dev/null; true"
    assert inside(image, "sh", "-c", found.format("/6000")).strip() == ""
    assert "/bin/su" in inside(image, "sh", "-c", found.format("/0111")), "it looks everywhere"


def test_nothing_in_it_can_be_written_by_its_user_but_its_state(image: str) -> None:
    code = """
import os
found = []
for folder, folders, files in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/run/lock")):
        folders.clear()
        continue
    found += [folder] if os.access(folder, os.W_OK) else []
print(found)
"""
    command = ["docker", "run", "--rm", image, "python", "-c", code]
    assert run(*command).stdout.strip() == "['/state']"


def test_the_secure_computation_works_with_so_little(image: str) -> None:
    """The plan is built with TensorFlow, and lowered, without anything that was left out."""
    command = ["deployer", "run", "--output", "/tmp/out", "--cache", "/tmp/cache"]
    assert "feature_16" in inside(image, *command)


CANARY = b"yellow-canary-of-the-working-tree"
PLACES = (
    *("alice.csv", "keys/alice/tls.key", "out/alice/model.json", "values.yaml"),
    *("helm/keys/tls.key", "helm/mine.yaml", "k8s/authority.pem", "k8s/values.yaml"),
    *("party/tls.key", "party/table/bob.csv", "party/native/model.json"),
    *("deployer/keys/ca.key", "deployer/values.yaml", "deployer/k8s/mine/alice.csv"),
    *("examples/keys/bob/tls.key", "examples/mine/bob.csv", "examples/mine/values.yaml"),
    *("examples/fraud/out/alice/model.json", "examples/fraud/model.json"),
    *("examples/fraud/labels.csv", "examples/kubernetes/values.yaml"),
)
"""Where who builds the image may have left what is private."""


def in_layers(image: str, *wanted: bytes) -> set[bytes]:
    """Which of some words are in any layer of an image, its history or its settings."""
    found: set[bytes] = set()
    overlap = max(map(len, wanted)) - 1
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        tail = b""
        while piece := saving.stdout.read(1 << 22):
            found |= {word for word in wanted if word in tail + piece}
            tail = (tail + piece)[-overlap:]
    assert saving.returncode == 0
    return found


def test_no_layer_holds_what_lies_about_where_it_is_built(image: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    tracked = run("git", "-C", ROOT, "ls-files", "-z").stdout.split("\0")
    for name in filter(None, tracked):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, context / name, follow_symlinks=False)
    for name in PLACES:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_bytes(CANARY)
    run("docker", "build", "--tag", "tfe-kit-canary", context, timeout=1800)
    try:
        known = (ROOT / "party" / "process" / "errors.py").read_bytes()[:60]
        assert in_layers("tfe-kit-canary", CANARY, known) == {known}
    finally:
        run("docker", "image", "rm", "--force", "tfe-kit-canary")
