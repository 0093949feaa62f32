"""A party that changed its job, its plan or its software is refused by both others, by name.

Real processes with real keys. Nobody starts to train; and what an honest party says until it ends,
decrypted by those whom it says it to, is a hello and a refusal.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from party.agreement.job import PARTIES, Job
from party.channel.agreement import difference, hello
from party.plan import Plan
from party.plan.parameters import PlanParameters
from party.schedule import cache as store
from party.schedule.schedule import schedule
from tests.attacks.conftest import Tried
from tests.audit.mutants import Mutator
from tests.harness import plans
from tests.harness.links import message, tls
from tests.harness.network import Encounter, knock
from tests.harness.processes import JOB, Processes, Running

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

TRAINING: dict[str, Any] = JOB["training"]
JOBS: dict[str, dict[str, Any]] = {
    "training.batch_size": {"training": TRAINING | {"batch_size": 8}},
    "training.epochs": {"training": TRAINING | {"epochs": 6}},
    "training.learning_rate": {"training": TRAINING | {"learning_rate": 0.25}},
    "label": {"label": "guilt"},
    "features": {"features": ["age", "income"]},
    "rows": {"rows": 60},
    "protocol": {"protocol": "aby3"},
}

CHANGED = """
import runpy
import sys
import party.channel.agreement
honest = party.channel.agreement.hello
def changed(*given):
    words = honest(*given)
    {change}
    return words
