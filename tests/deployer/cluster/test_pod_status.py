"""What is wrong with a pod is said in words that tell what to do, from what the cluster says."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.cluster.pod_status import _last_end, of_pod, own_words, without_pod
from party.agreement.job import Party
from party.reporting.documents import Phase, StatusDocument, duration


def pod(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    statuses = [] if state is None else [{"image": "tfe-kit:1", "state": state, **status}]
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": statuses}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def event(reason: str, message: str) -> dict[str, Any]:
    return {"reason": reason, "message": message}


def test_a_pod_that_runs_speaks_for_itself() -> None:
    assert of_pod(pod({"running": {}}), []) is None


def test_no_node_takes_the_pod() -> None:
    found = pod()
    found["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory."}
    ]
    assert of_pod(found, []) == (
        "pending",
        "no node takes its pod: 0/1 nodes: Insufficient memory.",
        "",
    )


def test_what_the_scheduler_tries_again_at_once_is_not_told() -> None:
    found = pod()
    found["status"]["conditions"] = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulerError",
            "message": "running PreBind plugin: please apply your changes to the latest version",
        }
    ]
    assert of_pod(found, []) == ("pending", "its pod is about to start", "")


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"])
def test_an_image_that_cannot_be_had(reason: str) -> None:
    phase, says, do = of_pod(pod(waiting(reason, "not found\nmore")), []) or ("", "", "")
    assert (phase, says) == ("broken", "its image tfe-kit:1 cannot be had: not found")
    assert "image.repository" in do


def test_a_secret_that_is_missing_is_named() -> None:
    events = [event("FailedMount", 'MountVolume.SetUp failed: secret "x-keys" not found')]
    phase, says, do = of_pod(pod(waiting("ContainerCreating")), events) or ("", "", "")
    assert phase == "broken" and '"x-keys"' in says and "deployer certs put" in do


def test_a_mount_that_worked_out_later_is_not_held_against_the_pod() -> None:
    events = [event("FailedMount", "was not there"), event("Pulled", "image")]
    found = of_pod(pod(waiting("ContainerCreating")), events)
    assert found == ("pending", "its container is about to start", "")


def test_a_party_that_ended_is_quoted_with_its_remedy() -> None:
    last = (
        "some log\nerror: the table is another party's\n  where: /table\n  do: put your own there"
    )
    ended = {"terminated": {"exitCode": 2, "message": last}}
    found = of_pod(pod(waiting("CrashLoopBackOff"), lastState=ended), [])
    assert found == ("broken", "the table is another party's (/table)", "put your own there")


def test_the_last_words_of_a_container_have_its_cause() -> None:
    last = "error: bob went away\n  where: step 3\n  do: start it\n  cause: peer-unreachable"
    ended = {"terminated": {"exitCode": 1, "message": last}}
    running = pod({"running": {}}, lastState=ended, restartCount=3)
    assert _last_end(running) == ("peer-unreachable", "bob went away (step 3)")
    assert _last_end(pod({"running": {}})) == ("", "")
    oom = pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    assert _last_end(oom)[0] == "out-of-memory"


def test_logs_are_not_advised_where_the_cause_is_known() -> None:
    ended = {"terminated": {"exitCode": 2, "message": "error: the clock is wrong"}}
    assert of_pod(pod(ended), []) == ("broken", "the clock is wrong", "")


def test_a_party_that_ended_without_a_word_has_an_exit_code_and_logs() -> None:
    found = of_pod(pod({"terminated": {"exitCode": 3, "reason": "Error"}}), [])
    said = "its program ended with exit code 3 and without a word"
    assert found == ("broken", said, "see deployer logs")


@pytest.mark.parametrize(("code", "says"), [(137, "SIGKILL"), (139, "SIGSEGV"), (132, "processor")])
def test_a_party_that_was_ended_by_a_signal_is_not_referred_to_its_log(
    code: int, says: str
) -> None:
    ended = pod({"terminated": {"exitCode": code, "reason": "Error"}})
    phase, told, do = of_pod(ended, []) or ("", "", "")
    assert phase == "broken" and says in told and do and "logs" not in do


def test_too_little_memory_is_said() -> None:
    found = of_pod(pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), [])
    assert found is not None and "memory" in found[1] and "limits.memory" in found[2]


def test_a_pod_that_is_refused_says_by_what() -> None:
    owner = {"metadata": {"name": "fraud-alice"}, "spec": {"replicas": 1}}
    events = [event("FailedCreate", "exceeded quota: small")]
    assert without_pod("alice", owner, events)[1] == "its pod is refused: exceeded quota: small"
    assert without_pod("alice", None, [])[0] == "absent"
    assert without_pod("alice", owner, [])[0] == "pending"


def status_of(phase: Phase, party: Party = "alice", **more: Any) -> StatusDocument:
    told: dict[str, Any] = {"epochs": 1, "steps": 540, "started": "then", "updated": "now"} | more
    return StatusDocument(party=party, job="0" * 64, phase=phase, **told)


def test_a_run_says_step_pace_and_time_left() -> None:
    status = status_of("running", step=12, rate=250.4, remaining_s=200.0)
    assert own_words(status) == ("running", "step 12 of 540, 250 a second, 3 min left", "")
    assert own_words(status_of("running")) == ("running", "step 0 of 540", "")


def test_a_training_that_may_settle_has_a_time_left_at_most() -> None:
    status = status_of("running", step=12, rate=250.4, remaining_s=200.0, settles=True)
    assert own_words(status)[1] == "step 12 of 540, 250 a second, at most 3 min left"
    counting: dict[str, Any] = {"aside": "counting rows, 3 of 20", "remaining_s": 34.0}
    status = status_of("running", step=540, settles=True, **counting)
    assert own_words(status)[1] == "counting rows, 3 of 20, 34 s left"
    assert own_words(status, age_s=40)[1] == "counting rows, 3 of 20"


def test_an_old_run_has_no_pace() -> None:
    status = status_of("running", step=12, rate=250.4, remaining_s=200.0)
    assert own_words(status, age_s=40)[1] == "step 12 of 540"


def test_a_run_that_stalls_says_for_how_long_and_no_pace() -> None:
    moments = {"since": "2026-01-01T00:00:00+00:00", "updated": "2026-01-01T00:01:00+00:00"}
    status = status_of("running", step=12, rate=250.4, stepped="2026-01-01T00:00:20+00:00")
    status = status.model_copy(update=moments)
    assert own_words(status)[1] == "stalled for 40 s at step 12 of 540"
    assert own_words(status)[2]
    unbegun = status.model_copy(update={"stepped": None, "step": 0})
    assert own_words(unbegun)[1] == "no step yet, for 60 s: the tables are being shared"
    lately = status.model_copy(update={"stepped": "2026-01-01T00:00:59+00:00"})
    assert own_words(lately)[1] == "step 12 of 540, 250 a second"


def test_what_is_known_of_who_is_waited_for_is_told() -> None:
    says = "waiting for bob (3 s of 60); bob's certificate is of another authority"
    status = status_of("joining", waiting_for=("bob",), message=says)
    _, told, do = own_words(status)
    assert told == "waits for bob; bob's certificate is of another authority"
    assert "certs put" in do


def test_who_is_waited_for_is_named() -> None:
    status = status_of("joining", waiting_for=("bob", "server"))
    assert own_words(status) == ("joining", "waits for bob and server", "")


def test_a_failure_says_what_where_and_what_to_do() -> None:
    status = status_of("failed", message="broke", where="here", hint="mend it")
    assert own_words(status) == ("failed", "broke (here)", "mend it")


def test_what_a_pod_was_not_given_is_put_there_by_the_deployer() -> None:
    table = status_of("table", "bob", message="no table", where="/table/x", hint="a file")
    assert own_words(table) == (
        "table",
        "no table (/table/x)",
        "put it there: deployer data put bob CSV",
    )
    assert own_words(table, scores=True)[2].endswith("data put bob CSV --model FILE")
    model = status_of("table", "bob", message="no file", where="/model/columns.json")
    assert own_words(model)[2].endswith("deployer data put bob CSV --model FILE")
    keys = status_of("starting", "bob", message="no key", where="/keys")
    assert own_words(keys)[2] == "put it there: deployer certs put bob DIR"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (200, "3 min"), (5399, "1 h 30 min"), (7500, "2 h 05 min")],
)
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
