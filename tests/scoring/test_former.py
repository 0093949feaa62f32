"""A former model's weights say the same of a new table's rows as they said of the old one's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.checkpoints import KeptModel
from party.process.errors import InputError
from party.reporting.result import columns_document
from party.scoring.former import kept_start_of, start_of
from party.table import Table, read_table

ROWS = 60
AGREED: dict[str, Any] = {
    "name": "again",
    "rows": ROWS,
    "features": {"alice": ["p", "q"], "bob": ["r"]},
    "label": {"bob": "y"},
    "columns": {"q": {"type": "category", "values": ["a"]}},
    "training": {"start": "model"},
    "result": "own",
}


def job(**change: Any) -> Job:
    return Job.model_validate_json(json.dumps(AGREED | change))


def table_of(agreed: Job, directory: Path) -> Table:
    draw = np.random.default_rng(2)
    words = draw.choice(["a", "b"], ROWS)
    lines = [f"{p:.6g},{word}" for p, word in zip(draw.normal(7, 3, ROWS), words, strict=True)]
    file = directory / "alice.csv"
    file.write_text("\n".join(["p,q", *lines, ""]))
    return read_table(file, agreed, "alice")


def former(agreed: Job, table: Table, **change: Any) -> dict[str, Any]:
    """The document of a model that Alice received of another table."""
    return {
        "model": "logistic-regression",
        "job": "1" * 64,
        "plan": "2" * 64,
        "protocol": "pond",
        "versions": {},
        "health": None,
        "columns": columns_document(agreed, "alice", table),
        "features": ["q=a", "p"],  # in another order
        "holders": ["alice", "alice"],
        "mean": [0.4, 5.0],
        "scale": [0.5, 2.0],
        "weights": [0.75, -1.5],
        "intercept": 0.25,
    } | change


def start(
    directory: Path, agreed: Job | None = None, **change: Any
) -> tuple[Table, np.ndarray[Any, Any]]:
    trained = job()
    table = table_of(trained, directory)
    file = directory / "model.json"
    file.write_text(json.dumps(former(trained, table, **change)))
    found = start_of(file, agreed or trained, "alice", table)
    assert found is not None
    return table, found


def test_every_row_has_the_weighted_sum_that_the_former_model_gives_it(tmp_path: Path) -> None:
    table, found = start(tmp_path)
    assert table.mean is not None and table.scale is not None
    raw = table.matrix[:, :2] * table.scale + table.mean
    names = job().derived_of("alice")
    old = {"p": (5.0, 2.0, -1.5), "q=a": (0.4, 0.5, 0.75)}
    before = 0.25 + sum(
        old[name][2] * (raw[:, i] - old[name][0]) / old[name][1] for i, name in enumerate(names)
    )
    np.testing.assert_allclose(table.matrix @ found, before, atol=1e-5)


def test_a_label_in_another_unit_is_the_same_label(tmp_path: Path) -> None:
    agreed = job(model={"kind": "linear-regression", "unit": 10.0}, columns=AGREED["columns"])
    _, in_ones = start(tmp_path, agreed, model="linear-regression", unit=1.0)
    _, in_tens = start(tmp_path, agreed, model="linear-regression", unit=10.0)
    np.testing.assert_allclose(in_tens, 10.0 * in_ones)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"model": "linear-regression"}, "is a linear-regression, and the job trains"),
        ({"features": ["q=a", "z"]}, "lacks the column 'p' of alice's that the job has"),
        (
            {
                "features": ["q=a", "p", "z"],
                "holders": ["alice"] * 3,
                "mean": [0.0] * 3,
                "scale": [1.0] * 3,
                "weights": [0.0] * 3,
            },
            "has the column 'z' of alice's that the job has not",
        ),
        ({"columns": {}}, "reads the column 'q' of alice's in another way"),
        ({"mean": [None, 5.0]}, "the model is another party's"),
        ({"scale": [0.0, 2.0]}, "holds a number that is none"),
        ({"weights": [0.75]}, "the model's lists are not of one length"),
        ({"intercept": None}, "has no intercept, and alice begins with it"),
        ({"mean": [0.4, 5000.0]}, "a training can begin from 60.5 at most"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_what_differs(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError) as refused:
        start(tmp_path, **change)
    assert told in refused.value.what and refused.value.hint


def test_a_start_in_other_units_is_refused_where_there_is_no_sigmoid(tmp_path: Path) -> None:
    """Each of two holders has half of how far labels may be from zero; the penalty counts too."""
    linear = {"kind": "linear-regression"}
    agreed = job(model=linear, columns=AGREED["columns"])
    start(tmp_path, agreed, model="linear-regression", intercept=7.0, weights=[0.0, 0.0])
    far = {"mean": [0.4, 5000.0]}, {"weights": [0.75, -15.0]}, {"unit": 100.0}
    for change in far:
        with pytest.raises(InputError, match="from zero, and a training can begin from 8 at most"):
            start(tmp_path, agreed, model="linear-regression", **change)
    stiff = job(model=linear, columns=AGREED["columns"], training={"start": "model", "C": 1e-5})
    with pytest.raises(InputError, match="can begin from 8 at most"):
        start(tmp_path, stiff, model="linear-regression")


def test_a_model_is_given_exactly_where_the_job_begins_from_one(tmp_path: Path) -> None:
    table = table_of(job(), tmp_path)
    with pytest.raises(InputError, match="alice has given none"):
        start_of(None, job(), "alice", table)
    with pytest.raises(InputError, match="takes no former model of alice's"):
        start_of(tmp_path, job(training={}), "alice", table)
    assert start_of(None, job(training={}), "alice", table) is None
    only_alices = job(features=["p"], columns={}, label={"bob": "y"}, result="alice")
    with pytest.raises(InputError, match="takes no former model of bob's"):
        start_of(tmp_path, only_alices, "bob", table)


def part(agreed: Job, mean: list[float], scale: list[float]) -> KeptModel:
    """Alice's part of a model that was kept, of another table."""
    plain = agreed.model_dump(mode="json")
    return KeptModel(plain, agreed.digest, "2" * 64, "r", 1, True, {}, mean, scale)


