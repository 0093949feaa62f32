"""``deployer run``: one command, three processes, the weights; or one error and nothing left."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from deployer.example import EXAMPLE
from deployer.local.run import LOG, run_local
from party.agreement.job import PARTIES, Job, load_job
from party.agreement.pins import Identities
from party.process import children
from party.process.errors import InputError, JobError
from tests.deployer.local.commands import Commands, child_of, command_line, deployer, gone
from tests.harness.processes import ENDLESS, PATIENCE_S, Processes

pytestmark = pytest.mark.slow

_UNTIL_ENDED = ["tail", "-f", "/dev/null"]


def loaded(processes: Processes) -> tuple[Job, dict[str, Path]]:
    tables = {party: processes.directory / f"{party}.csv" for party in ("alice", "bob")}
    return load_job(processes.directory / "job.yaml"), tables


def test_a_library_call_returns_the_model_and_the_report(processes: Processes) -> None:
    seen: list[str] = []
    result = run_local(
        *loaded(processes),
        processes.directory / "out",
        cache=processes.cache,
        progress=lambda status: seen.append(status.phase),
    )
    model = json.loads((processes.directory / "out/alice/model.json").read_text())
    assert {party: one.as_json() for party, one in result.models.items()} == {"alice": model}
    assert len(model["weights"]) == 2
    report = json.loads((processes.directory / "out/report.json").read_text())
    assert report == result.report.as_json()
    assert {*report["times"]} >= {"import_s", "build_s", "connect_s", "step_s", "whole_s"}
    assert report["bytes"] == sum(
        one["traffic"]["bytes_sent"] for one in report["parties"].values()
    )
    assert report["messages"] > 0 and report["rounds"] > 0
    assert all(0 < report["peak_bytes"][party] < 80 * 2**20 for party in PARTIES)
    assert "done" in seen


def test_the_command_prints_the_weights_by_name(processes: Processes) -> None:
    room = processes.directory / "room"
    room.mkdir()
    process = deployer(*command_line(processes), "--output", processes.directory / "out", room=room)
    said, words = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, words) == (0, "")
    model = json.loads((processes.directory / "out/alice/model.json").read_text())
    for name, weight in zip(model["features"], model["weights"], strict=True):
        assert f"{name:<9}  {weight:+.6f}\n" in said
    assert f"intercept  {model['intercept']:+.6f}\n" in said
    assert not list(room.iterdir()), "the keys are gone"


def test_wrong_input_of_one_party_ends_all_with_its_words(processes: Processes) -> None:
    path = processes.directory / "bob.csv"
    path.write_text(path.read_text().replace("\n1\n", "\n7\n", 1))
    begin = time.monotonic()
    process = deployer(*command_line(processes), "--output", processes.directory / "out")
    _, words = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert words.startswith("error: bob: ") and f"where: {path}" in words
    assert "7" not in words.splitlines()[0].removeprefix("error: bob: ")
    assert time.monotonic() - begin < PATIENCE_S, "nobody waits ten minutes for who will not come"
    assert not (processes.directory / "out/alice/model.json").exists()


def test_a_wrong_table_is_told_before_there_is_a_plan(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = children.command

    def without_builder(module: str) -> list[str]:
        return _UNTIL_ENDED if module == "party.compiler.driver" else command(module)

    monkeypatch.setattr(children, "command", without_builder)
    path = processes.directory / "bob.csv"
    path.write_text(path.read_text().replace("\n1\n", "\n7\n", 1))
    job, tables = loaded(processes)
    with pytest.raises(InputError, match=r"bob: .*label") as caught:
        run_local(job, tables, processes.directory / "out", cache=tmp_path / "fresh")
    assert caught.value.where is not None and str(path) in caught.value.where
    assert child_of(os.getpid(), _UNTIL_ENDED[0]) is None


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["nowhere.yaml"], "cannot read the job: No such file or directory"),
        (["--protocol", "spdz"], "Invalid value for '--protocol'"),
        (["--runtime", "magic"], "Invalid value for '--runtime'"),
    ],
)
def test_wrong_usage_is_refused(tmp_path: Path, words: list[str], what: str) -> None:
    process = deployer("run", *words, cwd=tmp_path)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2 and what in said


def test_a_table_that_is_not_there_is_said(processes: Processes) -> None:
    job, tables = loaded(processes)
    with pytest.raises(InputError, match="there is no table for bob") as caught:
        run_local(
            job, tables | {"bob": processes.directory / "no.csv"}, processes.directory / "out"
        )
    assert caught.value.where == str(processes.directory / "no.csv")


@pytest.mark.parametrize(
    ("approvals", "what"), [(False, "makes its own"), (True, "those of approvals are not here")]
)
def test_a_job_with_pins_is_refused_before_a_former_result_is_removed(
    tmp_path: Path, approvals: bool, what: str
) -> None:
    pins: dict[str, dict[str, str]] = {}
    for n, party in enumerate(PARTIES):
        pins[party] = {"key": f"sha256:{n:064x}"}
        if approvals:
            pins[party]["approval"] = f"sha256:{n + 3:064x}"
    job = load_job(EXAMPLE / "job.yaml")
    job = Job.model_validate(job.model_dump() | {"identities": Identities.model_validate(pins)})
    model = tmp_path / "out/alice/model.json"
    model.parent.mkdir(parents=True)
    model.write_text("{}")
    with pytest.raises(InputError, match=what):
        run_local(job, {}, tmp_path / "out")
    assert model.exists()


def test_a_job_that_somebody_has_written_is_not_written_over(tmp_path: Path) -> None:
    """The folder of the job and its tables is given for the results."""
    written = tmp_path / "job.yaml"
    written.write_bytes((EXAMPLE / "job.yaml").read_bytes())
    tables: dict[str, Path] = {party: EXAMPLE / f"{party}.csv" for party in ("alice", "bob")}
    for text in (written.read_bytes(), b"rows: 7\n", b"\xff"):
        written.write_bytes(text)
        with pytest.raises(InputError, match="over a file that no run has left") as caught:
            run_local(load_job(EXAMPLE / "job.yaml"), tables, tmp_path)
        assert caught.value.where == str(written) and caught.value.hint
        assert {path.name for path in tmp_path.iterdir()} == {"job.yaml"}
        assert written.read_bytes() == text

    # One that a run of another version has left makes room, as all that a run leaves.
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice" / LOG).touch()
    with pytest.raises(InputError, match="bob: "):
        run_local(load_job(EXAMPLE / "job.yaml"), tables | {"bob": tables["alice"]}, tmp_path)
    assert load_job(written) == load_job(EXAMPLE / "job.yaml")


def test_no_party_is_left_when_one_dies(tmp_path: Path, cache: Path) -> None:
    with Commands(tmp_path, cache, **ENDLESS) as commands:
        run = commands.run()
        pids = run.is_running()
        os.kill(pids["server"], signal.SIGKILL)
        code, _, words = run.ends()
        assert code == 1 and words.startswith("error: server was ended by SIGKILL"), words
        assert all(gone(pid) for pid in pids.values())


def test_a_time_limit_is_said_once(tmp_path: Path, cache: Path) -> None:
    processes = Processes(tmp_path, cache, **ENDLESS)
    processes.close()
    with pytest.raises(JobError, match="the time limit has passed"):
        run_local(*loaded(processes), tmp_path / "out", cache=cache, time_limit_s=0.5)


def test_the_schedules_can_be_read(processes: Processes) -> None:
    process = deployer(*command_line(processes), "--explain")
    said, words = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, words) == (0, "")
    for party in PARTIES:
        assert f"schedule of {party}, plan " in said
    assert not (processes.directory / "out").exists()
