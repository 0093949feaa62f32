"""``deployer data``, as an operator sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples/fraud"
DIGEST = "5b84d656c253924d9961143ee40f6864e50ff2f5a6e2644f216740a744a21e4e"


def deployer_data(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = "import sys; from deployer.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, "data", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_says_that_a_table_fits() -> None:
    done = deployer_data("check", EXAMPLE / "job.yaml", "alice", EXAMPLE / "alice.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "fits alice in the job 'fraud'" in done.stdout
    assert "7000, 16 features" in done.stdout and DIGEST in done.stdout


@pytest.mark.parametrize(
    ("party", "table", "error"),
    [
        ("bob", "alice.csv", "error: the row has 16 cells, and the job 1 columns"),
        ("alice", "none.csv", "error: cannot read the table: No such file or directory"),
    ],
)
def test_check_says_what_does_not_fit(party: str, table: str, error: str) -> None:
    done = deployer_data("check", EXAMPLE / "job.yaml", party, EXAMPLE / table)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{error}\n  where: {EXAMPLE / table}")


def test_the_third_server_has_no_table() -> None:
    done = deployer_data("check", EXAMPLE / "job.yaml", "server", EXAMPLE / "alice.csv")
    assert done.returncode == 2 and "'server' is not one of" in done.stderr


def test_what_split_writes_check_takes(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    done = deployer_data(
        "split", EXAMPLE / "job.yaml", "bob", EXAMPLE / "bob.csv", "--output", parts
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in parts.iterdir()) == ["manifest.json", "part-000"]
    assert deployer_data("check", EXAMPLE / "job.yaml", "bob", parts).returncode == 0


def test_no_tensorflow_is_imported() -> None:
    script = (
        "import sys, deployer.commands.data;assert not {'tensorflow', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
