"""A model of columns at both, used on rows that were not in its training: three real parties.

A linear regression, whose plan is soon built; what sums become is tests/scoring's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from deployer.commands.data import write
from deployer.local.run import run_local
from party.agreement.job import HOLDERS, Holder, Job
from party.models.joint_scores.model import OPENED_BITS
from party.process.errors import InputError
from party.reporting.documents import ColumnsDocument
from party.scoring import Scorer
from party.table.expected import Expected
from party.table.parts import packed
from party.table.taken import Taken
from tests.harness.plans import cached
from tests.harness.runs import run_planned

pytestmark = [pytest.mark.drawn, pytest.mark.in_turn]

ROWS, NEW = 80, 30
NAMES = {"alice": ["a0", "a1"], "bob": ["b0", "word"]}
WORD = {"word": {"type": "category", "values": ["x", "y"], "missing": "column"}}


def agreed(**change: Any) -> Job:
    keys = {"name": "joint", "rows": ROWS, "features": NAMES, "columns": WORD}
    return Job.model_validate_json(json.dumps(keys | change))


def tables(directory: Path, first: int, count: int, label: bool) -> dict[str, Path]:
    """Some rows of a population, at each holder its own columns."""
    draw = np.random.default_rng(7)
    numbers = draw.normal(2, 3, (ROWS + NEW, 3)).round(3)
    words = draw.choice(["x", "y", ""], ROWS + NEW)
    y = (numbers.sum(1) + 2 * (words == "x") + draw.normal(size=ROWS + NEW) > 6).astype(int)
    found = {party: directory / f"{party}.csv" for party in NAMES}
    columns: dict[str, dict[str, Any]] = {
        "alice": dict(zip(NAMES["alice"], numbers[:, :2].T, strict=True)),
        "bob": {"b0": numbers[:, 2], "word": words} | ({"fraud": y} if label else {}),
    }
    for party, own in columns.items():
        lines = zip(*(column[first : first + count] for column in own.values()), strict=True)
        text = [",".join(own), *(",".join(map(str, line)) for line in lines)]
        found[party].write_text("\n".join(text) + "\n")
    return found


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run that trained, new rows, and a cache."""
    names = ("trained", "old", "new", "cache")
    made = {name: tmp_path_factory.mktemp(name) for name in names}
    job = agreed(
        label={"bob": "fraud"},
        model={"kind": "linear-regression", "unit": 2.0},
        training={"passes": 24, "tolerance": 0},
    )
    run_planned(job, tables(made["old"], 0, ROWS, label=True), made["trained"], made["cache"])
    tables(made["new"], ROWS, NEW, label=False)
    return made


def scoring(trained: Path, **change: Any) -> Job:
    digest = json.loads((trained / "alice/model.json").read_text())["job"]
    model = {"kind": "joint-scores", "holder": "alice", "trained_by": digest}
    model |= {"predicts": "linear-regression", "unit": 2.0}
    return agreed(**{"name": "scores", "rows": NEW, "model": model} | change)


def alone(
    trained: Path,
    new: Path,
    directory: Path,
    absent: Mapping[str, tuple[dict[str, Any], set[int]]] = MappingProxyType({}),
) -> Any:
    """The scores of one table with all columns, by what both parties have of the training.

    ``absent``: what stands in a holder's columns of some rows."""
    model = json.loads((trained / "alice/model.json").read_text())
    own = ColumnsDocument.load(trained / "bob/columns.json")
    for name, mean, scale in zip(own.features, own.mean, own.scale, strict=True):
        at = model["features"].index(name)
        assert model["mean"][at] is model["scale"][at] is None, "its receiver does not know them"
        model["mean"][at], model["scale"][at] = mean, scale
    model["columns"] |= own.columns
    model["health"]["all_columns"] = True
    (directory / "whole.json").write_text(json.dumps(model))
    sides = [(new / f"{party}.csv").read_text().splitlines() for party in NAMES]
    for side, party in zip(sides, NAMES, strict=True):
        values, rows = absent.get(party, ({}, set()))
        for row in rows:
            side[row + 1] = ",".join(str(values[name]) for name in NAMES[party])
    whole = "\n".join(",".join(line) for line in zip(*sides, strict=True)) + "\n"
    (directory / "whole.csv").write_text(whole)
    from party.scoring.rows import batches

    scorer = Scorer.read(directory / "whole.json")
    (batch,) = batches(directory / "whole.csv", scorer.schemas)
    return scorer.predict(batch.codes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "result"),
    [("pond", "both"), ("aby3", "alice"), ("aby3", "bob"), ("securenn", "bob")],
)
def test_scores_are_those_of_one_table_and_go_to_whom_the_job_says(
    protocol: str, result: str, places: dict[str, Path], tmp_path: Path
) -> None:
    trained, new = places["trained"], places["new"]
    job = scoring(trained, protocol=protocol, result=result)
    files = {party: new / f"{party}.csv" for party in NAMES}
    if protocol == "aby3":  # as a cluster brings them
        for holder in HOLDERS:
            text = Taken(files[holder], Expected.of(job, holder)).pieces()
            files[holder] = tmp_path / f"{holder}-parts"
            write(files[holder], *packed(text, job.domain, holder))
    output = tmp_path / "out"
    cached(job, places["cache"])
    run = run_local(job, files, output, cache=places["cache"], trained=trained)
    assert not run.models
    receivers = ["alice", "bob"] if result == "both" else [result]
    for party in ("alice", "bob", "server"):
        assert (output / party / "scores.csv").exists() is (party in receivers)
        assert not (output / party / "model.json").exists()
    expected = alone(trained, new, tmp_path)
    for party in receivers:
        head, *lines = (output / party / "scores.csv").read_text().splitlines()
        assert head == "score"
        # In the unit of 2, by less than one unit of what is opened, and for its factors.
        atol = 2.0 * 2.0**-OPENED_BITS + 1e-6
        np.testing.assert_allclose(np.array(lines, float), expected, rtol=0, atol=atol)


