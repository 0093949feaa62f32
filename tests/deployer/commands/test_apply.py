"""``deployer apply``: what it changes, and what it says before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deployer.cluster.client import RBAC
from party.agreement.job import PARTIES
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release, moment


@pytest.fixture
def values(tmp_path: Path) -> Path:
    """Three parties of one organisation, without the demo."""
    file = tmp_path / "values.yaml"
    file.write_text("demo: {enabled: false}\nnamespace: work\n")
    return file


def test_it_installs_every_party_and_says_how_much(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0
    assert ran.out.splitlines() == [f"{party:<7} 6 created" for party in ("alice", "bob", "server")]
    assert {"StatefulSet fraud-alice", "ConfigMap fraud-bob"} <= memory.names()


def test_the_same_again_changes_nothing(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    deployer("apply", "-f", values, "--no-wait")
    before = dict(memory.objects)
    ran = deployer("apply", "-f", values, "--no-wait", "--json")
    assert ran.document == {
        "changes": {party: {"unchanged": 6} for party in ("alice", "bob", "server")}
    }
    assert memory.objects == before


def test_a_right_to_make_events_is_given_and_taken_away(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    plain = values.read_text()
    values.write_text(plain + "events: {apiServer: [192.0.2.1/32]}\n")
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0 and ran.out.startswith("alice   8 created\n")
    assert {"Role fraud-alice", "RoleBinding fraud-alice"} <= memory.names()
    own = {"name": "fraud-server", "namespace": "work"}  # of somebody who took the name
    memory.put({"apiVersion": RBAC, "kind": "Role", "metadata": own})
    values.write_text(plain)
    ran = deployer("apply", "-f", values, "--no-wait")
    assert [line.split(", ")[1] for line in ran.out.splitlines()] == [
        *("2 removed", "2 removed", "1 removed")
    ]
    left = [name for name in memory.names() if name.startswith("Role")]
    assert left == ["Role fraud-server"]
    again = deployer("apply", "-f", values, "--no-wait")
    assert "removed" not in again.out and again.code == 0


def test_a_binding_is_rehearsed_before_its_role_is_made(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    values.write_text(values.read_text() + "events: {apiServer: [192.0.2.1/32]}\n")
    key = "RoleBinding", "fraud-bob"
    for name, code in (("fraud-bob", 0), ("others", 2)):
        says = f'roles.rbac.authorization.k8s.io "{name}" not found'
        memory.refused[key] = 404, says
        ran = deployer("apply", "-f", values, "--no-wait", "--party", "bob")
        # In earnest it is there, as the cluster in memory does not know.
        assert ("nothing was changed" in ran.err) is bool(code)
        del memory.refused[key]


def test_who_may_not_look_for_rights_applies_the_rest(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.forbidden = {("*", "roles", "*"), ("*", "rolebindings", "*")}
    assert deployer("apply", "-f", values, "--no-wait").code == 0


def test_the_demo_is_applied_too(memory: MemoryCluster, deployer: Deployer) -> None:
    ran = deployer("apply", "--no-wait")
    assert ran.code == 0 and ran.out.splitlines()[-1].startswith("demo")
    assert "ServiceAccount fraud-demo" in memory.names()


def test_one_party_alone_leaves_the_others_alone(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    deployer("apply", "-f", values, "--party", "bob", "--no-wait")
    assert {name.split()[1] for name in memory.names()} == {"fraud-bob"}


def test_waiting_ends_when_the_job_is_done(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    Release(memory, {"demo": {"enabled": False}, "namespace": "work"}).all_say("done")
    ran = deployer("apply", "-f", values, "--force")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()[-3:]] == [
        [party, "done"] for party in ("alice", "bob", "server")
    ]


def test_waiting_gives_up_when_told_and_stops_nothing(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    ran = deployer("apply", "-f", values, "--timeout", "0")
    assert ran.code == 1 and "nothing was stopped" in ran.err
    assert "StatefulSet fraud-alice" in memory.names()


NO_NAMESPACE = ("no_namespaces", {"work"}, "there is no namespace 'work'", "create namespace work")
NO_RIGHT = ("forbidden", {("patch", "services", "*")}, "not allowed to apply", "operator-role.yaml")
CONFLICT = (
    "refused",
    {("Service", "fraud-server"): (409, "Apply failed with 1 conflict")},
    "another manager holds fields",
    "--force",
)


@pytest.mark.parametrize("refusal", [NO_NAMESPACE, NO_RIGHT, CONFLICT])
def test_what_would_be_refused_is_found_before_anything_is_changed(
    memory: MemoryCluster, deployer: Deployer, values: Path, refusal: tuple[str, Any, str, str]
) -> None:
    attribute, value, says, do = refusal
    setattr(memory, attribute, value)
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and not memory.objects and memory.changes == 0
    assert "nothing was changed" in ran.err and says in ran.err and do in ran.err


LIMITED = "demo: {enabled: false}\nnamespace: work\n"
LIMITED += "alice: {resources: {limits: {cpu: '2'}, requests: {cpu: '1'}}}\n"


@pytest.mark.parametrize(
    ("hard", "says"),
    [
        ({"limits.cpu": "1"}, "exceeded quota: small, requested: limits.cpu=2, used: limits.cpu=0"),
        ({"requests.memory": "100Mi"}, "exceeded quota: small, requested: requests.memory="),
        ({"pods": "0"}, "exceeded quota: small, requested: pods=1"),
        ({"requests.ephemeral-storage": "0", "limits.cpu": "9"}, "must specify limits.cpu for"),
        ({"count/statefulsets.apps": "0"}, "exceeded quota: small, requested: count/statefulsets"),
        ({"requests.storage": "1Mi"}, "exceeded quota: small, requested: requests.storage="),
        ({"persistentvolumeclaims": "0"}, "requested: persistentvolumeclaims=1"),
    ],
    ids=lambda one: ", ".join(one) if isinstance(one, dict) else "",
)
def test_a_quota_is_asked_about_the_pod_and_the_claims_before_anything_is_changed(
    memory: MemoryCluster, deployer: Deployer, values: Path, hard: dict[str, str], says: str
) -> None:
    """The API looks at them when they are made, and not at the StatefulSet that makes them."""
    values.write_text(LIMITED)
    memory.admission.quotas["work"] = hard
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and not memory.objects and memory.changes == 0
    assert "nothing was changed" in ran.err and says in ran.err


@pytest.mark.parametrize(
    ("most", "says"),
    [
        (("Container", "cpu", "1500m"), "maximum cpu usage per Container is 1500m, but limit is 2"),
        (("PersistentVolumeClaim", "storage", "1Mi"), "per PersistentVolumeClaim is 1Mi, but"),
    ],
)
def test_so_it_is_with_a_limit_range(
    memory: MemoryCluster, deployer: Deployer, values: Path, most: tuple[str, str, str], says: str
) -> None:
    values.write_text(LIMITED)
    kind, resource, number = most
    memory.admission.most["work", kind, resource] = number
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and memory.changes == 0 and says in ran.err


def test_a_quota_that_is_large_enough_is_no_hindrance_the_first_time_and_the_next(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    """The old pod goes before the new one comes: what it takes counts for the new one."""
    text = "demo: {enabled: false}\nnamespace: work\n"
    text += "".join(f"{party}: {{resources: {{limits: {{cpu: '2'}}}}}}\n" for party in PARTIES)
    values.write_text(text)
    memory.admission.quotas["work"] = {"pods": "3", "limits.cpu": "6"}
    assert deployer("apply", "-f", values, "--no-wait").code == 0
    spec = {"containers": [{"name": "party", "resources": {"limits": {"cpu": "2"}}}]}
    for party in PARTIES:
        meta = {"name": f"fraud-{party}-0", "namespace": "work"}
        memory.put({"kind": "Pod", "metadata": meta, "spec": spec})
    values.write_text(text + "waitSeconds: 100\n")
    assert deployer("apply", "-f", values, "--no-wait", "--yes").code == 0
    values.write_text(text.replace("cpu: '2'", "cpu: '3'"))
    ran = deployer("apply", "-f", values, "--no-wait", "--yes")
    assert ran.code == 2 and "limits.cpu=3, used: pods=3,limits.cpu=6" in ran.err


def test_who_may_make_no_pod_is_told_what_is_not_known_and_goes_on(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.forbidden.add(("create", "pods", "*"))
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0 and ran.err.count("no right to read and create a Pod") == 3


def test_all_that_would_be_refused_is_said_at_once(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.no_namespaces.add("bank")
    memory.forbidden.add(("patch", "services", "work"))
    values.write_text("demo: {enabled: false}\nnamespace: work\nalice: {namespace: bank}\n")
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and memory.changes == 0
    assert ran.err.count("there is no namespace 'bank'") == 1
    assert "not allowed to apply" in ran.err


def test_what_another_holds_is_taken_over_by_force(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    memory.refused["Service", "fraud-bob"] = (409, "Apply failed with 1 conflict")
    assert deployer("apply", "-f", values, "--no-wait", "--force").code == 0


@pytest.fixture
def at_work(memory: MemoryCluster) -> Release:
    """A run at work, of one epoch less than the values have."""
    document = {"demo": {"enabled": False}, "namespace": "work"}
    job = {"training": {"epochs": 9}}
    release = Release(memory, document | {"job": job}, managed_by="deployer")
    release.all_say("running", step=12)
    return release


def test_a_run_at_work_is_not_ended_unasked(
    at_work: Release, deployer: Deployer, values: Path
) -> None:
    before = dict(at_work.cluster.objects)
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and "--yes" in ran.err
    assert "alice starts again, for other job or hosts map" in ran.err
    assert "the run at work ends at alice: step 12 of 540" in ran.err
    assert at_work.cluster.objects == before


def test_a_run_at_work_is_ended_if_it_is_said(
    at_work: Release, deployer: Deployer, values: Path
) -> None:
    ran = deployer("apply", "-f", values, "--no-wait", "--yes")
    assert ran.code == 0 and "the run at work ends" in ran.err
    assert "2 changed, 4 unchanged" in ran.out


@pytest.mark.parametrize("phase", ["starting", "table", "plan", "joining", "failed"])
def test_checkpoints_of_who_was_started_again_are_not_thrown_away_unasked(
    at_work: Release, deployer: Deployer, values: Path, phase: str
) -> None:
    at_work.all_say("starting")
    at_work.says("bob", phase, message="is on its way", checkpoint=moment(ago_s=20))
    before = dict(at_work.cluster.objects)
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and "--yes" in ran.err
    assert "ends at bob: is on its way, with a checkpoint of 20 s ago" in ran.err
    assert "ends at alice" not in ran.err
    assert at_work.cluster.objects == before


@pytest.mark.parametrize(
    "said", [{"phase": "joining"}, {"phase": "failed", "final": True, "checkpoint": moment(20)}]
)
def test_who_waits_without_a_checkpoint_or_failed_for_good_loses_nothing(
    at_work: Release, deployer: Deployer, values: Path, said: dict[str, Any]
) -> None:
    at_work.all_say(**said)
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0 and "loses" not in ran.err


def test_nobody_is_asked_about_a_change_that_ends_nothing(
    at_work: Release, deployer: Deployer, values: Path
) -> None:
    values.write_text(
        "demo: {enabled: false}\nnamespace: work\njob: {training: {epochs: 9}}\n"
        "podDisruptionBudget: {enabled: false}\nnetworkPolicy: {statusFrom: [{}]}\n"
    )
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0 and "1 changed" in ran.out and not ran.err


def test_a_changed_job_after_one_that_is_done_is_applied_at_once(
    at_work: Release, deployer: Deployer, values: Path
) -> None:
    at_work.all_say("done")
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0 and "loses" not in ran.err


LABELLED = "demo: {enabled: false}\nnamespace: work\njob: {training: {epochs: 9}}\n"
LABELLED += "alice: {labels: {team: a}, resources: {limits: {memory: 3Gi}}}\n"


def test_other_labels_and_resources_do_not_throw_a_run_away_unasked(
    at_work: Release, deployer: Deployer, values: Path
) -> None:
    values.write_text(LABELLED)
    before = dict(at_work.cluster.objects)
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and "alice starts again, for other resources, labels" in ran.err
    assert "bob starts" not in ran.err and "starts again at all parties" in ran.err
    assert at_work.cluster.objects == before


def test_a_run_with_a_checkpoint_goes_on_and_nobody_is_asked(
    at_work: Release, deployer: Deployer, values: Path
) -> None:
    at_work.says("alice", "running", step=12, checkpoint=moment(ago_s=20))
    values.write_text(LABELLED)
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 0 and "goes on from a checkpoint of 20 s ago" in ran.err


def test_a_result_that_goes_with_its_pod_is_not_thrown_away_unasked(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    off = "demo: {enabled: false}\nnamespace: work\nstorage: {enabled: false}\n"
    values.write_text(off)
    document = {"demo": {"enabled": False}, "namespace": "work", "storage": {"enabled": False}}
    Release(memory, document, managed_by="deployer").all_say("done")
    values.write_text(off + "alice: {labels: {team: a}}\n")
    ran = deployer("apply", "-f", values, "--no-wait")
    assert ran.code == 2 and "alice: its result and its ledger go" in ran.err


def test_a_paused_release_is_resumed_before_it_is_changed(
    at_work: Release, deployer: Deployer, values: Path
) -> None:
    deployer("pause", "--namespace", "work", "--yes")
    ran = deployer("apply", "-f", values, "--no-wait", "--force")
    assert ran.code == 2 and "alice is paused" in ran.err and "deployer resume" in ran.err


def test_a_wrong_value_is_named_and_nothing_is_applied(
    memory: MemoryCluster, deployer: Deployer, values: Path
) -> None:
    values.write_text("imagee: {}\n")
    ran = deployer("apply", "-f", values)
    assert ran.code == 2 and "did you mean 'image'?" in ran.err
    assert not memory.objects
