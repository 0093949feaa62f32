"""Several jobs one after the other: each is done once, whoever is killed within or between them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.commands.data import write
from party.agreement.job import AlignedJob, Job, Sizes, load_job
from party.agreement.queue import load_queue
from party.life.place import Later
from party.process.errors import InputError
from party.table import LabelKey
from party.table.expected import Expected
from party.table.parts import packed
from party.table.taken import Taken
from tests.harness import plaintext, plans
from tests.harness.dying import DIED, dying
from tests.harness.processes import JOB, PATIENCE_S, ROWS, Processes, Running
from tests.harness.relay import RELAYED, standing_still

LONG = JOB["training"] | {"epochs": 40}
"""Of the same plan, and long enough that a party can be killed in the middle."""

LONG_TOO = LONG | {"epochs": 39}
"""And gives other weights."""

IN_THE_FIRST, IN_THE_SECOND = 100_000, 380_000
"""So many bytes have gone between Alice and Bob, of some 220,000 a job, where the first is begun
again in the middle from its start or from a checkpoint."""


@pytest.fixture
def unplanned(tmp_path: Path) -> Iterator[Processes]:
    """The usual job, for parties that end before they need its plan."""
    made = Processes(tmp_path, tmp_path / "cache")
    yield made
    made.close()


def write_jobs(processes: Processes) -> None:
    """Two jobs with the keys and tables of the usual one."""
    processes.write_job("first.yaml", name="first", trust_domain=JOB["name"], training=LONG)
    processes.write_job("second.yaml", name="second", trust_domain=JOB["name"])


def start(processes: Processes, party: str, *more: str, **change: str) -> Running:
    options = {"job": "second.yaml", "rejoin_limit": "100", "checkpoint_every": "0.5"}
    return processes.start(party, *more, "--job", "first.yaml", **options | change)


def states(running: Running) -> list[str]:
    return [one["state"] for one in running.status().get("queue", [])]


def comes_to(running: Running, *wanted: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while (found := states(running)) != list(wanted):
        assert running.process.poll() is None, running.words.read_text()
        assert time.monotonic() < end, found
        time.sleep(0.01)


def model_of(processes: Processes, name: str) -> dict[str, Any]:
    file = processes.directory / "out/alice" / name / "model.json"
    model: dict[str, Any] = json.loads(file.read_text())
    job = load_job(processes.directory / f"{name}.yaml")
    assert model["job"] == job.digest
    clear = plaintext.fit(job, plaintext.read_all(job, processes.directory))
    assert plaintext.distance(plaintext.received(model), clear) < 1e-2
    return model


@pytest.mark.slow
def test_a_queue_is_done_in_order_whoever_is_killed_within_or_between(
    processes: Processes,
) -> None:
    write_jobs(processes)
    processes.write_job("second.yaml", name="second", trust_domain=JOB["name"], training=LONG_TOO)
    with standing_still(processes, IN_THE_FIRST, IN_THE_SECOND) as (first_goes_on, second_goes_on):
        now = {party: start(processes, party) for party in ("alice", "server")}
        now["bob"] = start(processes, "bob", config=RELAYED)
        now["bob"].reaches("running", step=1)
        assert states(now["bob"]) == ["running", "waiting"]
        now["bob"].signal(signal.SIGKILL)
        now["bob"].ends()
        first_goes_on.set()
        now["bob"] = start(processes, "bob", config=RELAYED)
        comes_to(now["server"], "done", "running")
        # The server waits for nobody, and may have dealt all that there is to deal.
        now["bob"].reaches("running", step=1)
        now["server"].signal(signal.SIGKILL)
        now["server"].ends()
        second_goes_on.set()
        now["server"] = start(processes, "server")
        for one in now.values():
            assert one.ends() == (0, ""), one.party
    for one in now.values():
        assert states(one) == ["done", "done"] and one.status()["phase"] == "done"
        reports = [
            json.loads((one.output / name / "report.json").read_text())
            for name in ("first", "second")
        ]
        assert reports[0]["run"] != reports[1]["run"]
    assert now["alice"].status()["queue"][0]["name"] == "first"
    first, second = (model_of(processes, name) for name in ("first", "second"))
    assert first["weights"] != second["weights"]
    assert not (processes.directory / "out/alice/model.json").exists()

    # Done is done, by hand too, and by who was killed before all was put away.
    left = processes.directory / "out/alice/first/checkpoints/rows.sealed"
    left.write_bytes(b"of the job that is done")
    again = start(processes, "alice")
    assert again.ends() == (0, "")
    assert not left.exists()
    assert [event["event"] for event in again.events()] == [
        "the job 'first' was done before",
        "the job 'second' was done before",
    ]
    assert model_of(processes, "first") == first


@pytest.mark.slow
def test_who_has_all_of_a_job_ends_it_while_the_others_are_at_the_next(
    processes: Processes,
) -> None:
    write_jobs(processes)
    processes.write_job("first.yaml", name="first", trust_domain=JOB["name"])
    processes.before = dying("party.life.leaving:_write_report")
    bob = start(processes, "bob")
    processes.before = ()
    others = start(processes, "alice"), start(processes, "server")
    assert bob.ends()[0] == DIED
    comes_to(others[0], "done", "running")
    for one in (start(processes, "bob"), *others):
        assert one.ends() == (0, ""), one.party
        assert states(one) == ["done", "done"]
    model_of(processes, "second")


@pytest.mark.slow
def test_who_has_all_of_a_job_of_matched_rows_needs_nobody_to_say_so(processes: Processes) -> None:
    kept = {key: value for key, value in JOB.items() if key not in ("rows", "training")}
    agreed = kept | {
        "align": {"key": "who", "minimum": 20},
        "training": {"passes": 8, "tolerance": 0},
    }
    file = processes.directory / "job.yaml"
    file.write_text(json.dumps(agreed))
    sizes = Sizes(alice=ROWS, bob=ROWS, common=ROWS)
    plans.cached(AlignedJob.of(load_job(file), sizes), processes.cache)  # once, not by each of them
    for holder in ("alice", "bob"):
        table = processes.directory / f"{holder}.csv"
        names, *rows = table.read_text().splitlines()
        lines = [f"who,{names}", *(f"w{i},{row}" for i, row in enumerate(rows))]
        table.write_text("\n".join(lines))
    processes.before = dying("party.life.leaving:_write_report")
    bob = processes.start("bob", rejoin_limit="100")
    processes.before = ()
    others = [processes.start(party, rejoin_limit="100") for party in ("alice", "server")]
    code, words = bob.ends()
    assert code == DIED, words
    assert [one.ends() for one in others] == [(0, ""), (0, "")]
    again = processes.start("bob", rejoin_limit="0", wait="1")
    assert again.ends() == (0, "")
    assert (again.output / "report.json").exists() and again.status()["phase"] == "done"


COLUMNS = {"alice": ["age", "amount"], "bob": ["extra"]}


def write_scoring(processes: Processes, **change: Any) -> tuple[Job, Job]:
    """Two jobs: one trains on columns of both, and the next scores the same rows by its model."""
    table = processes.directory / "bob.csv"
    head, *labels = table.read_text().splitlines()
    lines = [f"{label},{(7 * i) % 5}" for i, label in enumerate(labels)]
    table.write_text("\n".join([f"{head},extra", *lines]) + "\n")
    common = {"name": "trained", "trust_domain": JOB["name"], "rows": ROWS, "features": COLUMNS}
    training = common | {"label": {"bob": "fraud"}, "training": {"passes": 8, "tolerance": 0}}
    trained = Job.model_validate_json(json.dumps(training | change))
    wanted = {"kind": "joint-scores", "holder": "alice", "trained_by": trained.digest}
    scores = Job.model_validate_json(json.dumps(common | {"name": "scored", "model": wanted}))
    for job in (trained, scores):
        text = json.dumps(job.model_dump(mode="json"))
        (processes.directory / f"{job.name}.yaml").write_text(text)
    return trained, scores


@pytest.mark.slow
def test_a_job_scores_by_the_model_that_the_one_before_it_has_trained(
    processes: Processes, cache: Path
) -> None:
    """Nobody brings a model, and who is killed in the scoring does not train again. Bob's table is
    there as a cluster brings it: once for both jobs, with the label."""
    jobs = write_scoring(processes)
    for job in jobs:
        plans.cached(job, cache)
    table = processes.directory / "bob.csv"
    text = Taken(table, Expected.of(jobs[0], "bob")).pieces()
    write(processes.directory / "parts", *packed(text, JOB["name"], "bob"))
    options = {"job": "scored.yaml", "rejoin_limit": "100", "checkpoint_every": "0.5"}
    words = ("--job", "trained.yaml")
    others = [processes.start(party, *words, **options) for party in ("alice", "server")]
    processes.before = dying("party.models.joint_scores.model:JointScores.course")
    bob = processes.start("bob", *words, **options, table="parts")
    processes.before = ()
    assert bob.ends()[0] == DIED and states(bob) == ["done", "running"]
    for one in (processes.start("bob", *words, **options, table="parts"), *others):
        assert one.ends() == (0, ""), one.party
        assert states(one) == ["done", "done"]

    out = processes.directory / "out"
    model = json.loads((out / "alice/trained/model.json").read_text())
    own = json.loads((out / "bob/trained/columns.json").read_text())
    tables = [
        np.loadtxt(processes.directory / f"{p}.csv", delimiter=",", skiprows=1) for p in COLUMNS
    ]
    numbers = np.column_stack([tables[0], tables[1][:, 1]])
    mean, scale = ([*model[key][:2], *own[key]] for key in ("mean", "scale"))
    sums = (numbers - mean) / scale @ model["weights"] + model["intercept"]
    head, *lines = (out / "alice/scored/scores.csv").read_text().splitlines()
    assert head == "score" and not (out / "bob/scored/scores.csv").exists()
    np.testing.assert_allclose(np.array(lines, float), 1 / (1 + np.exp(-sums)), atol=1e-5)


def test_a_model_that_goes_to_another_than_it_is_to_score_at_is_missed_before_the_first(
    processes: Processes,
) -> None:
    write_scoring(processes, result="bob")
    code, words = processes.start("server", "--job", "trained.yaml", job="scored.yaml").ends()
    assert code == 2 and "'scored' scores by a model of alice's, and 'trained' does not" in words


def test_a_model_of_no_job_before_it_is_asked_for_before_the_first(processes: Processes) -> None:
    write_scoring(processes)
    code, words = processes.start("alice", "--job", "scored.yaml", job="trained.yaml").ends()
    assert code == 2 and "alice gives no model.json of the training" in words


@pytest.mark.slow
def test_a_table_that_does_not_fit_a_later_job_is_refused_before_the_first(
    processes: Processes,
) -> None:
    write_jobs(processes)
    processes.write_job(
        "second.yaml", name="second", trust_domain=JOB["name"], features=["age", "height"]
    )
    code, words = start(processes, "alice").ends()
    assert code == 2 and "height" in words


def test_labels_that_a_later_job_would_refuse_are_refused_before_the_first(
    unplanned: Processes,
) -> None:
    trained, _ = write_scoring(unplanned)
    change = {"name": "later", "training": {"class_weight": "balanced", "rarest": 0.5}}
    text = json.dumps(trained.model_dump(mode="json") | change)
    (unplanned.directory / "later.yaml").write_text(text)
    code, words = unplanned.start("bob", "--job", "trained.yaml", job="later.yaml").ends()
    assert code == 2 and "for 'later', a later job of the list: training.rarest" in words


@pytest.mark.slow
def test_rows_that_a_later_job_cannot_score_are_refused_before_the_first_trains(
    unplanned: Processes,
) -> None:
    """A training takes a table without names, with its label in front; a job that scores does not.
    A party that stays looks again at the table that is there then."""
    processes = unplanned
    write_scoring(processes)
    table = processes.directory / "bob.csv"
    names, rows = table.read_text().split("\n", 1)
    table.write_text(rows)
    code, words = processes.start("bob", "--job", "trained.yaml", job="scored.yaml").ends()
    assert code == 2 and "for 'scored', a later job of the list: the first row is not one" in words
    assert f"where: {table.name}, line 1" in words and "do: put a row with the columns'" in words
    waits = processes.start("bob", "--stay", "--job", "trained.yaml", job="scored.yaml")
    waits.says("for 'scored', a later job of the list")
    assert states(waits) == ["running", "waiting"] and waits.status()["phase"] == "table"
    table.write_text(f"{names}\n{rows}")
    waits.reaches("plan")


def test_a_table_is_looked_at_once_for_all_jobs_that_take_the_same_of_it(
    unplanned: Processes,
) -> None:
    trained, scores = write_scoring(unplanned)

    def of(job: Job, awaits_model: bool = False, **change: Any) -> str:
        changed = Job.model_validate_json(json.dumps(job.model_dump(mode="json") | change))
        return Later(changed, awaits_model=awaits_model).reading("bob")

    passes = {"passes": 9, "tolerance": 0}
    assert of(trained) == of(trained, name="other", training=passes, result="bob")
    assert of(scores, True) == of(scores, True, name="other", result="bob")
    others = [
        of(trained),
        of(trained, evaluation={"held_out": 0.4}),
        of(trained, privacy={"labels": {"epsilon": 3}}),
        of(trained, training={"start": "model"}, result="both"),
        of(trained, rows=ROWS - 1),
        of(trained, training={"class_weight": "balanced"}),
        of(trained, training={"class_weight": "balanced", "rarest": 0.4}),
        of(scores, True),
        of(scores, True, rows=0, align={"key": "who", "join": "left"}),
        of(scores),  # by a model that is there
    ]
    assert len(set(others)) == len(others)


@pytest.mark.slow
def test_what_one_job_takes_is_not_held_against_the_others(processes: Processes) -> None:
    """A key of labels, here; a single job that has no use for one refuses it."""
    write_jobs(processes)
    private = {"labels": {"epsilon": 3}}
    processes.write_job("second.yaml", name="second", trust_domain=JOB["name"], privacy=private)
    key = processes.directory / "label.key"
    key.write_text(LabelKey.drawn().text())
    key.chmod(0o600)
    bob = start(processes, "bob", "--label-key", "label.key")
    bob.reaches("joining")
    bob.signal(signal.SIGTERM)
    bob.ends()
    code, words = processes.start("bob", label_key="label.key").ends()
    assert code == 2 and "--label-key" in words


@pytest.mark.slow
def test_a_list_that_has_become_shorter_is_told_of_as_it_is(processes: Processes) -> None:
    write_jobs(processes)
    running = start(processes, "bob")
    running.reaches("joining")
    assert states(running) == ["running", "waiting"]
    running.signal(signal.SIGTERM)
    running.ends()
    again = processes.start("bob", "--queue", job="second.yaml")
    again.reaches("joining")
    assert states(again) == ["running"]


@pytest.mark.slow
def test_a_model_that_is_given_is_not_removed_by_the_run_that_takes_it(
    processes: Processes,
) -> None:
    model = processes.directory / "out/alice/model.json"
    model.parent.mkdir(parents=True)
    model.write_text("{}")
    code, words = processes.start("alice", start="out/../out/alice/model.json").ends()
    assert code == 2 and "another directory than that of --start" in words
    assert model.read_text() == "{}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "first", "trust_domain": "tiny"}, "two jobs have the name 'first'"),
        ({"name": "second"}, "is for other keys than 'first'"),
    ],
)
def test_jobs_that_cannot_follow_each_other_are_refused(
    processes: Processes, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    write_jobs(processes)
    processes.write_job("second.yaml", **change)
    with pytest.raises(InputError, match=words):
        load_queue([tmp_path / "first.yaml", tmp_path / "second.yaml"])


@pytest.mark.slow
def test_a_part_that_a_later_job_begins_from_is_missed_before_the_first(
    processes: Processes,
) -> None:
    """At the server too, which has no table."""
    write_jobs(processes)
    begins = {"training": {"start": "0" * 64}}
    processes.write_job("second.yaml", name="second", trust_domain=JOB["name"], **begins)
    code, words = start(processes, "server").ends()
    assert code == 2 and "kept model" in words