def test_so_it_has_by_weights_of_a_kept_model_that_its_holder_does_not_know(
    tmp_path: Path,
) -> None:
    table, mean, scale = table_of(job(), tmp_path), np.array([5.0, 0.4]), np.array([2.0, 0.5])
    assert table.mean is not None and table.scale is not None
    way = kept_start_of(part(job(), mean.tolist(), scale.tolist()), job(), "alice", table)
    assert way is not None and way.shape == (3, 3)
    raw, weights = table.matrix[:, :2] * table.scale + table.mean, np.array([-1.5, 0.75, 0.25])
    before = (raw - mean) / scale @ weights[:2] + weights[2]
    np.testing.assert_allclose(table.matrix @ way @ weights, before, atol=1e-5)
    only_bobs = job(features={"bob": ["r"]}, label={"alice": "y"}, columns={})
    assert kept_start_of(part(only_bobs, [], []), only_bobs, "alice", table) is None


def test_a_kept_model_of_a_label_in_another_unit_is_the_same(tmp_path: Path) -> None:
    def way(unit: float) -> Any:
        kind = {"kind": "linear-regression", "unit": unit}
        trained, now = job(model=kind), job(model=kind | {"unit": 10.0})
        return kept_start_of(part(trained, [5.0, 0.4], [2.0, 0.5]), now, "alice", table)

    table = table_of(job(), tmp_path)
    np.testing.assert_allclose(way(10.0), 10.0 * way(1.0))


@pytest.mark.parametrize(
    "mean, scale, told",
    [
        ([5.0, 0.4], [0.1, 0.5], "the values of 'p' vary by"),
        ([5.0, 40.0], [2.0, 0.5], "the values of 'q=a' have moved by"),
    ],
)
def test_a_table_in_other_units_than_that_of_a_kept_model_is_refused(
    mean: list[float], scale: list[float], told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told) as refused:
        kept_start_of(part(job(), mean, scale), job(), "alice", table_of(job(), tmp_path))
    assert "units of the former one" in (refused.value.hint or "")
