"""One set of values drives both ways, and a wrong one is refused by both before all else."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployer.manifests.reference import generated, values_schema
from deployer.manifests.render import Facts
from deployer.manifests.values import VERSION, Values, load_values, parse_values
from party.agreement.job import load_job
from party.process.errors import InputError
from tests.chart.rendering import CHART, MATRIX, OFF, ROOT, helm, scoring_queue, values

SCORES: dict[str, Any] = {
    "features": {"alice": ["a"], "bob": ["b"]},
    "model": {"kind": "joint-scores", "holder": "alice", "trained_by": "0" * 64},
}


def scoring(**change: Any) -> dict[str, Any]:
    return OFF | {"job": SCORES | change}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"imagee": {}}, "did you mean 'image'?"),
    "an unknown key of a party": ({"bob": {"adress": "b:1"}}, "did you mean 'address'?"),
    "an unknown key deep inside": ({"alice": {"service": {"typ": "x"}}}, "did you mean 'type'?"),
    "an unknown key of the job": ({"job": {"epoch": 1}}, "there are "),
    "a privacy of nothing": ({"job": {"privacy": {}}}, "labels or weights"),
    "a privacy of both": (
        {
            "job": {
                "privacy": {
                    "labels": {"epsilon": 3},
                    "weights": {"epsilon": 3, "delta": 1e-6, "norm": 2},
                }
            }
        },
        "labels or weights",
    ),
    "an unknown key of the training": (
        {"job": {"training": {"batch_siz": 1, "epochs": 1}}},
        "did you mean 'batch_size'?",
    ),
    "a table for the third server": ({"server": {"tableSecret": "t"}}, ""),
    "two volumes for one table": (
        OFF | {"bob": {"tableVolume": {"existingClaim": "c", "size": "1Gi"}}},
        "either existingClaim or size",
    ),
    "a class for a volume that is there": (
        OFF | {"bob": {"tableVolume": {"existingClaim": "c", "storageClass": "fast"}}},
        "storageClass goes with size",
    ),
    "a table on a volume and in Secrets": (
        OFF | {"alice": {"tableVolume": {"size": "1Gi"}, "tableParts": 9}},
        "leave out tableSecret and tableParts, or tableVolume",
    ),
    "a table on a volume and in Secrets of one's own": (
        OFF | {"alice": {"tableVolume": {"size": "1Gi"}, "tableSecret": "mine"}},
        "leave out tableSecret and tableParts, or tableVolume",
    ),
    "a path that leaves the volume": (
        OFF | {"alice": {"tableVolume": {"size": "1Gi", "path": "a/../../keys"}}},
        "not a path below the volume's root",
    ),
    "a demo with a volume": (
        {"alice": {"tableVolume": {"size": "1Gi"}}},
        "set demo.enabled to false",
    ),
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
    "a column of an unknown type": (
        {"job": {"columns": {"feature_1": {"type": "text"}}}},
        "type is number, category, boolean or date",
    ),
    "a column that the job does not have": (
        OFF | {"job": {"columns": {"height": "number"}}},
        "is neither a feature nor the label",
    ),
    "features twice": ({"job": {"features": ["a", "a"]}}, "features"),
    "two jobs of one name": ({"jobs": [{"name": "a"}, {"name": "a"}]}, "two have the name"),
    "a job of several without a name": ({"jobs": [{"protocol": "aby3"}]}, "name"),
    "a job of several with a table of its own": (
        {"jobs": [{"name": "a", "rows": 5}]},
        "is no key of a job of several",
    ),
    "a column that the table of several jobs does not have": (
        {"jobs": [{"name": "a", "features": ["feature_1", "height"]}]},
        "is not among the columns that job says",
    ),
    "a column of the other holder's table": (
        {"jobs": [{"name": "a", "features": {"alice": ["feature_2"], "bob": ["feature_1"]}}]},
        "is not among the columns that job says",
    ),
    "a job of several with two solvers": (
        {"jobs": [{"name": "a", "training": {"passes": 3, "epochs": 2}}]},
        "jobs.0.training",
    ),
    "a job of several that begins from a former model": (
        {"jobs": [{"name": "a"}, {"name": "b", "training": {"start": "model"}}]},
        "is not done in a queue",
    ),
    "a digest that is none": ({"image": {"digest": "sha256:abc"}}, "image.digest"),
    "a tag in the image's name": ({"image": {"repository": "foo:1.0"}}, "without its tag"),
    "an empty tag": ({"image": {"tag": ""}}, "image.tag"),
    "port 0": (OFF | {"bob": {"address": "b.example:0"}}, "from 1 to 65535"),
    "port 70000": (OFF | {"bob": {"address": "b.example:70000"}}, "from 1 to 65535"),
    "no IPv4 address": (OFF | {"bob": {"address": "999.1.1.1:7000"}}, "IPv4"),
    "no IPv6 address": (OFF | {"bob": {"address": "[1::2::3]:7000"}}, "bob.address"),
    "no name": (OFF | {"bob": {"address": "a..b:7000"}}, "bob.address"),
    "no network": (
        OFF | {"bob": {"address": "b:1", "networks": ["999.0.0.1/99"]}},
        "192.0.2.0/24",
    ),
    "one port for both": ({"ports": {"party": 8080}}, "party and status are the same"),
    "one address of two": (
        OFF | {"bob": {"address": "b.example:1"}, "server": {"address": "B.example:1"}},
        "bob and server have one address",
    ),
    "one IPv6 address in two spellings": (
        OFF | {"bob": {"address": "[::1]:1"}, "server": {"address": "[0::0001]:1"}},
        "bob and server have one address",
    ),
    "the address of a pod": (
        OFF | {"server": {"address": "fraud-bob-0.fraud-bob.default.svc.cluster.local:7000"}},
        "bob and server have one address",
    ),
    "names too long together": (
        {
            "name": "n" * 40,
            "namespace": "s" * 63,
            "clusterDomain": ".".join(["d" * 62] * 2 + ["d" * 60]),
        },
        "at most 253",
    ),
    "a Secret's name too long for its parts": (
        {"alice": {"tableSecret": ".".join(["s" * 62] * 4)}},
        "alice.tableSecret",
    ),
    "a label's value with a blank": ({"bob": {"labels": {"team": "a b"}}}, "bob.labels"),
    "a label's key with a blank": ({"bob": {"labels": {"a b": "team"}}}, "bob.labels"),
    "an annotation's key with a blank": ({"bob": {"annotations": {"a b": ""}}}, "annotations"),
    "a node's label with a blank": ({"bob": {"nodeSelector": {"disk": "a b"}}}, "nodeSelector"),
    "a fraction without quotes": (
        {"bob": {"resources": {"limits": {"cpu": 1.5}}}},
        "put it into quotes",
    ),
    "a batch of more than all rows": ({"job": {"rows": 127}}, "is more than rows"),
    "a label among the features": ({"job": {"label": "feature_1"}}, "also one of the features"),
    "a feature of both": ({"job": {"features": {"alice": ["a"], "bob": ["a"]}}}, "more than once"),
    "two labels": ({"job": {"label": {"alice": "a", "bob": "b"}}}, "of one holder"),
    "a model that is kept in the demo": (
        {"job": {"result": "kept"}},
        "a kept model would go with the release",
    ),
    "a model that is kept on volumes that go": (
        OFF | {"job": {"result": "kept"}, "storage": {"keep": False}},
        "a kept model would go with the release",
    ),
    "a kept model that is opened on volumes that go": (
        OFF | {"job": {"kept": "0" * 64}, "storage": {"keep": False}},
        "a kept model would go with the release",
    ),
    "a model that is kept without volumes": (
        OFF | {"job": {"result": "kept"}, "storage": {"enabled": False}},
        "set storage.enabled to true, or alice.state.existingClaim",
    ),
    "a kept model without volumes": (
        OFF
        | {"jobs": [{"name": "a", "kept": "0" * 64}], "storage": {"enabled": False}}
        | {"alice": {"state": {"existingClaim": "mine"}}},
        "set storage.enabled to true, or bob.state.existingClaim",
    ),
    "a kept model for nobody": (
        OFF | {"job": {"kept": "0" * 64, "result": "nobody"}},
        "nobody would receive the model",
    ),
    "a training from a kept model on volumes that go": (
        OFF | {"job": {"training": {"start": "0" * 64}}, "storage": {"keep": False}},
        "a kept model would go with the release",
    ),
    "an evaluation of a kept model": (
        OFF
        | {"job": {"kept": "0" * 64, "training": {"passes": 3}, "evaluation": {"held_out": 0.2}}},
        "no row is looked at",
    ),
    "an evaluation of a kept model by its defaults": (
        OFF | {"job": {"kept": "0" * 64, "training": {"passes": 3}, "evaluation": {}}},
        "no row is looked at",
    ),
    "standard errors of a kept model by their defaults": (
        OFF | {"job": {"kept": "0" * 64, "training": {"passes": 3}, "statistics": {}}},
        "no row is looked at",
    ),
    "the demo of a job that scores": ({"job": SCORES}, "the demo has no model to score by"),
    "a training of a queue that matches rows in its own way": (
        OFF | {"jobs": [{"name": "a", "align": {"key": "id"}}]},
        "the rows of a list's trainings are matched alike",
    ),
    "a job of several that joins tables whose rows have no identifier": (
        scoring_queue(matched=False)
        | {
            "jobs": [
                {"name": "a"},
                {"name": "b", "model": SCORES["model"], "align": {"key": "id", "join": "left"}},
            ]
        },
        "the tables of a list have the identifiers that job names",
    ),
    "a job of several that joins tables by another identifier": (
        scoring_queue(matched=True, key=["id", {"column": "born", "type": "date"}]),
        "the tables of a list have the identifiers that job names",
    ),
    "a job of several that joins one table by another identifier": (
        scoring_queue(matched=True, key={"alice": ["id"], "bob": ["number"]}),
        "the tables of a list have the identifiers that job names",
    ),
    "a queue with a job that scores by nobody's columns": (
        OFF | {"jobs": [{"name": "a", "model": SCORES["model"]}]},
        "scores alone",
    ),
    "scores with a label": (scoring(label="y"), "rows are scored without one"),
    "scores of one holder's columns": (scoring(features=["a"]), "scores alone"),
    "scores of matched rows": (scoring(align={"key": "id"}), "in the same order at both"),
    "a left join for both": (
        scoring(align={"key": "id", "join": "left"}, result="both"),
        "that holder alone knows which row each is of",
    ),
    "a training of a left join": (
        {"job": {"align": {"key": "id", "join": "left"}, "training": {"passes": 3}}},
        "a training takes the rows that both have",
    ),
    "scores for nobody": (scoring(result="own"), "scores go to alice, bob or both"),
    "scores with a training": (scoring(training={"passes": 3}), "nothing is trained"),
    "scores with standard errors": (scoring(statistics=True), "nothing is trained"),
    "scores with standard errors by their defaults": (scoring(statistics={}), "nothing is trained"),
    "scores with an evaluation by its defaults": (scoring(evaluation={}), "nothing is trained"),
    "scores by a model that is not open": (scoring(kept="0" * 64), "open the model first"),
    "a unit of a chance": (
        scoring(model=SCORES["model"] | {"unit": 2.0}),
        "a logistic-regression has none",
    ),
    "scores of a column that is not there": (
        scoring(columns={"height": "number"}),
        "is neither a feature nor the label",
    ),
    "a holder of nothing": ({"job": {"features": ["a"], "label": {"alice": "b"}}}, "train alone"),
}

WRONG_TEXTS: dict[str, tuple[str, str]] = {
    "a word that is a boolean to helm": ("job: {label: y}", "quotes"),
    "a number that is another to helm": ("waitSeconds: 0100", "leading zeros"),
    "a key twice": ("waitSeconds: 1\nwaitSeconds: 2", "more than once"),
}


@pytest.mark.parametrize("document, says", WRONG.values(), ids=WRONG.keys())
def test_the_deployer_refuses_and_says_what_to_do(document: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        Facts(values(document))
    assert says in str(refused.value)


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize("document, says", WRONG.values(), ids=WRONG.keys())
def test_helm_refuses_the_same(document: dict[str, Any], says: str) -> None:
    ran = helm("template", "fraud", str(CHART), document=document)
    assert ran.returncode != 0 and not ran.stdout


def test_a_job_of_a_queue_scores_by_a_model_that_one_before_it_trains_and_gives() -> None:
    """Which helm cannot see, and each party does before it begins."""
    right = scoring_queue(matched=True)
    trained, scores = right["jobs"]
    (digest, _) = (job.digest for job in values(right).queue)
    assert scores["model"]["trained_by"] == digest
    with pytest.raises(InputError, match=f"'trained' has {digest}; or put it alone"):
        other = scores | {"model": scores["model"] | {"trained_by": "0" * 64}}
        values(right | {"jobs": [trained, other]})
    with pytest.raises(InputError, match="there is none; or put it alone"):
        values(right | {"jobs": [scores, trained]})
    with pytest.raises(InputError, match="'all' scores by a model of alice's, and 'trained' "):
        bobs = trained | {"result": "bob"}
        digest = values(right | {"jobs": [bobs]}).queue[0].digest
        model = scores["model"] | {"trained_by": digest, "holder": "alice"}
        values(right | {"jobs": [bobs, scores | {"model": model}]})


@pytest.mark.parametrize("text, says", WRONG_TEXTS.values(), ids=WRONG_TEXTS.keys())
def test_the_deployer_refuses_what_helm_reads_otherwise(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=says):
        load_values([file])


@given(
    st.one_of(
        st.from_regex(r"[a-z0-9._\-]{0,6}:[0-9]{1,6}", fullmatch=True),
        st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}:7000", fullmatch=True),
        st.from_regex(r"\[[0-9a-f:]{1,12}\]:7000", fullmatch=True),
        st.builds("[{}]:7000".format, st.ip_addresses(v=6)),
    )
)
def test_the_schema_takes_an_address_where_the_deployer_does(address: str) -> None:
    document = values(OFF).document()
    document["bob"] = document["bob"] | {"address": address}
    try:
        parse_values(document)
        refused = False
    except InputError:
        refused = True
    assert schema().is_valid(document) is not refused, address


@cache
def schema() -> Any:
    """Of values. To import its library takes a second, and each worker imports this file."""
    from jsonschema import Draft7Validator

    return Draft7Validator(json.loads(values_schema()))


@pytest.mark.parametrize("document", MATRIX.values(), ids=MATRIX.keys())
def test_the_schema_takes_what_the_deployer_takes(document: dict[str, Any]) -> None:
    schema().validate(values(document).document())


def test_the_schema_is_one() -> None:
    schema().check_schema(json.loads(values_schema()))


def test_generated_files_are_up_to_date() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, f"{path.name}: run python -m deployer.manifests.reference"


def test_the_charts_values_are_the_defaults() -> None:
    assert yaml.safe_load((CHART / "values.yaml").read_text()) == Values().document()


def test_every_value_says_what_it_means() -> None:
    rows = [line for line in (CHART / "README.md").read_text().splitlines() if line[:3] == "| `"]
    assert len(rows) > 50
    assert not [row for row in rows if row.rstrip(" |").endswith("`")]


def test_the_values_in_the_readme_are_right() -> None:
    (example,) = re.findall("^```yaml\n(.*?)^```$", (CHART / "README.md").read_text(), re.M | re.S)
    chosen = values(yaml.safe_load(example))
    assert [party.role for party in Facts(chosen).enabled] == ["alice"]


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
