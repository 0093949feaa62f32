"""Rows that are scored on a cluster: what each party is given, and what comes back."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from deployer.cluster.client import Execution
from deployer.cluster.pod_status import observe
from deployer.cluster.secrets import TABLE_DIGEST
from deployer.manifests.values import load_values
from party.agreement.job import HOLDERS, Job
from party.reporting.documents import StatusDocument
from party.scoring.joint import load, load_identified, read
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release
from tests.scoring.models import rows
from tests.scoring.test_joint import KEYS, WHOSE, tables, trained

pytestmark = pytest.mark.usefixtures("tables_read_here")

OFF: dict[str, Any] = {"demo": {"enabled": False}}
FILES = {"alice": "model.json", "bob": "columns.json"}


@pytest.fixture
def values(tmp_path: Path) -> Path:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(OFF | {"job": yaml.safe_load(KEYS)}))
    return file


@pytest.fixture
def job(values: Path) -> Job:
    return load_values([values]).job


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    """What the training left at each holder."""
    return trained(tmp_path)


@pytest.fixture
def new(tmp_path: Path) -> dict[str, Path]:
    """Rows to score, beside a column that is nobody's business, in another order than the job's."""
    whole = tables(tmp_path, rows(30, 5))
    for file in whole.values():
        lines = [line.split(",")[::-1] for line in file.read_text().splitlines()]
        mixed = [[cells[0], f"note {i}", *cells[1:]] for i, cells in enumerate(lines)]
        mixed[0][1] = "remark"
        file.write_text("".join(",".join(line) + "\n" for line in mixed))
    return whole


def mounted(memory: MemoryCluster, directory: Path, *secrets: str) -> Path:
    """A directory as a pod has it."""
    directory.mkdir()
    for secret in secrets:
        for name, text in memory.secrets()[secret].items():
            (directory / name).write_bytes(base64.b64decode(text))
    return directory


@pytest.mark.drawn
@pytest.mark.parametrize("party", HOLDERS)
def test_a_pod_is_given_its_rows_and_its_own_part_of_the_model(
    party: Any,
    memory: MemoryCluster,
    deployer: Deployer,
    values: Path,
    job: Job,
    parts: dict[str, Path],
    new: dict[str, Path],
    tmp_path: Path,
) -> None:
    ran = deployer("data", "put", party, new[party], "--model", parts[party], "-f", values)
    assert ran.code == 0, ran.err
    model = f"scores-{party}-model"
    assert memory.secrets().keys() == {f"scores-{party}-table-0", model}
    assert memory.secrets()[model].keys() == {FILES[party]}

    table = mounted(memory, tmp_path / "table", f"scores-{party}-table-0")
    given = mounted(memory, tmp_path / "model", model)
    there = load(table, given / FILES[party], job, party)
    here = read(new[party], parts[party], job, party)
    np.testing.assert_array_equal(there.ring, here.ring)
    secret = memory.objects["Secret", "default", f"scores-{party}-table-0"]
    approved = secret["metadata"]["annotations"][TABLE_DIGEST]
    assert approved == there.digest, "by which approvals are checked"
    from party.table.packing import unpacked
    from party.table.parts import joined, read_manifest

    text = b"".join(unpacked(joined(table, read_manifest(table, job.domain, party)), table))
    names = ",".join(f"c{i}" for i in WHOSE[party])
    assert text.startswith(f"{names}\n".encode()) and b"note" not in text

    assert deployer("delete", "-f", values, "--secrets", "--yes").code == 0
    assert not memory.secrets()


def test_rows_of_any_size_come_onto_a_volume(
    memory: MemoryCluster,
    deployer: Deployer,
    values: Path,
    job: Job,
    parts: dict[str, Path],
    new: dict[str, Path],
    tmp_path: Path,
) -> None:
    document = yaml.safe_load(values.read_text()) | {"bob": {"tableVolume": {"size": "1Gi"}}}
    values.write_text(yaml.safe_dump(document))
    Release(memory, document)
    memory.volumes["default", "scores-bob-table"] = root = tmp_path / "volume"
    root.mkdir()
    words = ("data", "copy", "bob", new["bob"], "--model", parts["bob"], "-f", values)
    ran = deployer(*words)
    assert ran.code == 0 and "copied" in ran.out and "scores-bob-model" in ran.out, ran.err
    there, here = (read(at, parts["bob"], job, "bob") for at in (root / "table", new["bob"]))
    assert there.digest == here.digest
    assert "unchanged" in deployer(*words).out


def test_a_pod_does_not_take_the_other_partys_rows(
    memory: MemoryCluster, deployer: Deployer, values: Path, parts: dict[str, Path],
    new: dict[str, Path], job: Job, tmp_path: Path,
) -> None:  # fmt: skip
    from party.process.errors import InputError

    deployer("data", "put", "bob", new["bob"], "--model", parts["bob"], "-f", values)
    table = mounted(memory, tmp_path / "table", "scores-bob-table-0")
    with pytest.raises(InputError, match="the table is another party's"):
        read(table, parts["alice"], job, "alice")


@pytest.mark.parametrize(
    ("words", "change", "says"),
    [
        ((), {}, "alice gives no model.json of the training"),
        (("--model", "bob"), {}, "model.json"),
        (("--model", "alice", "--start", "alice"), {}, "the job trains no model"),
        (("--model", "alice"), {"rows": 31}, "has 30 rows, and the job says 31"),
        (
            ("--model", "alice"),
            {"model": {"kind": "joint-scores", "holder": "alice", "trained_by": "a" * 64}},
            "the file is of the training 0000000000000000",
        ),
        (
            ("--model", "alice"),
            {"model": "logistic-regression", "training": {"passes": 3}},
            "trains a model, and takes none",
        ),
    ],
    ids=["no model", "the other's", "a start", "rows", "another training", "a training"],
)
def test_what_its_pod_would_refuse_is_not_put_there(
    words: Sequence[str],
    change: dict[str, Any],
    says: str,
    memory: MemoryCluster,
    deployer: Deployer,
    values: Path,
    parts: dict[str, Path],
    new: dict[str, Path],
) -> None:
    document = yaml.safe_load(values.read_text())
    document["job"] |= change
    values.write_text(yaml.safe_dump(document))
    given = [parts.get(word, word) for word in words]
    ran = deployer("data", "put", "alice", new["alice"], *given, "-f", values)
    assert ran.code == 2 and says in ran.err and "do: " in ran.err
    assert not memory.secrets()


def test_a_model_that_no_secret_holds_leaves_the_rows_that_are_there(
    memory: MemoryCluster, deployer: Deployer, values: Path, parts: dict[str, Path],
    new: dict[str, Path],
) -> None:  # fmt: skip
    document = json.loads(parts["bob"].read_text())
    parts["bob"].write_text(json.dumps(document) + " " * 1000 * 1024)
    ran = deployer("data", "put", "bob", new["bob"], "--model", parts["bob"], "-f", values)
    assert ran.code == 2 and "and a Secret holds" in ran.err
    assert not memory.secrets()


def test_what_a_training_begins_from_goes_to_its_party_alone(
    memory: MemoryCluster,
    deployer: Deployer,
    values: Path,
    parts: dict[str, Path],
    tmp_path: Path,
) -> None:
    job = yaml.safe_load(KEYS) | {"label": {"bob": "fraud"}, "training": {"start": "model"}}
    del job["model"]
    values.write_text(yaml.safe_dump(OFF | {"job": job}))
    table = tables(tmp_path, np.random.default_rng(1).normal(size=(30, 5)))["alice"]
    words = ("data", "put", "alice", table, "-f", values, "--start")
    ran = deployer(*words, parts["bob"])
    assert ran.code == 2 and "columns.json" in ran.err and not memory.secrets()
    ran = deployer(*words, parts["alice"])
    assert ran.code == 0 and "Secret scores-alice-start in namespace default" in ran.out, ran.err
    given = mounted(memory, tmp_path / "start", "scores-alice-start")
    assert (given / "model.json").read_bytes() == parts["alice"].read_bytes()
    ran = deployer("data", "put", "alice", table, "-f", values, "--model", parts["alice"])
    assert ran.code == 2 and "trains a model, and takes none" in ran.err


def leaves(memory: MemoryCluster, pod: str, files: dict[str, str]) -> None:
    """What ``cat`` finds in a pod, by the names of files."""
    memory.put({"kind": "Pod", "metadata": {"name": pod, "namespace": "default"}})

    def cat(command: Sequence[str]) -> Execution:
        text = files.get(command[1].rpartition("/")[2])
        return Execution(1, "", "") if text is None else Execution(0, text, "")

    memory.programs["default", pod, "cat"] = cat


def status(job: Job, phase: str) -> str:
    first = StatusDocument.first(job, "alice", "2026-01-01T00:00:00+00:00")
    return first.model_copy(update={"phase": phase}).model_dump_json()


CSV = "score\n" + "0.5\n" * 30


def test_scores_are_a_file_for_their_owner(
    memory: MemoryCluster, deployer: Deployer, values: Path, job: Job, tmp_path: Path
) -> None:
    leaves(memory, "scores-alice-0", {"status.json": status(job, "done"), "scores.csv": CSV})
    file = tmp_path / "scores.csv"
    ran = deployer("result", "-f", values, "--output", file)
    assert ran.code == 0 and "the scores of the job 'scores'" in ran.out
    assert file.read_text() == CSV and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert deployer("result", "-f", values).out == CSV
    ran = deployer("result", "-f", values, "--party", "bob")
    assert ran.code == 2 and "the job gives it to alice" in ran.err
    ran = deployer("result", "-f", values, "--json")
    assert ran.code == 2 and "--json" in ran.err and not ran.out
    memory.forbidden.add(("create", "pods/exec", "*"))
    ran = deployer("result", "-f", values)
    assert ran.code == 2 and "the scores are alice's" in ran.err


@pytest.mark.parametrize(
    ("phase", "change", "csv", "says"),
    [
        ("running", {}, CSV, "there are no scores yet: the job is running"),
        ("done", {"rows": 29}, CSV, "has not begun with this job"),
        ("done", {}, CSV[:-9], "in part only"),
        ("done", {}, CSV[:-1], "in part only"),
        ("done", {}, None, "alice has no scores.csv"),
    ],
)
def test_scores_of_another_job_or_not_all_of_them_are_not_given_out(
    phase: str,
    change: dict[str, Any],
    csv: str | None,
    says: str,
    memory: MemoryCluster,
    deployer: Deployer,
    values: Path,
    job: Job,
    tmp_path: Path,
) -> None:
    own = Job.model_validate_json(json.dumps(job.model_dump(mode="json") | change))
    files = {"status.json": status(own, phase)} | ({} if csv is None else {"scores.csv": csv})
    leaves(memory, "scores-alice-0", files)
    file = tmp_path / "scores.csv"
    ran = deployer("result", "-f", values, "--output", file)
    assert ran.code == 1 and says in ran.err and not file.exists()


def test_a_holder_fetches_how_its_columns_were_read(
    memory: MemoryCluster, deployer: Deployer, tmp_path: Path, parts: dict[str, Path]
) -> None:
    job = yaml.safe_load(KEYS) | {
        "name": "joint",
        "label": {"bob": "label"},
        "training": {"passes": 3},
    }
    del job["model"]
    values = tmp_path / "training.yaml"
    values.write_text(yaml.safe_dump(OFF | {"job": job}))
    columns = json.loads(parts["bob"].read_text())
    leaves(memory, "joint-bob-0", {"columns.json": json.dumps(columns)})
    words = ("result", "--columns", "-f", values)
    ran = deployer(*words, "--party", "bob")
    assert ran.code == 1 and "bob's columns.json is of another job" in ran.err
    columns["job"] = load_values([values]).job.digest
    leaves(memory, "joint-bob-0", {"columns.json": json.dumps(columns)})
    ran = deployer(*words)
    assert ran.code == 2 and "say whose" in ran.err
    ran = deployer(*words, "--party", "bob", "--json")
    assert ran.code == 2 and "which is JSON" in ran.err
    file = tmp_path / "mine.json"
    assert deployer(*words, "--party", "bob", "--output", file).code == 0
    assert json.loads(file.read_text()) == columns
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_doctor_knows_what_a_pod_waits_for(
    memory: MemoryCluster,
    deployer: Deployer,
    values: Path,
    parts: dict[str, Path],
    new: dict[str, Path],
) -> None:
    def every(what: str) -> list[dict[str, str]]:
        checks = deployer("doctor", "-f", values, "--no-probes", "--json").document
        return [one for one in checks if one["what"] == what]

    def found() -> dict[str, str]:
        return {one["about"]: one["outcome"] + ": " + one["says"] for one in every("model")}

    do = {one["about"]: one["do"] for one in every("table")}
    assert do["bob"] == "deployer data put bob CSV --model columns.json"
    assert found().keys() == {"alice", "bob"}
    assert found()["bob"].startswith("wrong: there is no Secret scores-bob-model")
    deployer("data", "put", "bob", new["bob"], "--model", parts["bob"], "-f", values)
    assert found()["bob"].startswith("ok: columns.json of the training 00000")
    secret = memory.objects["Secret", "default", "scores-bob-model"]
    other = json.loads(base64.b64decode(secret["data"]["columns.json"])) | {"job": "1" * 64}
    secret["data"]["columns.json"] = base64.b64encode(json.dumps(other).encode()).decode()
    assert "is of another training" in found()["bob"]
    secret["data"]["columns.json"] = base64.b64encode(b"{}").decode()
    assert "holds no columns.json of the kit's" in found()["bob"]


def test_who_lacks_rows_is_told_to_put_the_model_with_them(
    memory: MemoryCluster, values: Path
) -> None:
    release = Release(memory, yaml.safe_load(values.read_text()))
    release.says("bob", "table", message="no table", where="/table")
    pod = memory.objects["Pod", "default", "scores-bob-0"]
    stateful = memory.objects["StatefulSet", "default", "scores-bob"]
    memory.put(pod | {"spec": stateful["spec"]["template"]["spec"]})
    bob = observe(release.place("bob"))
    assert bob.do == "put it there: deployer data put bob CSV --model FILE"


LEFT = {"rows": None, "align": {"key": "who", "join": "left", "minimum": 10}}


def left_join(values: Path, new: dict[str, Path]) -> Job:
    """The job scores all of Alice's rows; both tables have identifiers."""
    document = yaml.safe_load(values.read_text())
    document["job"] = {k: v for k, v in (document["job"] | LEFT).items() if v is not None}
    values.write_text(yaml.safe_dump(document))
    for file in new.values():
        head, *lines = file.read_text().splitlines()
        rows_of = [f"who,{head}", *(f"N{i},{line}" for i, line in enumerate(lines))]
        file.write_text("\n".join(rows_of) + "\n")
    return load_values([values]).job


