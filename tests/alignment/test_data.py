"""A table that is to be aligned on its way to a pod: with its identifiers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployer.cli import app
from deployer.commands.data import Owner, checked, split, write
from party.agreement.yaml12 import write_yaml
from party.alignment import load_for
from party.table.findings import UnfitTableError
from tests.harness.alignments import aligned_job, write_table

pytestmark = pytest.mark.usefixtures("tables_read_here")

JOB = aligned_job()
NAMES = ["note", "x", "id", "secret"]
ROWS = [
    ('"a, b"', i * 1.5, name, 7) for i, name in enumerate(["Ä-1", '"q,u"', "c3", '"say ""4"""'])
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.csv", NAMES, ROWS)


def test_parts_have_the_identifiers_and_the_jobs_columns_alone(table: Path, tmp_path: Path) -> None:
    manifest, parts = split(table, JOB, Owner.alice)
    write(tmp_path / "parts", manifest, parts)
    one, whole = load_for(table, JOB, "alice")
    other, again = load_for(tmp_path / "parts", JOB, "alice")
    assert whole is not None and again is not None
    assert whole.text.tobytes() == again.text.tobytes()
    assert one.digest == other.digest == manifest.sha256
    assert (one.matrix == other.matrix).all()
    assert (one.ignored, other.ignored) == ((1, 4), ())


def test_check_says_what_an_alignment_will_take(table: Path, tmp_path: Path) -> None:
    found = checked(table, JOB, Owner.alice)
    assert (found.fits, found.rows, found.identifiers) == (True, 4, 4)
    job = tmp_path / "job.yaml"
    job.write_text(write_yaml(JOB.model_dump(mode="json")))
    said = CliRunner().invoke(app, ["data", "check", str(job), "alice", str(table)])
    assert said.exit_code == 0, said.output
    assert "key     id: 4 identifiers, none missing" in said.output
    assert "used    the rows in common, if they are" in said.output
    assert "q,u" not in said.output


def test_check_says_what_it_will_refuse(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", ["id", "x"], [("a", 1), ("A", 2), ("", 3)])
    found = checked(path, JOB, Owner.alice)
    assert not found.fits
    assert [one.kind for one in found.findings] == ["missing-identifier", "repeated-identifier"]
    with pytest.raises(UnfitTableError):
        split(path, JOB, Owner.alice)
    first = aligned_job(align={"key": "id", "duplicates": "first"})
    path = write_table(tmp_path / "u.csv", ["id", "x"], [("a", 1), ("A", 2), ("b", 3)])
    found = checked(path, first, Owner.alice)
    assert (found.fits, found.rows, found.identifiers) == (True, 3, 2)
