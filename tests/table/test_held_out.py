"""Rows that are held out leave no trace in what the training's rows become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.models.registry import model_of
from party.process.errors import InputError
from party.table import Table, by_training_rows, read_table

ROWS = 200


def job_of(**change: Any) -> Job:
    agreed: dict[str, Any] = {
        "name": "t",
        "rows": ROWS,
        "features": {"alice": ("x0", "x1"), "bob": ("z0",)},
        "label": {"bob": "y"},
        "evaluation": {"held_out": 0.3, "minimum": 5},
    }
    return Job.model_validate(agreed | change)


def read(directory: Path, columns: Any, names: list[str], job: Job, party: Any) -> Table:
    path = directory / f"{party}.csv"
    np.savetxt(path, columns, "%.9g", ",", header=",".join(names), comments="")
    return by_training_rows(read_table(path, job, party), job, party)


def alices(directory: Path, columns: Any) -> Table:
    return read(directory, columns, ["x0", "x1"], job_of(), "alice")


@pytest.fixture
def columns() -> Any:
    return np.random.default_rng(1).normal([3, -70], [0.1, 40], (ROWS, 2))


def test_mean_and_scale_are_those_of_the_trainings_rows(tmp_path: Path, columns: Any) -> None:
    table, out = alices(tmp_path, columns), job_of().held_out
    assert table.mean is not None and table.scale is not None
    np.testing.assert_allclose(table.mean, columns[~out].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(table.scale, columns[~out].std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(table.matrix[:, :2], (columns - table.mean) / table.scale, atol=1e-5)


def test_a_mean_and_scale_that_the_job_says_are_taken(tmp_path: Path, columns: Any) -> None:
    said = {"x0": {"scale": {"mean": 2.5, "deviation": 0.5}, "missing": 0.0, "indicator": True}}
    job, (out, x) = job_of(columns=said), (job_of().held_out, columns.copy())
    cells = [["" if i % 5 == 0 else f"{a:.9g}", f"{b:.9g}"] for i, (a, b) in enumerate(x)]
    path = tmp_path / "alice.csv"
    path.write_text("\n".join(map(",".join, [["x0", "x1"], *cells])) + "\n")
    table = by_training_rows(read_table(path, job, "alice"), job, "alice")
    assert table.mean is not None and table.scale is not None
    x[::5, 0] = 0.0
    gaps = (np.arange(ROWS) % 5 == 0)[~out]
    mean, scale = [2.5, gaps.mean(), x[~out, 1].mean()], [0.5, gaps.std(), x[~out, 1].std()]
    np.testing.assert_allclose(table.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(table.scale, scale, rtol=1e-5)
    np.testing.assert_allclose(table.matrix[:, 0], (x[:, 0] - 2.5) / 0.5, atol=1e-5)


def test_other_held_out_rows_change_nothing_that_the_training_reads(
    tmp_path: Path, columns: Any
) -> None:
    job = job_of()
    found = []
    for shift in (0.0, 5.0):
        changed = columns.copy()
        changed[job.held_out] += shift
        table = alices(tmp_path, changed)
        found.append(model_of(job.parameters).at_home(job, "alice", table.matrix))
    training = len(found[0]) - job.held_out_rows
    np.testing.assert_allclose(
        found[0][: job.training_rows], found[1][: job.training_rows], atol=2e-4
    )
    assert training > job.training_rows
    assert not np.allclose(found[0], found[1], atol=0.1), "but they are there"


def test_a_column_that_is_constant_but_for_held_out_rows_is_refused(
    tmp_path: Path, columns: Any
) -> None:
    columns[~job_of().held_out, 1] = 7
    with pytest.raises(InputError, match="'x1' is constant in the training's rows"):
        alices(tmp_path, columns)


def test_a_held_out_row_that_stands_out_too_far_is_refused(tmp_path: Path, columns: Any) -> None:
    columns[np.flatnonzero(job_of().held_out)[0], 0] = 1e6
    with pytest.raises(InputError, match="'x0' has a value that is more than 1024 standard"):
        alices(tmp_path, columns)


@pytest.mark.parametrize("held_out", [False, True])
def test_labels_of_one_class_on_either_side_are_refused(tmp_path: Path, held_out: bool) -> None:
    job, draw = job_of(), np.random.default_rng(2)
    y = draw.integers(0, 2, ROWS)
    y[job.held_out == held_out] = 1
    z = np.column_stack([draw.normal(size=ROWS), y])
    with pytest.raises(InputError, match=r"all labels of the .* rows are the same"):
        read(tmp_path, z, ["z0", "y"], job, "bob")


def test_without_an_evaluation_a_table_is_as_it_was(tmp_path: Path, columns: Any) -> None:
    job = job_of(evaluation=None)
    path = tmp_path / "a.csv"
    np.savetxt(path, columns, "%.9g", ",", header="x0,x1", comments="")
    table = read_table(path, job, "alice")
    assert by_training_rows(table, job, "alice") is table


def test_a_class_that_is_in_one_fold_alone_is_refused(tmp_path: Path) -> None:
    """That fold's training would have nothing to tell apart; with the class elsewhere too, it has,
    and the table is standardised by all rows, as without folds."""
    job, y = job_of(evaluation={"folds": 4, "minimum": 5}), np.zeros(ROWS)
    y[np.flatnonzero(job.fold_of == 2)[:9]] = 1
    z = np.random.default_rng(2).normal(size=ROWS)
    with pytest.raises(InputError, match="all labels of one class are in fold 3"):
        read(tmp_path, np.column_stack([z, y]), ["z0", "y"], job, "bob")
    y[np.flatnonzero(job.fold_of == 0)[:1]] = 1
    table = read(tmp_path, np.column_stack([z, y]), ["z0", "y"], job, "bob")
    np.testing.assert_allclose(table.matrix[:, 0], (z - z.mean()) / z.std(), atol=1e-5)
