"""The chart and the plain manifests are two ways to the same objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.manifests.values import load_values
from party.agreement.job import SMALLEST_RATE
from tests.chart.rendering import (
    CHART,
    MATRIX,
    OFF,
    by_deployer,
    by_helm,
    by_name,
    helm,
    scoring_queue,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("document", MATRIX.values(), ids=MATRIX.keys())
def test_helm_and_deployer_make_the_same_objects(document: dict[str, Any]) -> None:
    assert_same(document)


# Only these differ by nature: who manages the objects is a label, which the test sets alike.
def assert_same(document: dict[str, Any], name: str = "fraud") -> None:
    # Without a name, helm takes the release's and the deployer the job's.
    job_name = document.get("job", {}).get("name", "fraud")
    chart = by_name(by_helm(document, job_name if name == "fraud" else name))
    plain = by_name(by_deployer(document, managed_by="Helm"))
    assert chart.keys() == plain.keys()
    for key in chart:
        assert chart[key] == plain[key], key


def test_a_model_of_matched_rows_is_kept_by_both() -> None:
    job = {"features": {"alice": ["a"], "bob": ["b"]}, "training": {"passes": 3}}
    assert_same(OFF | {"job": job | {"align": {"key": "id"}, "result": "kept"}})


def test_all_rows_are_scored_by_the_model_of_matched_ones_by_both() -> None:
    assert_same(scoring_queue(matched=True), "tables")
    # The same identifier, in another spelling.
    by_day = {"column": "id", "type": "date"}
    assert_same(scoring_queue(matched=True, key={"alice": [by_day], "bob": [by_day]}), "tables")


def test_merge_keys_are_read_alike(tmp_path: Path) -> None:
    text = "alice: &both {labels: {team: a}, tableParts: 3}\nbob: {<<: *both, tableParts: 4}\n"
    file = tmp_path / "values.yaml"
    file.write_text(text)
    chosen = load_values([file])
    assert chosen.bob.labels == {"team": "a"} and chosen.bob.table_parts == 4
    assert_same(chosen.document())
    ran = helm("template", "fraud", str(CHART), "--values", str(file))
    same = helm("template", "fraud", str(CHART), document=chosen.document())
    assert ran.returncode == 0 and ran.stdout == same.stdout


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)
labels = st.dictionaries(
    st.from_regex(r"[a-z]{1,5}(\.example/[a-z]{1,5})?", fullmatch=True),
    st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?)?", fullmatch=True),
    max_size=3,
)
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
roles = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "namespace": names,
        "address": st.builds("{}.example:{}".format, names, st.integers(1, 65535)),
        "networks": st.lists(st.sampled_from(["192.0.2.0/24", "2001:db8::/32"]), max_size=2),
        "keysSecret": names,
        "labels": labels,
        "annotations": st.dictionaries(names, texts, max_size=2),
        "nodeSelector": labels,
        "priorityClassName": names,
        "service": st.fixed_dictionaries(
            {"type": st.sampled_from(["ClusterIP", "LoadBalancer", "NodePort"])},
            optional={"nodePort": st.integers(0, 65535), "annotations": labels},
        ),
    },
)
documents = st.fixed_dictionaries(
    {
        "demo": st.just(OFF["demo"]),
        "job": st.fixed_dictionaries(
            {},
            optional={
                "features": st.lists(
                    texts.filter(bool), min_size=1, max_size=4, unique=True
                ).filter(lambda names: "fraud" not in names),
                "training": st.fixed_dictionaries(
                    {},
                    optional={
                        "learning_rate": st.floats(SMALLEST_RATE, 10),
                        "order_seed": st.integers(0, 2**53 - 1),
                    },
                ),
            },
        ),
    },
    optional={
        "alice": roles,
        "bob": roles,
        "server": roles,
        "namespace": names,
        "metrics": st.fixed_dictionaries(
            {key: st.booleans() for key in ("annotations", "serviceMonitor", "alerts", "dashboard")}
        ),
        "waitSeconds": st.integers(1, 31_536_000),
    },
)


@settings(max_examples=15)
@given(documents)
def test_they_agree_on_any_values(document: dict[str, Any]) -> None:
    assert_same(document)
