"""The process that reads a table: its errors, its memory, its end."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from party.agreement.job import Descent, Job
from party.models.registry import model_of
from party.process.errors import InputError, JobError
from party.table import load, read_table

from .conftest import LABELS, ROWS

CANARY = "4711.0815"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(ROWS))
    return path


def test_a_child_reads_what_this_process_reads(path: Path, job: Job) -> None:
    here, there = read_table(path, job, "alice"), load(path, job, "alice")
    for name in ("matrix", "mean", "scale"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    assert here.digest == there.digest
    path.write_text("\n".join(LABELS))
    labels = load(path, job, "bob")
    assert labels.matrix.tolist() == [[1], [0], [0], [1]] and labels.mean is None


def test_the_loaded_matrix_cannot_be_written_to(path: Path, job: Job) -> None:
    matrix = load(path, job, "alice").matrix
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        matrix.flags.writeable = True


def test_the_model_has_room_for_all_its_rows_where_the_table_is(path: Path, job: Job) -> None:
    """So that a table is in memory once."""
    job = job.model_copy(update={"training": Descent()})
    model = model_of(job.parameters)
    table, alone = load(path, job, "alice"), read_table(path, job, "alice")
    assert table.room is not None and alone.room is None
    assert np.shares_memory(table.room, table.matrix)
    home = model.at_home(job, "alice", table.matrix, table.room)
    np.testing.assert_array_equal(home, model.at_home(job, "alice", alone.matrix))
    assert home is table.room and len(home) == model.rows_at_home(job)
    assert not np.allclose(table.matrix, alone.matrix)
    model.back_from_home(job, "alice", table.room)
    np.testing.assert_allclose(table.matrix, alone.matrix, rtol=1e-5, atol=1e-5)


def test_an_error_comes_out_of_the_child_as_it_is(path: Path, job: Job) -> None:
    path.write_text("\n".join(ROWS).replace("7", CANARY + "x"))
    with pytest.raises(InputError) as here:
        read_table(path, job, "alice")
    with pytest.raises(InputError) as there:
        load(path, job, "alice")
    assert str(here.value) == str(there.value)
    assert there.value.where == f"{path}, line 2, column 3 ('f3')" and there.value.hint


@pytest.mark.slow
def test_no_file_stays_open(path: Path, job: Job) -> None:
    load(path, job, "alice")
    gc.collect()  # what other tests left open is not to close in between
    before = len(list(Path("/proc/self/fd").iterdir()))
    load(path, job, "alice")
    with pytest.raises(InputError):
        load(path.with_name("none"), job, "alice")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("does", "ending"),
    [
        ("kill -KILL $$", "was ended by SIGKILL\n  where: {}\n  do: was memory short"),
        ("kill -BUS $$", "was ended by SIGBUS\n  where: {}\n  do: was memory short"),
        (f"echo {CANARY} >&2; echo {CANARY}; exit 3", "was ended with exit code 3\n  where: {}"),
        (f"cat >/dev/null; echo half an answer: {CANARY}", "gave no answer\n  where: {}"),
    ],
)
def test_a_child_that_dies_is_an_error(
    path: Path, job: Job, monkeypatch: pytest.MonkeyPatch, does: str, ending: str
) -> None:
    child = path.with_name("child")
    child.write_text(f"#!/bin/sh\n{does}\n")
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    with pytest.raises(JobError) as caught:
        load(path, job, "alice")
    assert str(caught.value).startswith("the process that reads the table " + ending.format(path))
    assert CANARY not in str(caught.value)


def test_an_internal_error_in_the_child_names_its_place_and_no_value(
    path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = path.parent / "pyarrow"
    broken.mkdir()
    (broken / "__init__.py").write_text(f"raise RuntimeError('{CANARY}')")
    monkeypatch.setenv("PYTHONPATH", str(path.parent))
    with pytest.raises(JobError) as caught:
        load(path, job, "alice")
    assert str(caught.value).startswith(
        "the table cannot be read, by an internal error: RuntimeError"
    )
    assert CANARY not in str(caught.value)


def test_the_child_imports_nothing_from_the_current_directory(
    path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("party", "numpy", "json", "pyarrow"):
        (path.parent / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(path.parent)
    assert load(path, job, "alice").matrix.shape == (4, 4)


def test_the_party_itself_never_imports_the_csv_library(path: Path, job: Job) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from party.agreement.job import Job
        from party.table import load
        job = Job.model_validate_json({job.model_dump_json()!r})
        load(Path({str(path)!r}), job, "alice")
        assert not {{"pyarrow", "tensorflow", "pandas"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


@pytest.mark.slow
def test_memory_is_flat_in_rows(tmp_path: Path) -> None:
    """Beyond the matrix, reading ten times the rows takes no more memory."""
    small, large = (peak_of_child(tmp_path, rows) for rows in (10_000, 100_000))
    matrices = [rows * 101 * 4 / 2**20 for rows in (10_000, 100_000)]
    assert large - matrices[1] < small - matrices[0] + 8
    assert large - matrices[1] < 128


def peak_of_child(directory: Path, rows: int) -> float:
    """Peak MiB of the child that loads a table of 100 columns, its matrix included."""
    rng = random.Random(rows)
    lines = [",".join(f"{rng.gauss(0, 1):.6f}" for _ in range(100)) + "\n" for _ in range(100)]
    path = directory / f"{rows}.csv"
    with path.open("w") as file:
        for _ in range(rows // 100):
            file.writelines(lines)
    script = f"""
        import resource
        from pathlib import Path
        from party.agreement.job import Job, Training
        from party.table import load
        names = tuple(f"f{{i}}" for i in range(100))
        training = Training(epochs=1, batch_size=1024, learning_rate=0.25)
        job = Job(name="large", rows={rows}, features=names, label="y", training=training)
        load(Path({str(path)!r}), job, "alice")
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, stdout=subprocess.PIPE
    )
    return int(done.stdout) / 1024


def test_the_process_that_reads_a_table_imports_what_it_needs_alone() -> None:
    """It starts with every run, and the run waits for it."""
    code = (
        "import sys, party.table.reader; print({'pydantic', 'pyarrow.compute'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
