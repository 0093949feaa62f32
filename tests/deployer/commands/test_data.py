"""``deployer data``, as an operator sees it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deployer.certs.authority import new_directory
from deployer.commands.data import write
from deployer.local.run import run_local
from party.agreement.hosts import load_hosts
from party.agreement.job import load_job
from party.identity import load_keys, read_certificates
from party.process import files
from party.process.errors import InputError
from party.reporting.documents import TableCheck
from party.table.expected import Expected
from party.table.parts import Manifest
from party.table.reader import read
from tests.deployer.conftest import Deployer

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/fraud"
CANARY = "4711.0815 EUR"
DIGEST = "5b84d656c253924d9961143ee40f6864e50ff2f5a6e2644f216740a744a21e4e"


def test_check_says_that_a_table_fits(deployer_data: Deployer) -> None:
    done = deployer_data("check", EXAMPLE / "job.yaml", "alice", EXAMPLE / "alice.csv")
    assert (done.code, done.err) == (0, "")
    assert "fits alice in the job 'fraud'" in done.out
    assert "7000, 16 features" in done.out and DIGEST in done.out
    assert "used    all rows" in done.out and "within 32 standard deviations" in done.out
    assert "vif     feature_15 7.99, " in done.out and "and 4 smaller" in done.out


def test_check_names_columns_that_say_the_same(tmp_path: Path, deployer_data: Deployer) -> None:
    rows = [f"{i},{i + i % 2 * 0.1},{i * i % 7}" for i in range(60)]
    (tmp_path / "alice.csv").write_text("\n".join(rows))
    (tmp_path / "job.yaml").write_text("name: alike\nrows: 60\nfeatures: [x, z, u]\nlabel: y\n")
    table = ("alice", tmp_path / "alice.csv")
    said = "columns x, z nearly coincide"
    done = deployer_data("check", tmp_path / "job.yaml", *table)
    assert done.code == 0 and f"warning: {said}" in done.out
    check = TableCheck.parse(deployer_data("check", tmp_path / "job.yaml", *table, "--json").out)
    assert [warning.startswith(said) for warning in check.warnings] == [True]
    assert [(one.factor or 0) > 1000 for one in check.inflation] == [True, True, False]


@pytest.mark.parametrize(
    ("party", "table", "error"),
    [
        ("bob", "alice.csv", "error: the row has 16 cells, and the job 1 columns"),
        ("alice", "none.csv", "error: cannot read the table: No such file or directory"),
    ],
)
def test_check_says_what_does_not_fit(
    party: str, table: str, error: str, deployer_data: Deployer
) -> None:
    done = deployer_data("check", EXAMPLE / "job.yaml", party, EXAMPLE / table)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{error}\n  where: {EXAMPLE / table}")


def test_check_tells_all_that_does_not_fit(tmp_path: Path, deployer_data: Deployer) -> None:
    table = _damaged(tmp_path)
    done = deployer_data("check", EXAMPLE / "job.yaml", "alice", table)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "error: the table does not fit the job:",
        "  empty cells: lines 1, 2, column 1 ('feature_1')",
        "  cells that are not numbers: line 3, column 2 ('feature_2')",
        f"  where: {table}",
        "  do: every row needs a number in every column: fill it in, or all parties leave the row "
        "out",
        "      write numbers as 1234.5 or 1.2345e3, without units or separators of thousands",
    ]


def test_check_as_json_is_a_document_without_values(
    tmp_path: Path, deployer_data: Deployer
) -> None:
    table = _damaged(tmp_path)
    done = deployer_data("check", EXAMPLE / "job.yaml", "alice", table, "--json")
    assert (done.code, done.err) == (2, "")
    check = TableCheck.parse(done.out)
    assert (check.version, check.job, check.party, check.fits) == (1, "fraud", "alice", False)
    assert [(one.kind, one.column, one.lines) for one in check.findings] == [
        ("empty", "feature_1", (1, 2)),
        ("not-a-number", "feature_2", (3,)),
    ]
    assert CANARY not in done.out

    done = deployer_data("check", EXAMPLE / "job.yaml", "alice", EXAMPLE / "alice.csv", "--json")
    check = TableCheck.parse(done.out)
    assert (done.code, check.fits, check.sha256) == (0, True, DIGEST)
    assert not check.findings and check.fault is None
    assert (check.rows_trained, check.rows_held_out, check.largest) == (7000, 0, 32)

    done = deployer_data("check", EXAMPLE / "job.yaml", "alice", tmp_path / "none.csv", "--json")
    check = TableCheck.parse(done.out)
    assert done.code == 2 and not check.fits and check.fault is not None
    assert check.fault.hint and check.fault.where == str(tmp_path / "none.csv")


def test_check_and_split_refuse_labels_of_which_all_of_a_class_are_held_out(
    tmp_path: Path, deployer_data: Deployer
) -> None:
    """The party would, when all is installed."""
    agreed = "name: t\nrows: 200\nfeatures: [x]\nlabel: y\nevaluation: {held_out: 0.3}\n"
    (tmp_path / "job.yaml").write_text(agreed)
    first = int(np.flatnonzero(load_job(tmp_path / "job.yaml").held_out)[0])
    (tmp_path / "bob.csv").write_text("".join(f"{int(row == first)}\n" for row in range(200)))
    words = (tmp_path / "job.yaml", "bob", tmp_path / "bob.csv")
    said = "all labels of the training's rows are the same"
    for command in (("check",), ("split", "-o", tmp_path / "parts")):
        done = deployer_data(command[0], *words, *command[1:])
        assert done.code == 2 and said in done.err, command
    check = TableCheck.parse(deployer_data("check", *words, "--json").out)
    assert not check.fits and check.fault is not None and said in check.fault.what


def _damaged(directory: Path) -> Path:
    lines = (EXAMPLE / "alice.csv").read_text().splitlines()
    for line, column, cell in ((0, 0, ""), (1, 0, " "), (2, 1, CANARY)):
        cells = lines[line].split(",")
        cells[column] = cell
        lines[line] = ",".join(cells)
    path = directory / "alice.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
def test_check_and_split_refuse_a_row_that_the_descent_would(
    tmp_path: Path, deployer_data: Deployer
) -> None:
    """Two columns are the same but for one row of many, which alone says what lies between them."""
    rows = 1 << 21
    job = f"name: far\nrows: {rows}\nfeatures: [x, z]\nlabel: y\ntraining: {{C: 1000.0}}\n"
    (tmp_path / "job.yaml").write_text(job)
    (tmp_path / "alice.csv").write_text("1,1\n-1,-1\n" * (rows // 2 - 1) + "1,-5\n-1,-1\n")
    table = ("alice", tmp_path / "alice.csv")
    for done in (
        deployer_data("check", tmp_path / "job.yaml", *table),
        deployer_data("split", tmp_path / "job.yaml", *table, "--output", tmp_path / "parts"),
    ):
        assert done.code == 2
        assert "stands out too far" in done.err and "clip columns" in done.err
    assert not (tmp_path / "parts").exists()


def test_check_says_which_columns_are_ignored(tmp_path: Path, deployer_data: Deployer) -> None:
    names = ",".join(f"feature_{number}" for number in range(1, 17))
    lines = (EXAMPLE / "alice.csv").read_text().splitlines()
    path = tmp_path / "alice.csv"
    path.write_text("\n".join([f"name,{names}", *(f"{CANARY},{line}" for line in lines)]))
    done = deployer_data("check", EXAMPLE / "job.yaml", "alice", path)
    assert (done.code, done.err) == (0, "")
    notice = "notice: a column is ignored, since the job does not name it: 1\n"
    assert notice in done.out and CANARY not in done.out
    parts = tmp_path / "parts"
    done = deployer_data("split", EXAMPLE / "job.yaml", "alice", path, "--output", parts)
    assert done.code == 0 and notice in done.out
    assert CANARY.encode() not in gzip.decompress((parts / "part-000").read_bytes())


def test_the_third_server_has_no_table(deployer_data: Deployer) -> None:
    done = deployer_data("check", EXAMPLE / "job.yaml", "server", EXAMPLE / "alice.csv")
    assert done.code == 2 and "'server' is not one of" in done.err


def test_what_split_writes_check_takes(tmp_path: Path, deployer_data: Deployer) -> None:
    parts = tmp_path / "parts"
    done = deployer_data(
        "split", EXAMPLE / "job.yaml", "bob", EXAMPLE / "bob.csv", "--output", parts
    )
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in parts.iterdir()) == ["manifest.json", "part-000"]
    assert deployer_data("check", EXAMPLE / "job.yaml", "bob", parts).code == 0


def _nothing() -> NDArray[np.float32]:
    raise AssertionError("there is nothing to fill")


def refusals_in(no_entry: Path) -> None:
    """What is said of a directory that this user may not enter."""
    path = no_entry / "file"
    job, enter = load_job(EXAMPLE / "job.yaml"), ExitStack().enter_context
    # Whatever it loads is loaded first: this user's Python may lie where another may not go.
    expected = Expected.of(job, "alice")
    if os.geteuid() == 0:  # who may enter everything
        os.seteuid(65534)
    for told, refused in (
        ("cannot read the table", lambda: read(path, expected, _nothing)),
        ("cannot read the job", lambda: load_job(path)),
        ("cannot read the hosts map", lambda: load_hosts(path)),
        ("cannot read the file", lambda: load_keys(no_entry, "fraud", "alice")),
        ("cannot read the file", lambda: read_certificates(path)),
        ("cannot read the table of alice", lambda: run_local(job, {"alice": path}, no_entry)),
        ("cannot write the parts", lambda: write(path, Manifest("a", "alice", "", ()), [])),
        ("cannot write into the output directory", lambda: enter(files.owned(path, "a"))),
        ("cannot make the directory", lambda: enter(new_directory(path))),
    ):
        with pytest.raises(InputError) as caught:
            refused()
        assert caught.value.what == f"{told}: Permission denied"
        assert (caught.value.where or "").startswith(str(no_entry)) and caught.value.hint


def test_a_directory_that_may_not_be_entered_is_told_as_one(tmp_path: Path) -> None:
    """In a process of its own: one that locks its memory cannot become another user's."""
    directory = tmp_path / "private"
    directory.mkdir(mode=0)
    script = f"import sys; from {__name__} import *; refusals_in(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, directory], check=True, cwd=ROOT)


def test_no_tensorflow_is_imported() -> None:
    script = (
        "import sys, deployer.commands.data;assert not {'tensorflow', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
