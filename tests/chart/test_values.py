"""One set of values drives both ways, and a wrong one is refused by both before all else."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deployer.manifests.reference import generated, values_schema
from deployer.manifests.render import Plan
from deployer.manifests.values import VERSION, Values, load_values
from party.agreement.job import load_job
from party.process.errors import InputError
from tests.chart.rendering import CHART, MATRIX, OFF, ROOT, helm, values

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"imagee": {}}, "did you mean 'image'?"),
    "an unknown key of a party": ({"bob": {"adress": "b:1"}}, "did you mean 'address'?"),
    "an unknown key deep inside": ({"alice": {"service": {"typ": "x"}}}, "did you mean 'type'?"),
    "an unknown key of the job": ({"job": {"epoch": 1}}, "there are "),
    "an unknown key of the training": (
        {"job": {"training": {"batchsize": 1}}},
        "did you mean 'batch_size'?",
    ),
    "a table for the third server": ({"server": {"tableSecret": "t"}}, ""),
    "a text for a number": ({"ports": {"party": "7000"}}, "ports.party"),
    "a number for a text": ({"image": {"tag": 1.10}}, "image.tag"),
    "a port beyond all ports": ({"ports": {"status": 65536}}, "ports.status"),
    "an unknown protocol": ({"job": {"protocol": "spdz"}}, "job.protocol"),
    "a name that DNS cannot have": ({"name": "Fraud_1"}, "name"),
    "an address without a port": ({"bob": {"address": "bob.example"}}, "bob.address"),
    "a default taken away": ({"job": {"rows": None}}, "job.rows"),
    "a seed that helm would round": (
        OFF | {"job": {"training": {"order_seed": 2**53}}},
        "order_seed",
    ),
    "a demo without bob": ({"bob": {"enabled": False}}, "set demo.enabled to false"),
    "a demo with bob elsewhere": ({"bob": {"address": "b:1"}}, "set demo.enabled to false"),
    "features twice": ({"job": {"features": ["a", "a"]}}, "features"),
    "a digest that is none": ({"image": {"digest": "sha256:abc"}}, "image.digest"),
}


@pytest.mark.parametrize("document, says", WRONG.values(), ids=WRONG.keys())
def test_the_deployer_refuses_and_says_what_to_do(document: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        values(document)
    assert says in str(refused.value)


@pytest.mark.parametrize("document, says", WRONG.values(), ids=WRONG.keys())
def test_helm_refuses_the_same(document: dict[str, Any], says: str) -> None:
    ran = helm("template", "fraud", str(CHART), document=document)
    assert ran.returncode != 0 and not ran.stdout


@pytest.mark.parametrize("document", MATRIX.values(), ids=MATRIX.keys())
def test_the_schema_takes_what_the_deployer_takes(document: dict[str, Any]) -> None:
    jsonschema.validate(values(document).document(), json.loads(values_schema()))


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(values_schema()))


def test_generated_files_are_up_to_date() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, f"{path.name}: run python -m deployer.manifests.reference"


def test_the_charts_values_are_the_deerrors() -> None:
    assert yaml.safe_load((CHART / "values.yaml").read_text()) == Values().document()


def test_every_value_says_what_it_means() -> None:
    rows = [line for line in (CHART / "README.md").read_text().splitlines() if line[:3] == "| `"]
    assert len(rows) > 50
    assert not [row for row in rows if row.rstrip(" |").endswith("`")]


def test_the_values_in_the_readme_are_right() -> None:
    (example,) = re.findall("^```yaml\n(.*?)^```$", (CHART / "README.md").read_text(), re.M | re.S)
    chosen = values(yaml.safe_load(example))
    assert [party.role for party in Plan(chosen).enabled] == ["alice"]


def test_the_demo_is_the_example() -> None:
    assert Values().job.digest == load_job(ROOT / "examples/fraud/job.yaml").digest


def test_kit_image_and_chart_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert project["version"] == VERSION == chart["version"] == str(chart["appVersion"])


def test_later_files_are_laid_over_earlier_ones(tmp_path: Path) -> None:
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text("alice: {labels: {a: '1', b: '2'}, tolerations: [{key: k}]}")
    above.write_text("alice: {labels: {b: '3'}, tolerations: []}")
    merged = load_values([below, above]).alice
    assert merged.labels == {"a": "1", "b": "3"}
    assert merged.tolerations == ()


@pytest.mark.parametrize("text", ["a: 1\na: 2", "- a", "a: [", "\0"])
def test_a_file_that_is_no_values_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        load_values([file])
    assert str(file) in str(refused.value)
