"""``deployer approve``: what will be done is said in plain words, and signed by the right key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deployer.certs.authority import make_approver, write_files
from deployer.commands.approve import app
from party.agreement.job import PARTIES, load_job
from party.approval import Approval, Envelope, public_digest, read_private_key
from party.process.errors import InputError
from tests.harness.processes import Processes

pytestmark = pytest.mark.slow


@pytest.fixture
def room(tmp_path: Path, cache: Path) -> Path:
    """A job that pins keys of approvals, its tables, and these keys under ``approvers``."""
    processes = Processes(tmp_path, cache)
    processes.close()
    pins = {}
    for n, party in enumerate(PARTIES):
        folder = tmp_path / "approvers" / party
        folder.mkdir(parents=True)
        write_files(folder, make_approver())
        key = read_private_key(folder / "approval.key")
        pins[party] = {"key": f"sha256:{n:064x}", "approval": public_digest(key)}
    processes.write_job("plain.yaml")
    processes.write_job("job.yaml", identities=pins)
    return tmp_path


def run(room: Path, cache: Path, *words: object) -> str:
    """Run the command in the room; its errors are raised, its output returned."""
    given = [str(room / w) if isinstance(w, Path) else str(w) for w in words]
    given += ["--cache", str(cache), "--output", str(room / "approvals")]
    result = CliRunner().invoke(app, given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


JOB, TABLE = Path("job.yaml"), Path("bob.csv")
KEY = Path("approvers/bob/approval.key")


def test_what_a_job_does_is_said_and_then_signed(room: Path, cache: Path) -> None:
    words = ("bob", "--key", KEY, "--table", TABLE, "--yes", "--runs", 2)
    said = run(room, cache, JOB, *words)
    job = load_job(room / "job.yaml")
    for expected in (
        job.digest,
        "a logistic regression on 64 rows, by pond",
        "from alice's columns age, amount",
        "to predict bob's column fraud",
        "weights.alice, to alice (at the end)\n  and nothing else",
        f"server: key sha256:{2:064x}, approvals sha256:",
        "messages and",
        "bob approves that the result is opened 2 times, until 20",
    ):
        assert expected in said
    file = room / "approvals/bob.json"
    approval = Approval.of(Envelope.read(file), str(file))
    assert (approval.party, approval.job, approval.runs) == ("bob", job.digest, 2)
    assert approval.plan is not None and approval.plan in said
    assert (room / "approvals/bob.salt").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="bob has approved already"):
        run(room, cache, JOB, *words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((Path("plain.yaml"), "bob", "--key", KEY), "the job names no keys of approvals"),
        ((JOB, "bob"), "an approval is signed"),
        ((JOB, "bob", "--key", KEY), "bob commits to its table"),
        ((JOB, "server", "--key", KEY), "and the job pins sha256:"),
        ((JOB, "bob", "--key", Path("bob.csv")), "the key is not a private key in PEM"),
        ((JOB, "bob", "--key", KEY, "--table", TABLE), "nobody is there to say that bob approves"),
        (
            (JOB, "bob", "--key", KEY, "--table", TABLE, "--policy", Path("policy.yaml")),
            "the policy does not allow it: receivers: alice would receive weights; rows_per_feature"
            ": 64 rows are less than 40 for each of 2 features",
        ),
    ],
)
def test_what_cannot_be_approved_is_refused_and_nothing_is_signed(
    room: Path, cache: Path, words: tuple[object, ...], expected: str
) -> None:
    policy = {"receivers": ["bob"], "rows_per_feature": 40}
    (room / "policy.yaml").write_text(yaml.safe_dump(policy))
    with pytest.raises(InputError) as caught:
        run(room, cache, *words)
    assert expected in caught.value.what and caught.value.hint
    assert not (room / "approvals").exists()
