"""Rows that two parties score together: what each makes of its own, and what is refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from party.agreement.job import HOLDERS, Job, Party, parse_job
from party.approval.policy import Policy
from party.models.joint_scores.model import (
    FEATURE_BITS,
    SUM_BITS,
    SUMS,
    WEIGHT_BITS,
    JointScores,
)
from party.models.registry import model_of
from party.process.errors import InputError
from party.process.files import replace_json
from party.scoring import Scorer
from party.scoring.joint import count, load, read, see_to_rows, write_scores
from tests.scoring.models import document, rows

DIGEST = "0" * 64
WHOSE = {"alice": [0, 1], "bob": [2, 3, 4]}
KEYS = f"""\
name: scores
rows: 30
features: {{alice: [c0, c1], bob: [c2, c3, c4]}}
model: {{kind: joint-scores, holder: alice, trained_by: "{DIGEST}"}}
"""


def job(**change: Any) -> Job:
    """Alice's model of two of her columns and three of Bob's."""
    agreed = parse_job(KEYS, "job.yaml").model_dump(mode="json") | change
    return Job.model_validate_json(json.dumps(agreed))


def trained(directory: Path, holder: str = "alice", **more: Any) -> dict[str, Path]:
    """What a training left at each holder: one has the model, without the other's means."""
    whole = document(5, holders=["alice"] * 2 + ["bob"] * 3, **more)
    other = "bob" if holder == "alice" else "alice"
    own = {
        key: [value if at in WHOSE[holder] else None for at, value in enumerate(whole[key])]
        for key in ("mean", "scale")
    }
    replace_json(directory / "model.json", whole | own)
    others = {key: [whole[key][at] for at in WHOSE[other]] for key in ("features", "mean", "scale")}
    replace_json(directory / "columns.json", others | {"job": whole["job"], "party": other})
    return {holder: directory / "model.json", other: directory / "columns.json"}


def tables(directory: Path, numbers: Any) -> dict[str, Path]:
    """Each holder's columns of the rows."""
    found = {}
    for party, at in WHOSE.items():
        found[party] = directory / f"{party}.csv"
        lines = [
            ",".join(f"c{i}" for i in at),
            *(",".join(map(repr, r)) for r in numbers[:, at].tolist()),
        ]
        found[party].write_text("\n".join(lines) + "\n")
    return found