sys.modules["party.channel.join"].hello = changed
runpy.run_module("party", run_name="__main__", alter_sys=True)
"""
"""A party that says another thing than the honest one, and else is as it should be."""

WORDS = {
    # Who gets the model: an honest party's job cannot say another, so this one says it itself.
    "result": "words['job'] = 64 * '0'; words['job_fields']['result'] = '\"bob\"'",
    "versions.tensorflow": "words['versions']['tensorflow'] = '2.20.0'",
    "versions.tf_encrypted": "words['versions']['tf_encrypted'] = '0.9.0'",
    "versions.kit": "words['versions']['kit'] = '0.0.0'",
    "protocol_version": "words['protocol_version'] += 1",
}


def refused(processes: Processes, field: str) -> None:
    """Everybody has ended, for that field; nobody trained."""
    for one in processes.running:
        code, said = one.ends()
        assert (code, said.count("Traceback")) == (1, 0), said
        assert f"{field}: " in said and " disagree" in said, said
        assert not any(event.get("phase") == "running" for event in one.events())
        assert one.status()["step"] == 0
        assert not (one.output / "model.json").exists()
        assert not (one.output / "report.json").exists()


# In turn, and such that the odd one's own table fits its job: else it would not come to a hello.
@pytest.mark.parametrize(("odd", "field"), list(zip(cycle(PARTIES), JOBS)))
def test_a_party_with_another_job_is_refused(
    processes: Processes, odd: str, field: str, tried: Tried
) -> None:
    other = processes.write_job("other.yaml", **JOBS[field])
    for party in PARTIES:
        processes.start(party, job=other.name if party == odd else "job.yaml")
    refused(processes, field)
    tried(1, f"jobs of which {odd} changed {field}")


@pytest.mark.parametrize("field", WORDS)
@pytest.mark.parametrize("odd", PARTIES)
def test_a_party_that_says_another_thing_is_refused(
    processes: Processes, odd: str, field: str, tried: Tried
) -> None:
    for party in PARTIES:
        if party != odd:
            processes.start(party)
    options = ["--job", "job.yaml", "--config", "config.json", "--keys", f"keys/{odd}"]
    options += ["--output", f"out/{odd}", "--cache", str(processes.cache), "--wait", "110"]
    if odd != "server":
        options += ["--table", f"{odd}.csv"]
    command = [sys.executable, "-c", CHANGED.format(change=WORDS[field]), odd, *options]
    processes.running.append(
        Running(odd, command, processes.directory / "out" / odd, processes.directory)
    )
    refused(processes, field)
    tried(1, f"jobs in which {odd} has another {field}")


HONEST = Job.model_validate_json(json.dumps(JOB))
AGREED = PlanParameters.of(HONEST)


def changed_hello(party: str, field: str, plan: str) -> dict[str, Any]:
    """What a party says of which one thing is another, its plan too."""
    job = Job.model_validate_json(json.dumps(JOB | JOBS.get(field, {})))
    words = hello(job, party, 64 * "0" if field == "plan" else plan)  # type: ignore[arg-type]
    exec(WORDS.get(field, ""), {"words": words})
    return words


def told(processes: Processes, party: str, words: dict[str, Any]) -> Encounter:
    """What Alice tells a party that says this, and then listens until it is hung up on."""
    keys = processes.directory / "keys" / party
    context = tls(keys, keys / "ca.crt")
    return knock(processes.address("alice"), context, message(json.dumps(words).encode()))


def said(met: Encounter) -> list[dict[str, Any]]:
    """The messages of the join that all decrypted bytes are."""
    words, left = [], met.plain
    while left:
        size = 4 + int.from_bytes(left[:4], "little")
        assert len(left) >= size
        words.append(json.loads(left[4:size]))
        left = left[size:]
    return words


@pytest.mark.parametrize(("odd", "field"), list(zip(cycle(PARTIES[1:]), [*JOBS, *WORDS, "plan"])))
def test_who_differs_is_told_a_hello_and_a_refusal_and_nothing_more(
    processes: Processes, odd: str, field: str, tried: Tried
) -> None:
    """Alice has a table; the others have real keys, and decrypt all that she says until she ends.
    The one who agrees with her hears the same."""
    processes.waits("alice")
    found = store.load(store.path(processes.cache, AGREED, 0), 0)
    assert found is not None
    own = hello(HONEST, "alice", found.plan_digest)
    theirs: dict[str, dict[str, Any]] = {
        p: hello(HONEST, p, found.plan_digest) for p in PARTIES[1:]
    }
    theirs[odd] = changed_hello(odd, field, found.plan_digest)
    error = difference(own, theirs[odd])
    assert error is not None
    with ThreadPoolExecutor() as pool:
        listening = [pool.submit(told, processes, party, theirs[party]) for party in theirs]
    for one in listening:
        first, last = said(one.result())
        assert len(bytes.fromhex(first.pop("run"))) == 16, "a nonce"
        assert first == {name: value for name, value in own.items() if name != "run"}
        assert last == {"type": "refusal", "what": error.what, "hint": error.hint}
        assert one.result().ended == "closed"
    refused(processes, field)
    tried(2, f"connections on which all was decrypted that is said where {odd} has another {field}")


CHANGES = {"a mask dropped": "drop", "an operation more, that shows another party a value": "send"}


def with_one_thing_changed(kind: str, odd: int) -> Plan:
    """A plan of which the odd party's own part is another."""
    plan = plans.plan(AGREED)
    honest = schedule(plan, odd)
    before = len(honest.program("step").instructions)
    for mutant in Mutator(plan, "step").of_kind(kind):
        if len(schedule(changed := mutant.plan, odd).program("step").instructions) != before:
            return changed
    raise AssertionError("none of the changes is in this party's part")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("odd", PARTIES)
def test_a_party_that_runs_another_plan_is_refused(
    processes: Processes, odd: str, change: str, tmp_path: Path, tried: Tried
) -> None:
    """Its software is as it should be; the schedule that it made itself, past its audit, is not."""
    number = PARTIES.index(odd)
    own = tmp_path / "own cache"
    plan = with_one_thing_changed(CHANGES[change], number)
    store.save(store.path(own, AGREED, number), schedule(plan, number))
    for party in PARTIES:
        processes.start(party, cache=str(own if party == odd else processes.cache))
    refused(processes, "plan")
    assert any(plan.digest[:12] in event["event"] for event in processes.running[number].events())
    tried(1, f"jobs in which {odd} runs a plan with {change}")
