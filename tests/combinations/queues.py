"""Lists of jobs that three parties do one after the other, on the same tables."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from party.agreement.job import HOLDERS, PARTIES, parse_job
from party.process.errors import InputError
from party.reporting.documents import LinearDocument
from party.reporting.result import lines_below
from party.table.private_labels import LabelKey
from tests.combinations.draws import LABEL, SHAPES, Case, FindingError, shape_of, with_tables, write
from tests.combinations.runs import (
    WITHIN_S,
    Compared,
    Outcome,
    in_clear,
    see_to_failure,
    see_to_scores,
    see_to_words,
    write_key,
)
from tests.combinations.scores import KIND
from tests.harness.processes import JOB, Processes, Running

_LOOK_EVERY_S = 0.1


def draw(seed: int) -> Case:
    """The list of a seed: its last job, each behind those before it."""
    shape = random.Random(f"queue shape {seed % SHAPES}")
    chance = random.Random(f"queue case {seed}")
    job, slots = shape_of(shape)
    job.pop("statistics", None)
    if isinstance(job["model"], dict):
        job.get("training", {}).pop("class_weight", None)
        job.pop("evaluation", None)
    if job.get("training") == {}:
        del job["training"]
    whole = with_tables(seed, chance, job, slots)
    key = LabelKey(chance.randbytes(32)).text()
    found: Case | None = None
    for place in range(shape.choice((2, 3, 3))):
        agreed = whole.job | {"name": f"job-{place}", "trust_domain": JOB["name"]}
        for _ in range(shape.choice((0, 1, 1, 2))):
            agreed = _otherwise(shape, agreed)
        own_key = key if "privacy" in agreed else ""
        found = replace(whole, job=agreed, before=found, label_key=own_key)
        if shape.random() < 0.4 and (scored := _scoring(shape, found)):
            found = scored
    assert found is not None
    return found


def _otherwise(chance: random.Random, job: dict[str, Any]) -> dict[str, Any]:
    """The job with something otherwise, if it may be."""
    changed = copy.deepcopy(job) | chance.choice(
        (
            {"training": {"C": chance.choice((0.1, 5.0))}},
            {"training": {"epochs": 5, "batch_size": 16, "learning_rate": 0.2}},
            {"training": {"C": 1.0, "class_weight": {"0": 1.0, "1": 3.0}}},
            {"evaluation": chance.choice(({"folds": 2}, {"held_out": 0.4, "minimum": 5}))},
            {"statistics": {"level": 0.9}},
            {"protocol": chance.choice(("pond", "aby3"))},
            {"result": chance.choice(("alice", "bob", "both"))},
            {"privacy": {"labels": {"epsilon": 6.0}}},
            {"features": {p: names[:1] for p, names in job["features"].items()}},
        )
    )
    columns = {name for names in changed["features"].values() for name in names} | {LABEL}
    if "columns" in changed:
        changed["columns"] = {k: v for k, v in changed["columns"].items() if k in columns}
    try:
        _parsed(changed)
    except InputError:
        return job
    return changed


def _scoring(chance: random.Random, trained: Case) -> Case | None:
    """One that scores the rows by the model of the job before it, if it can."""
    former = trained.job
    holders = {"both": list(HOLDERS)}.get(former["result"], [former["result"]])
    if "own" in holders or len([1 for names in former["features"].values() if names]) < 2:
        return None
    model = {"kind": KIND, "holder": chance.choice(holders), "trained_by": _parsed(former).digest}
    if isinstance(former["model"], dict):
        model |= {"predicts": former["model"]["kind"], "unit": former["model"]["unit"]}
    kept = ("trust_domain", "rows", "features", "columns")
    job = {key: copy.deepcopy(former[key]) for key in kept if key in former}
    job.get("columns", {}).pop(LABEL, None)
    job |= {"name": former["name"] + "-scores", "model": model}
    job |= {"result": chance.choice(("alice", "bob", "both"))}
    return replace(trained, job=job, before=trained, label_key="")


def _parsed(job: dict[str, Any]) -> Any:
    return parse_job(yaml.safe_dump(job, allow_unicode=True), "job.yaml")


def listed(case: Case) -> list[Case]:
    """All of its list, the first first."""
    return [case] if case.before is None else [*listed(case.before), case]


def run(case: Case, directory: Path, cache: Path) -> Outcome:
    """Do the list of a case in a directory of its own; FindingError where anything is wrong."""
    directory.mkdir(parents=True)
    began = time.monotonic()
    cases = listed(case)
    with closing(Processes(directory, cache.absolute())) as processes:
        code, said = _done(processes, cases)
    see_to_words(code, said)
    files: dict[str, Path] = {p: directory / f"{p}.csv" for p in HOLDERS}
    told, refused = [], [why for each in cases if (why := in_clear(each, files)[1])]
    if refused and not code:
        raise FindingError(f"it was to be refused: {refused}")
    if code == 2 and not any(each.job["name"] in said for each in cases):
        raise FindingError(f"it does not say of which job: {said}")
    for each in cases:
        of = directory / "of" / each.job["name"]
        of.mkdir(parents=True)
        for party in PARTIES:
            (of / party).symlink_to(directory / "out" / party / each.job["name"])
        clear, _ = in_clear(each, files)
        if code and not list(of.glob("*/report.json")):
            told.append(see_to_failure(code, said, of, each, clear))
            break
        assert clear is not None
        told.append(_compared(each, clear, of, directory))
    return Outcome(code, time.monotonic() - began, " | ".join(told))


def _compared(case: Case, clear: Any, output: Path, directory: Path) -> str:
    if case.scores:
        assert case.before is not None
        return see_to_scores(case, clear, output.with_name(case.before.job["name"]), output)
    models = [LinearDocument.read(file.parent) for file in output.glob("*/model.json")]
    said = "\n".join(line for model in models if model for line in lines_below(model))
    return Compared(case, clear, output, said).all(directory)


def _done(processes: Processes, cases: list[Case]) -> tuple[int, str]:
    """Let all three do the list: 0, or the exit code of who ended otherwise, and its words."""
    jobs = []
    for case in cases:
        jobs.append(f"{case.job['name']}.yaml")
        text = yaml.safe_dump(case.job, allow_unicode=True)
        (processes.directory / jobs[-1]).write_text(text, encoding="utf-8")
    for holder, table in cases[0].tables.items():
        write(processes.directory / f"{holder}.csv", table)
    private = next((case for case in cases if case.label_key), None)
    started = []
    for party in PARTIES:
        options = {"job": jobs[-1], "wait": f"{WITHIN_S:g}"}
        if private is not None and party in private.job["label"]:
            options["label_key"] = str(write_key(private, processes.directory))
        more = [word for job in jobs[:-1] for word in ("--job", job)]
        started.append(processes.start(party, *more, "--queue", **options))
    ended = next(_ended(started), None)
    if ended is None:
        return 0, ""
    return ended.process.returncode, ended.words.read_text()


def _ended(started: list[Running]) -> Iterator[Running]:
    """Who has ended otherwise than well, until all have ended."""
    end = time.monotonic() + WITHIN_S
    while True:
        codes = [one.process.poll() for one in started]
        yield from (one for one, code in zip(started, codes, strict=True) if code)
        if None not in codes:
            return
        if time.monotonic() > end:
            raise FindingError("the list hangs")
        time.sleep(_LOOK_EVERY_S)