@settings(max_examples=25)
@example(seed=33554431, holder="alice", kind="logistic-regression")
@given(
    seed=st.integers(0, 2**32 - 1),
    holder=st.sampled_from(HOLDERS),
    kind=st.sampled_from(["logistic-regression", "linear-regression"]),
)
def test_both_parts_together_are_the_scores_of_the_joined_table(
    seed: int, holder: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """To within what is rounded: half a last bit of each factor, times the other one."""
    here, unit = tmp_path_factory.mktemp("joint"), 40.0 if kind == "linear-regression" else 1.0
    whole = document(5, model=kind, unit=unit)
    mean, scale = np.array(whole["mean"]), np.array(whole["scale"])
    numbers = np.clip(rows(30, 5, seed), mean - 1000 * scale, mean + 1000 * scale)
    files, parts = tables(here, numbers), trained(here, holder, model=kind, unit=unit)
    wanted = {"kind": "joint-scores", "holder": holder, "trained_by": DIGEST, "predicts": kind}
    agreed = job(model=wanted | ({"unit": unit} if unit != 1 else {}))
    own: dict[Any, Any] = {p: read(files[p], parts[p], agreed, p).ring for p in HOLDERS}
    model = model_of(agreed.parameters)
    assert isinstance(model, JointScores)
    sums, weights = np.split(own.pop(holder)[:, 0], [30])
    (others,) = own.values()
    t = (sums + others @ weights) / 2.0**SUM_BITS
    write_scores(here, agreed, {SUMS: t[:, None]})
    head, *lines = (here / "scores.csv").read_text().splitlines()
    assert head == "score" and (here / "scores.csv").stat().st_mode & 0o777 == 0o600

    path = here / "whole.json"
    replace_json(path, whole)
    expected = Scorer.read(path).predict(numbers)
    at = WHOSE["bob" if holder == "alice" else "alice"]
    x = (numbers[:, at] - mean[at]) / scale[at]
    w = np.array(whole["weights"])[at]
    bound = np.abs(w).sum() / 2 ** (FEATURE_BITS + 1) + np.abs(x).sum(1) / 2 ** (WEIGHT_BITS + 1)
    error = np.abs(np.array(lines, float) - expected)
    steepest = unit if kind == "linear-regression" else 0.25
    assert (error <= steepest * bound * (1 + 1e-6) + 1e-12).all()


def refused(words: str, directory: Path, party: Party = "bob", **change: Any) -> InputError:
    """The error of a party whose rows or part of the training is wrong."""
    files, parts = tables(directory, rows(30, 5)), trained(directory)
    for name, text in change.pop("files", {}).items():
        (directory / name).write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read(files[party], change.get("part", parts[party]), job(**change.get("job", {})), party)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("party", HOLDERS)
def test_the_part_of_another_training_is_refused(party: Party, tmp_path: Path) -> None:
    wanted = {"kind": "joint-scores", "holder": "alice", "trained_by": "a" * 64}
    refused(
        "is of the training 0000000000000000, not a{16}", tmp_path, party, job={"model": wanted}
    )


@pytest.mark.parametrize(("party", "name"), [("alice", "model.json"), ("bob", "columns.json")])
def test_a_party_without_its_part_is_told_which(party: Party, name: str, tmp_path: Path) -> None:
    refused(f"{party} gives no {name} of the training", tmp_path, party, part=None)
    refused("cannot read", tmp_path, party, part=tmp_path / "nowhere")
    refused("the file is no", tmp_path, party, files={name: '{"job": 1}'})


@pytest.mark.parametrize("party", HOLDERS)
def test_columns_of_another_job_are_refused(party: Party, tmp_path: Path) -> None:
    for features in (
        {"alice": ["c1", "c0"], "bob": ["c3", "c2", "c4"]},
        {"alice": ["c0", "c9"], "bob": ["c2", "c3", "c9x"]},
        {"alice": ["c0"], "bob": ["c2"]},
    ):
        refused("of other columns than the job's", tmp_path, party, job={"features": features})
    typed = {
        "columns": {
            "c0": {"type": "number", "log1p": True},
            "c2": {"type": "number", "log1p": True},
        }
    }
    refused("of other columns than the job's", tmp_path, party, job=typed)


def test_a_model_of_another_kind_or_unit_is_refused(tmp_path: Path) -> None:
    wanted = {"kind": "joint-scores", "holder": "alice", "trained_by": DIGEST}
    linear = wanted | {"predicts": "linear-regression", "unit": 5.0}
    refused(
        "a logistic-regression of unit 1, and the job says",
        tmp_path,
        "alice",
        job={"model": linear},
    )


def test_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    for party in HOLDERS:
        refused("has 30 rows, and the job says 31", tmp_path, party, job={"rows": 31})


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    refused("has no column 'c3'", tmp_path, files={"bob.csv": "c2,c4\n1,2\n"})


def test_a_row_beyond_fixed_point_is_named_without_its_value(tmp_path: Path) -> None:
    lines = "c2,c3,c4\n" + "1,1,1\n" * 28 + "1,4711e9,1\n1,1,1\n"
    error = refused(
        "deviations from the training's mean: in row 29 ", tmp_path, files={"bob.csv": lines}
    )
    assert "4711" not in str(error)


@pytest.mark.slow
def test_a_child_reads_the_same_and_says_the_same(tmp_path: Path) -> None:
    files, parts = tables(tmp_path, rows(30, 5)), trained(tmp_path)
    for party in HOLDERS:
        here, there = (way(files[party], parts[party], job(), party) for way in (read, load))
        assert here.digest == there.digest
        np.testing.assert_array_equal(here.ring, there.ring)
    with pytest.raises(InputError, match="has 30 rows, and the job says 31"):
        load(files["bob"], parts["bob"], job(rows=31), "bob")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2,c3,c4\n",
        "c2,c4\n1,2\n",
        "c2,c3,c4\n1,2,3\n",
        "c2,c3,c4\n1,2\n",
        "c2,c3,c4\n" + 30 * "1,,3\n",
        "c2,c3,c4\n" + 30 * "1,many,3\n",
        30 * "0,1,2,3\n",
    ],
)
def test_rows_are_refused_in_the_same_words_before_the_model_is_there(
    text: str, tmp_path: Path
) -> None:
    files, parts = tables(tmp_path, rows(30, 5)), trained(tmp_path)
    assert count(files["bob"], job(), "bob") == 30
    files["bob"].write_text(text)
    said = []
    for look in (partial(read, files["bob"], parts["bob"]), partial(count, files["bob"])):
        with pytest.raises(InputError) as caught:
            look(job(), "bob")
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.slow
def test_rows_to_join_are_looked_at_before_the_model_is_there_with_their_identifiers(
    tmp_path: Path,
) -> None:
    agreed = job(rows=0, align={"key": "id", "join": "left", "minimum": 10})
    table = tables(tmp_path, rows(30, 5))["bob"]
    names, *lines = table.read_text().splitlines()
    for key, ids, words in (
        ("id", range(30), None),
        ("id", [0] * 30, "the identifier stands in an earlier row"),
        ("no", range(30), "the header does not have 'id'"),
    ):
        rest = [f"{i},{line}" for i, line in zip(ids, lines, strict=True)]
        table.write_text("\n".join([f"{key},{names}", *rest]) + "\n")
        if words is None:
            see_to_rows(table, agreed, "bob")
            continue
        with pytest.raises(InputError, match=words):
            see_to_rows(table, agreed, "bob")


