"""Nobody can slip another package in: each is pinned by its hashes, and the bill names them all."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_each_package_has_one_version_and_its_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert PINNED.match(line), line[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line[:80]
        assert "://" not in line and " @ " not in line


def test_they_are_installed_by_these_hashes_and_nothing_else_is() -> None:
    for file in ("Makefile", "Dockerfile"):
        text = (ROOT / file).read_text().replace("\\\n", " ")
        installs = [line for line in text.splitlines() if " install " in line and "-r " in line]
        assert installs
        assert all("--require-hashes" in line and "--no-deps" in line for line in installs)


def test_the_bill_of_an_image_has_its_packages_and_every_openssl(tmp_path: Path) -> None:
    """The script that runs in the image, here, where Debian's database says what it is told to."""
    told = "installed\tlibssl3t64\t3.5.1-1\tamd64\topenssl\t3.5.1-1\n"
    told += "config-files\tgone\t1\tall\tgone\t1\ninstalled\tzlib1g\t1:1.3\tamd64\tzlib\t1:1.3\n"
    (tmp_path / "dpkg-query").write_text(f"#!/bin/sh\ncat <<'END'\n{told}END\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "numpy"}]}
    made = subprocess.run(
        [sys.executable, "-c", (ROOT / ".ci/image_bill.py").read_text()],
        input=json.dumps(bill),
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(made.stdout)["components"]
    links = [one["purl"] for one in found if "purl" in one]
    assert found[0]["name"] == "numpy" and len(set(links)) == len(links) == len(found) - 1
    assert any(
        link.startswith("pkg:deb/debian/libssl3t64@3.5.1-1?arch=amd64&distro=")
        and link.endswith("&upstream=openssl%403.5.1-1")
        for link in links
    )
    assert any("zlib1g@1%3A1.3?" in link for link in links) and "gone" not in made.stdout
    versions = [one["version"] for one in found if one["name"] == "openssl"]
    assert versions[0] == ssl.OPENSSL_VERSION.split()[1] and len(versions) == 2


@pytest.mark.skipif(
    importlib.util.find_spec("cyclonedx_py") is None, reason="cyclonedx-bom is not installed"
)
def test_the_bill_of_materials_names_every_package_with_its_hashes(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(LOCK)]
    command += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
    subprocess.run([*command, "--output-file", str(bill)], check=True, cwd=ROOT, timeout=120)
    made = json.loads(bill.read_text())
    assert made["bomFormat"] == "CycloneDX"
    assert made["metadata"]["component"]["name"] == "tfe-kit"
    named = {(each["name"], each["version"]) for each in made["components"]}
    assert named == {(name, version) for name, version in PINNED.findall(LOCK.read_text())}
    for each in made["components"]:
        assert each["externalReferences"][0]["hashes"], each["name"]
