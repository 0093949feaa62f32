"""A table of gaps, words and days: trained on as scikit-learn would, and scored the same way."""

from __future__ import annotations

import csv
import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import RobustScaler, StandardScaler

from party.agreement.job import load_job
from party.models.registry import model_of
from party.reporting.result import own_columns
from party.scoring import Scorer
from party.scoring.rows import batches
from party.table import read_table
from party.table.raw import raw_blocks
from tests.harness.runs import run_planned

VOYAGE = Path(__file__).resolve().parents[2] / "examples/voyage"

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Scorer:
    """Alice's model, as it lies in its file."""
    job = load_job(VOYAGE / "job.yaml")
    tables = {party: VOYAGE / f"{party}.csv" for party in ("alice", "bob")}
    output = tmp_path_factory.mktemp("voyage")
    run_planned(job, tables, output, cache)
    return Scorer.read(output / "alice/model.json")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A table of others, as the example makes its own; and what became of them."""
    spec = importlib.util.spec_from_file_location("make_voyage", VOYAGE / "make.py")
    assert spec is not None and spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    chance = random.Random(2)
    rows = [make.passenger(chance) for _ in range(400)]
    path = tmp_path_factory.mktemp("strangers") / "new.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        order = [5, 0, 6, 1, 2, 3, 4]
        names = ["travels", "sex", "age", "fare", "port", "alone", "booked"]
        writer.writerow([names[i] for i in order])
        writer.writerows([[own[i] for i in order] for own, _ in rows])
    return path, [fate for _, fate in rows]


def cells(path: Path, names: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    for block in raw_blocks(path):
        for name, column in zip(block.names, block.cells, strict=True):
            found[name] += column.to_pylist()
    return found


def codes(model: Scorer, path: Path) -> Array:
    return np.concatenate([batch.codes for batch in batches(path, model.schemas)])


def test_the_document_gives_what_training_saw(model: Scorer) -> None:
    job = load_job(VOYAGE / "job.yaml")
    table = read_table(VOYAGE / "alice.csv", job, "alice")
    own, x = codes(model, VOYAGE / "alice.csv"), own_columns(job, "alice", table)
    np.testing.assert_allclose(model.standardised(own), x[:, :-1], rtol=1e-6, atol=1e-6)
    weights = np.append(model.weights, model.intercept)
    expected = model_of(job.parameters).predict(weights, x)
    np.testing.assert_allclose(model.predict(own), expected, atol=1e-6)
    assert model.features == job.derived_of("alice")


def test_others_are_scored_as_scikit_learns_pipeline_scores_them(
    model: Scorer, strangers: tuple[Path, list[str]]
) -> None:
    path, fates = strangers
    names = tuple(model.schemas)
    trained, new = cells(VOYAGE / "alice.csv", names), cells(path, names)
    with (VOYAGE / "bob.csv").open() as file:
        y = np.array([row["fate"] == "saved" for row in csv.DictReader(file)])
    x, x_new = pipeline(trained, new)
    clear = LogisticRegression(C=1.0, tol=1e-8).fit(x, y)
    ours = model.predict(codes(model, path))
    assert np.abs(ours - clear.predict_proba(x_new)[:, 1]).max() < 0.01
    assert roc_auc_score([fate == "saved" for fate in fates], ours) > 0.7


def pipeline(trained: dict[str, list[str]], new: dict[str, list[str]]) -> tuple[Array, Array]:
    """The example's columns of the model, of both tables, by other code: fitted to the first."""

    def numbers(table: dict[str, list[str]], name: str) -> Array:
        return np.array([float(cell) if cell else np.nan for cell in table[name]])

    def days(table: dict[str, list[str]]) -> Array:
        return np.array(
            [np.datetime64(c).astype(float) if c else np.nan for c in table["booked"]]
        )  # fmt: skip

    def is_one_of(table: dict[str, list[str]], name: str, *words: str) -> Array:
        return np.array([cell.lower() in words for cell in table[name]], float)

    def both(table: dict[str, list[str]]) -> Array:
        age = numbers(table, "age")
        fare = numbers(table, "fare")
        fare[np.isnan(fare)] = np.nanmedian(numbers(trained, "fare"))
        whole = numbers(trained, "fare")
        whole[np.isnan(whole)] = np.nanmedian(whole)
        booked, gaps = days(table), np.isnan(age)
        booked[np.isnan(booked)] = np.nanmean(days(trained))
        age[gaps] = np.nanmedian(numbers(trained, "age"))
        return np.stack(
            [
                *(is_one_of(table, "travels", level) for level in ("first", "second", "third")),
                is_one_of(table, "sex", "woman"),
                age,
                gaps.astype(float),
                np.clip(np.log1p(fare), *np.quantile(np.log1p(whole), [0.01, 0.99])),
                is_one_of(table, "port", "southport"),
                is_one_of(table, "port", "cherbourg, fr"),
                is_one_of(table, "alone", "yes", "y"),
                booked,
            ],
            axis=1,
        )

    fare = 6
    x, x_new = both(trained), both(new)
    scaler, robust = StandardScaler().fit(x), RobustScaler().fit(x[:, [fare]])
    found = []
    for table in (x, x_new):
        scaled = scaler.transform(table)
        scaled[:, [fare]] = robust.transform(table[:, [fare]])
        found.append(scaled)
    return found[0], found[1]