def test_a_changed_model_file_is_seen(tmp_path: Path) -> None:
    """Numbers that are none are refused; others give another digest, by which an approval no longer
    holds and no checkpoint is taken up."""
    files, parts = tables(tmp_path, rows(30, 5)), trained(tmp_path)
    before = read(files["alice"], parts["alice"], job(), "alice").digest
    whole = json.loads(parts["alice"].read_text())
    whole["weights"][3] += 1e-3
    replace_json(parts["alice"], whole)
    assert read(files["alice"], parts["alice"], job(), "alice").digest != before
    for weight, words in (
        (1e6, "so large that scores would not fit"),
        (float("nan"), "damaged|no model"),
    ):
        whole["weights"][3] = weight
        parts["alice"].write_text(json.dumps(whole))
        with pytest.raises(InputError, match=words):
            read(files["alice"], parts["alice"], job(), "alice")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "y"}, "label: rows are scored without one"),
        ({"features": ["c0"]}, "features: bob has none, and alice all"),
        (
            {"rows": 0, "align": {"key": "id"}},
            "align: rows to score are in the same order at both, and align is left out; or",
        ),
        ({"rows": 0}, "rows: say how many"),
        ({"result": "nobody"}, "result: nobody: scores go to alice, bob or both"),
        ({"result": "own"}, "result: own: scores go to"),
        ({"training": {"passes": 3}}, "training: nothing is trained"),
        ({"evaluation": {}}, "evaluation: nothing is trained"),
        ({"statistics": True}, "statistics: nothing is trained"),
    ],
)
def test_what_only_a_training_has_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        job(**change)


def test_who_may_have_weights_may_not_have_scores_unless_a_policy_says_so() -> None:
    for policy, objections in (
        (Policy(receivers=("alice", "bob")), ["scores: alice would receive scores of rows"]),
        (Policy(receivers=(), scores=("alice",), rows_per_feature=100), []),
    ):
        assert policy.objections(job(), "0.1.0", None, 1) == objections