@pytest.mark.drawn
@pytest.mark.parametrize("party", HOLDERS)
def test_a_pod_is_given_identifiers_where_all_rows_of_one_table_are_scored(
    party: Any,
    memory: MemoryCluster,
    deployer: Deployer,
    values: Path,
    parts: dict[str, Path],
    new: dict[str, Path],
    tmp_path: Path,
) -> None:
    agreed = left_join(values, new)
    ran = deployer("data", "put", party, new[party], "--model", parts[party], "-f", values)
    assert ran.code == 0, ran.err
    table = mounted(memory, tmp_path / "table", f"scores-{party}-table-0")
    there, names = load_identified(table, parts[party], agreed, party)
    here, own = load_identified(new[party], parts[party], agreed, party)
    assert names is not None and own is not None and len(names) == len(own) == 30
    secret = memory.objects["Secret", "default", f"scores-{party}-table-0"]
    approved = secret["metadata"]["annotations"][TABLE_DIGEST]
    assert approved == there.digest == here.digest, "by which approvals are checked"


def test_check_says_what_becomes_of_rows_that_the_other_lacks(
    deployer: Deployer, values: Path, parts: dict[str, Path], new: dict[str, Path], tmp_path: Path
) -> None:
    agreed = left_join(values, new)
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(agreed.model_dump(mode="json", exclude_none=True)))
    said = {p: deployer("data", "check", job, p, new[p], "--model", parts[p]).out for p in HOLDERS}
    for out in said.values():
        assert "rows    30" in out and "key     who: 30 identifiers, none missing" in out
    assert "all rows are scored, whether the other has them or not" in said["alice"]
    assert "joined to alice's rows, if 10 or more are in common" in said["bob"]
    middle = (
        "in a row that alice alone has stands the middle, as the training has it, of c2, c3, c4"
    )
    assert middle in said["bob"]
    as_json = deployer("data", "check", job, "bob", new["bob"], "--model", parts["bob"], "--json")
    assert json.loads(as_json.out)["identifiers"] == 30
    without = deployer("data", "check", job, "bob", new["bob"])
    assert without.code == 2 and "bob gives no columns.json" in without.err


def test_the_size_of_such_a_job_is_that_of_the_scored_table(
    deployer: Deployer, values: Path, new: dict[str, Path], tmp_path: Path
) -> None:
    agreed = left_join(values, new)
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(agreed.model_dump(mode="json", exclude_none=True)))
    for options, says in (
        ((), "say how many alice's table has: --rows"),
        (("--rows-in-common", 30), "say --rows instead"),
        (("--rows", 9), "give 10 (align.minimum) to"),
    ):
        ran = deployer("estimate", job, *options)
        assert ran.code == 2 and says in ran.err
