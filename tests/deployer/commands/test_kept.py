"""A model that is kept on a cluster: its name is told, and what it takes is looked at before."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.certs.authority import make_all
from deployer.cluster.client import Execution
from deployer.cluster.secrets import keys_secret, make_checkpoint_key
from deployer.manifests.render import Facts
from deployer.manifests.values import load_values
from party.agreement.job import PARTIES
from party.identity import CHECKPOINT_KEY, load_keys
from party.process.errors import InputError
from party.reporting.documents import Kept, PartyReport, Times
from tests.chart.rendering import ROOT
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release

KEPT: dict[str, Any] = {"demo": {"enabled": False}, "job": {"result": "kept"}}
NAME = "c" * 64


@pytest.fixture
def values(tmp_path: Path) -> Path:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(KEPT))
    return file


def leaves(memory: MemoryCluster, party: str, job: str, name: str | None = NAME) -> None:
    """A party's report in its pod."""
    report = PartyReport(
        party=party,  # type: ignore[arg-type]
        job=job,
        plan="p" * 64,
        run="r",
        protocol="pond",
        runtime="sealed",
        versions={},
        times=Times(train_s=1.0, step_s=0.1),
        traffic=None,
        peak_bytes=1,
        table_bytes=1,
        kept=None if name is None else Kept(name=name, sha256=party[0] * 64),
    )
    pod = f"fraud-{party}-0"
    memory.put({"kind": "Pod", "metadata": {"name": pod, "namespace": "default"}})
    memory.programs["default", pod, "cat"] = lambda _: Execution(0, report.model_dump_json(), "")


def test_each_organisation_is_told_the_name_by_its_own_party(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    job = load_values([values]).job.digest
    for party in PARTIES:
        leaves(memory, party, job)
    assert deployer("result", "-f", values).out == f"{NAME}\n"
    assert deployer("result", "-f", values, "--party", "bob", "--json").document == {
        "kept": NAME,
        "sha256": {"bob": "b" * 64},
    }
    leaves(memory, "server", job, name="d" * 64)
    ran = deployer("result", "-f", values)
    assert ran.code == 2 and "the parties here name no one model" in ran.err
    leaves(memory, "server", "0" * 64)
    ran = deployer("result", "-f", values)
    assert ran.code == 1 and "server has not kept a model of this job" in ran.err


def test_the_name_is_had_of_whoever_answers(
    memory: MemoryCluster, deployer: Deployer, values: Path, tmp_path: Path
) -> None:
    leaves(memory, "bob", load_values([values]).job.digest)
    assert deployer("result", "-f", values).out == f"{NAME}\n", "the others have no pod"
    own = ("--party", "bob", "--context", "bob=memory")
    assert deployer("result", "-f", values, *own).out == f"{NAME}\n"
    file = tmp_path / "name"
    ran = deployer("result", "-f", values, "--output", file)
    assert ran.code == 0 and file.read_text() == f"{NAME}\n" and NAME not in ran.out
    memory.forbidden.add(("create", "pods/exec", "*"))
    leaves(memory, "alice", "0" * 64)
    ran = deployer("result", "-f", values)
    assert ran.code == 2 and "the part of the model is alice's" in ran.err
    assert "name your own party with --party" in ran.err


def test_the_name_is_had_after_an_opening_too(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    opening = {"result": "both", "kept": NAME}
    Release(memory, KEPT | {"job": opening})
    leaves(memory, "alice", load_values((), KEPT | {"job": opening}).job.digest, name=None)
    pod = "default", "fraud-alice-0", "sha256sum"
    memory.programs[pod] = lambda command: Execution(0, f"{'e' * 64}  {command[1]}\n", "")
    words = ("result", "-f", values, "--party", "alice")
    assert deployer(*words).out == f"{NAME}\n"
    assert deployer(*words, "--json").document["sha256"] == {"alice": "e" * 64}
    del memory.programs[pod]
    ran = deployer(*words)
    assert ran.code == 1 and f"part of the model {NAME} is not on its volume" in ran.err
    values.write_text(json.dumps(KEPT | {"job": {"result": "kept", "rows": 6999}}))
    ran = deployer(*words)
    assert ran.code == 1 and "ls /state/output/kept" in ran.err, "another job's is not told"


@pytest.mark.slow
def test_the_doctor_misses_the_key_that_seals_and_no_table_of_an_opening(
    memory: MemoryCluster, deployer: Deployer, values: Path, tmp_path: Path
) -> None:
    release = Release(memory, KEPT)
    make_all("fraud", tmp_path / "keys", 30, 30)
    files = {}
    for party in PARTIES:
        files[party] = load_keys(tmp_path / "keys" / party, "fraud", party).files()
        memory.put(keys_secret(release.place(party), files[party]))

    def found(what: str) -> dict[str, Any]:
        ran = deployer("doctor", "-f", values, "--no-probes", "--json")
        return {one["about"]: one for one in ran.document if one["what"] == what}

    assert CHECKPOINT_KEY in found("keys")["alice"]["says"]
    assert found("keys")["alice"]["outcome"] == found("table")["alice"]["outcome"] == "wrong"
    assert "certs checkpoint" not in found("keys")["alice"]["do"]
    ran = deployer("certs", "checkpoint", "alice", "-f", values)
    assert ran.code == 2 and "pod does not look there" in ran.err
    make_checkpoint_key(release.place("alice"))
    assert found("keys")["alice"]["outcome"] == "wrong", "its pod looks there with an issuer alone"
    issued = KEPT | {"certificates": {"certManager": {"issuerRef": {"name": "issuer"}}}}
    values.write_text(json.dumps(issued))
    assert found("keys")["alice"]["outcome"] == "ok"
    assert found("keys")["bob"]["do"] == "deployer certs checkpoint bob"
    assert deployer("certs", "checkpoint", "bob", "-f", values).code == 0
    assert found("keys")["bob"]["outcome"] == "ok"
    values.write_text(json.dumps(KEPT))
    with_key = files["alice"] | {CHECKPOINT_KEY: bytes(32)}
    memory.put(keys_secret(release.place("alice"), with_key))
    assert found("keys")["alice"]["outcome"] == "ok"
    values.write_text(json.dumps(KEPT | {"job": {"kept": NAME}}))
    assert not found("table") and found("keys")["bob"]["outcome"] == "wrong"
    assert deployer("data", "put", "alice", "t.csv", "-f", values).code == 2


def test_the_page_opens_nothing_where_the_name_is_not_had(tmp_path: Path) -> None:
    page = (ROOT / "docs/kept.md").read_text(encoding="utf-8")
    [kept] = re.findall(r"^cat > kept.yaml <<'END'\n(.*?)^END$", page, re.M | re.S)
    [opens] = re.findall(r"^name=\$\(deployer result.*?(?=^deployer apply)", page, re.M | re.S)
    (tmp_path / "kept.yaml").write_text(kept)
    files = [tmp_path / "kept.yaml", tmp_path / "open.yaml"]
    for said in (f"echo {NAME}", f"echo {'1' * 64}", "false"):
        script = f"deployer() {{ {said}; }}\n{opens}"
        subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True)
        if said == "false":
            with pytest.raises(InputError, match=r"job\.kept"):
                load_values(files)
        else:
            assert load_values(files).job.kept == said[5:]


def test_who_opens_a_model_looks_for_none_that_its_training_began_from() -> None:
    job: dict[str, Any] = {"training": {"start": "model"}}
    assert Facts(load_values((), KEPT | {"job": job})).starting == ("alice",)
    assert Facts(load_values((), KEPT | {"job": job | {"kept": NAME}})).starting == ()
