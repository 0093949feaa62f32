"""``deployer data describe`` and ``check``, on tables of words, gaps and days."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from party.agreement.job import parse_job
from party.table import load
from party.table.describing import FEWEST_ROWS
from tests.deployer.conftest import Deployer
from tests.harness.processes import PATIENCE_S

VOYAGE = Path(__file__).resolve().parents[3] / "examples/voyage"
COMMAND = [sys.executable, "-c", "from deployer.cli import main; main()", "data"]


def test_describe_shows_each_column_to_its_holder(deployer_data: Deployer) -> None:
    done = deployer_data("describe", VOYAGE / "alice.csv")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "900 rows, 7 columns"
    assert " ".join(lines[3].split()) == "age number 194 gaps 120 values 0.5 … 71"
    kinds = {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert kinds == {
        "travels": "category",
        "sex": "category",
        "age": "number",
        "fare": "number",
        "port": "category",
        "alone": "boolean",
        "booked": "date",
    }


def test_describe_writes_what_a_job_can_be_made_of(tmp_path: Path, deployer_data: Deployer) -> None:
    out = tmp_path / "public.yaml"
    done = deployer_data("describe", VOYAGE / "alice.csv", "--job-out", out, "--yes")
    assert done.code == 0
    assert "the categories of travels, sex, port" in done.err
    job = parse_job(f"name: voyage\nlabel: fate\n{out.read_text()}", "JOB")
    table = load(VOYAGE / "alice.csv", job, "alice")
    assert table.matrix.shape == (900, len(job.derived_of("alice")) + 1)


def test_describe_does_not_write_where_nobody_can_be_asked(
    tmp_path: Path, deployer_data: Deployer
) -> None:
    out = tmp_path / "public.yaml"
    done = deployer_data("describe", VOYAGE / "alice.csv", "--job-out", out)
    assert done.code == 2 and not out.exists()
    assert "nobody is there to ask" in done.err and "--yes" in done.err


@pytest.mark.parametrize(("answer", "written"), [(b"y\n", True), (b"n\n", False)])
def test_describe_asks_before_names_leave(answer: bytes, written: bool, tmp_path: Path) -> None:
    out = tmp_path / "public.yaml"
    master, slave = pty.openpty()
    arguments = ["describe", str(VOYAGE / "alice.csv"), "--job-out", str(out)]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(slave)
        os.write(master, answer)
        process.communicate(timeout=PATIENCE_S)
    os.close(master)
    assert out.exists() is written
    assert (process.returncode == 0) is written


def test_a_rare_value_is_not_proposed(tmp_path: Path, deployer_data: Deployer) -> None:
    """In a few rows alone it may tell who it is."""
    rows = ["a"] * 20 + ["b"] * FEWEST_ROWS + ["pope"] * (FEWEST_ROWS - 1)
    (tmp_path / "t.csv").write_text("\n".join(["who", *rows]) + "\n")
    out = tmp_path / "public.yaml"
    deployer_data("describe", tmp_path / "t.csv", "--job-out", out, "--yes")
    assert '"values": ["a", "b"]' in out.read_text() and "pope" not in out.read_text()


def test_free_text_is_no_feature(tmp_path: Path, deployer_data: Deployer) -> None:
    rows = [f"person {i},{i}" for i in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(["name,n", *rows]) + "\n")
    out = tmp_path / "public.yaml"
    deployer_data("describe", tmp_path / "t.csv", "--job-out", out, "--yes")
    assert 'features: ["n"]' in out.read_text() and "name" not in out.read_text().split("\n", 2)[2]


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, deployer_data: Deployer) -> None:
    out = tmp_path / "public.yaml"
    out.write_text("mine")
    done = deployer_data("describe", VOYAGE / "alice.csv", "--job-out", out, "--yes")
    assert done.code == 2 and out.read_text() == "mine"


def test_a_table_without_names_is_not_described(tmp_path: Path, deployer_data: Deployer) -> None:
    (tmp_path / "t.csv").write_text("1,2\n3,4\n")
    done = deployer_data("describe", tmp_path / "t.csv")
    assert done.code == 2
    assert done.err.startswith("error: the first row is not one of names")


def test_check_says_what_training_does_with_each_column_and_no_value(
    deployer_data: Deployer,
) -> None:
    done = deployer_data("check", VOYAGE / "job.yaml", "alice", VOYAGE / "alice.csv")
    said = {line.split()[0]: line for line in done.out.splitlines()[3:]}
    assert "194 gaps, filled with the median; an indicator of gaps" in said["age"]
    assert "72 cells of other values, the baseline" in said["travels"]
    assert "log1p; clipped at its quantiles 0.01 and 0.99" in said["fare"]
    assert "29.5" not in done.out and "Queensland" not in done.out
    assert "7 features (11 columns of the model)" in done.out


def test_check_as_json_says_the_same(deployer_data: Deployer) -> None:
    arguments = (VOYAGE / "job.yaml", "alice", VOYAGE / "alice.csv", "--json")
    columns = json.loads(deployer_data("check", *arguments).out)["columns"]
    port = next(one for one in columns if one["name"] == "port")
    assert (port["type"], port["gaps"], port["other"]) == ("category", 20, 93)


def test_a_table_in_another_form_is_packed_as_the_text_that_it_is(
    tmp_path: Path, deployer_data: Deployer
) -> None:
    """So a pod needs neither Parquet nor settings."""
    job = parse_job(
        "name: packed\nrows: 3\nfeatures: [a, w]\nlabel: y\n"
        "columns: {a: {missing: mean}, w: {type: category, values: [u]}}",
        "JOB",
    )
    (tmp_path / "job.yaml").write_text(
        "name: packed\nrows: 3\nfeatures: [a, w]\nlabel: y\n"
        "columns: {a: {missing: mean}, w: {type: category, values: [u]}}\n"
    )
    parquet.write_table(
        pa.table({"w": ["u", 'v, "w"', None], "more": [1, 2, 3], "a": [1.5, None, 3]}),
        tmp_path / "t.parquet",
    )
    (tmp_path / "t.csv").write_text('w;a\nu;1,5\n"v, ""w""";?\nx;3\n')
    (tmp_path / "t.yaml").write_text("{file: t.csv, separator: ';', decimal: ',', gaps: ['?']}")
    with pytest.raises(Exception, match="the cell is empty"):
        load(tmp_path / "t.parquet", job, "alice")
    parquet.write_table(
        pa.table({"w": ["u", 'v, "w"', "x"], "more": [1, 2, 3], "a": [1.5, None, 3]}),
        tmp_path / "t.parquet",
    )
    matrices = []
    for name in ("t.parquet", "t.yaml"):
        parts = tmp_path / f"{name}-parts"
        done = deployer_data("split", tmp_path / "job.yaml", "alice", tmp_path / name, "-o", parts)
        assert done.code == 0, done.err
        found = load(parts, job, "alice")
        assert found.digest == load(tmp_path / name, job, "alice").digest
        matrices.append(found.matrix)
    assert (matrices[0] == matrices[1]).all()