def keyed(file: Path, names: list[str], lines: list[int], target: Path) -> Path:
    """Some lines of a table, each with its identifier."""
    head, *text = file.read_text().splitlines()
    rows = [f"{names[i]},{text[i]}" for i in lines]
    target.write_text("\n".join([f"who,{head}", *rows]) + "\n")
    return target


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "left"), [("pond", "bob"), ("aby3", "alice")])
def test_all_rows_of_one_table_are_scored_whoever_is_in_the_other(
    protocol: str, left: Holder, places: dict[str, Path], tmp_path: Path
) -> None:
    """In shuffled tables that overlap in part, common rows have the scores of tables in order, and
    the others those of a row of gaps, or of means where a column takes none. Alice has the model,
    whichever table is the left one."""
    trained, new = places["trained"], places["new"]
    right: Holder = "bob" if left == "alice" else "alice"
    names, draw = [f"Customer {i}" for i in range(NEW)], np.random.default_rng(3)
    alone_at_left = set(range(0, NEW, 3))
    order = {
        left: draw.permutation(NEW).tolist(),
        right: [i for i in draw.permutation(NEW).tolist() if i not in alone_at_left],
    }
    files: dict[str, Path] = {}
    for party, lines in order.items():
        whose = names if party == left else [f" {name.upper()}" for name in names]
        files[party] = keyed(new / f"{party}.csv", whose, lines, tmp_path / f"{party}.csv")
    with files[right].open("a") as more:
        for i in range(9):
            more.write(f"nobody's {i},{(new / f'{right}.csv').read_text().splitlines()[i + 1]}\n")

    align = {"key": "who", "join": "left", "minimum": NEW - len(alone_at_left)}
    job = scoring(trained, protocol=protocol, result=left, align=align, rows=0)
    output = tmp_path / "out"
    run = run_planned(job, files, output, places["cache"], trained=trained, approve=True)
    assert not (output / right / "scores.csv").exists()
    sizes = {one.alignment.sizes for one in run.report.parties.values() if one.alignment}
    (known,) = sizes
    assert (getattr(known, left), getattr(known, right), known.common) == (NEW, NEW - 10 + 9, None)

    model = json.loads((trained / "alice/model.json").read_text())
    own = ColumnsDocument.load(trained / "bob/columns.json")
    means = dict(zip(model["features"], model["mean"], strict=True))
    means |= dict(zip(own.features, own.mean, strict=True))
    gaps = {"a0": means["a0"], "a1": means["a1"], "b0": means["b0"], "word": ""}
    expected = alone(trained, new, tmp_path, {right: (gaps, alone_at_left)})
    _, *lines = (output / left / "scores.csv").read_text().splitlines()
    atol = 2.0 * 2.0**-OPENED_BITS + 1e-6
    np.testing.assert_allclose(np.array(lines, float), expected[order[left]], rtol=0, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["rows", "digest", "swapped"])
def test_wrong_input_of_one_party_ends_all_before_anything_is_opened(
    wrong: str, places: dict[str, Path], tmp_path: Path
) -> None:
    trained, new = places["trained"], places["new"]
    job, files = scoring(trained), {party: new / f"{party}.csv" for party in NAMES}
    if wrong == "rows":
        files["bob"] = tmp_path / "fewer.csv"
        files["bob"].write_text("\n".join((new / "bob.csv").read_text().splitlines()[:-1]) + "\n")
        words = f"bob: the table has {NEW - 1} rows, and the job says {NEW}"
    elif wrong == "digest":
        job = scoring(trained, model=job.model.model_dump() | {"trained_by": "f" * 64})  # type: ignore[union-attr]
        words = "the file is of the training"
    else:
        files = {"alice": new / "bob.csv", "bob": new / "alice.csv"}
        words = "the table has no column"
    with pytest.raises(InputError, match=words):
        run_local(job, files, tmp_path / "out", cache=places["cache"], trained=trained)
    assert not list(tmp_path.glob("out/*/scores.csv"))


def test_a_run_does_not_remove_the_model_that_it_takes(
    places: dict[str, Path], tmp_path: Path
) -> None:
    trained, files = places["trained"], {party: places["new"] / f"{party}.csv" for party in NAMES}
    train = agreed(label={"bob": "fraud"})
    for job, output, part, words in (
        (scoring(trained), trained, trained, "would remove the model"),
        (scoring(trained), tmp_path / "out", None, "a job that scores takes a model"),
        (train, tmp_path / "out", trained, "trains a model, and takes none"),
        (scoring(trained), tmp_path / "out", tmp_path, "cannot read what the training left"),
    ):
        with pytest.raises(InputError, match=words):
            run_local(job, files, output, trained=part)
    assert (trained / "alice/model.json").exists()
