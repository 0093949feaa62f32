"""A party that is killed anywhere in a left join, in a training from a kept model, or in an opening
comes back, and the result is the right one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import PARTIES, AlignedJob, Job, Party, Sizes, parse_job
from party.checkpoints import KeptModel, KeptModels
from party.compiler import prepared
from party.identity import read_checkpoint_key
from party.models.descent import WEIGHT_BITS
from party.models.registry import model_of
from party.plan.parameters import PlanParameters
from party.process.files import replace_json
from party.scoring import Scorer
from tests.harness import plaintext
from tests.harness.dying import DIED, dying
from tests.harness.plans import cached
from tests.harness.processes import JOB, Processes, Running
from tests.scoring.models import document, rows
from tests.scoring.test_joint import KEYS, WHOSE, tables, trained
from tests.scoring.test_left_join import keyed

pytestmark = pytest.mark.slow

WITHIN_S = 400.0
"""So long a busy machine may take, in which parties are started one after the other."""

OPTIONS = {"wait": "300", "rejoin_limit": "300", "checkpoint_every": "0.001"}

Deaths = dict[Party, tuple[str, int]]
"""Of each party the place in which it dies, once, and the number of the call; in their order."""


def parsed(agreed: dict[str, Any]) -> Job:
    return Job.model_validate_json(json.dumps(agreed))


def done(processes: Processes, deaths: Deaths, **options: dict[str, str]) -> None:
    """Start all three, and again whoever has died; they come to the end."""
    now: dict[Party, Running] = {}
    for party in PARTIES:
        processes.before = dying(*deaths[party]) if party in deaths else ()
        now[party] = processes.start(party, **OPTIONS | options.get(party, {}))
    processes.before = ()
    for party in deaths:
        assert now[party].ends(WITHIN_S)[0] == DIED, now[party].words.read_text()
        now[party] = processes.start(party, **OPTIONS | options.get(party, {}))
    for one in now.values():
        assert one.ends(WITHIN_S) == (0, ""), one.party


def test_all_rows_are_scored_whoever_dies_in_the_join_behind_it_and_at_the_end(
    processes: Processes, cache: Path
) -> None:
    """Within the join all begin again, and behind it the rows that were joined are taken up."""
    here = processes.directory
    agreed = parse_job(KEYS, "job.yaml").model_dump(mode="json")
    agreed |= {"trust_domain": JOB["name"], "rows": 0}
    agreed |= {"align": {"key": "who", "join": "left", "minimum": 1}}
    (here / "job.yaml").write_text(json.dumps(agreed))
    cached(AlignedJob.of(parsed(agreed), Sizes(alice=30, bob=25)), cache)
    numbers = np.clip(rows(30, 5), -50, 50)
    files, parts = tables(here, numbers), trained(here)
    names = [f"N{i}" for i in np.random.default_rng(3).permutation(30)]
    keyed(files["alice"], names)
    keyed(files["bob"], [name if i % 3 else f"x{i}" for i, name in enumerate(names)][:25])
    model = {party: {"model": path.name} for party, path in parts.items()}
    done(
        processes,
        {
            "bob": ("party.channel.exchange:Messages.receive", 4),
            "server": ("party.runtime.course:Course._run", 2),
            "alice": ("party.life.leaving:_write_report", 1),
        },
        **model,
    )
    head, *lines = (here / "out/alice/scores.csv").read_text().splitlines()
    whole = document(5)
    expected = numbers.copy()
    for i in range(30):
        if i % 3 == 0 or i >= 25:
            expected[i, WHOSE["bob"]] = [whole["mean"][at] for at in WHOSE["bob"]]
    replace_json(here / "whole.json", whole)
    scores = Scorer.read(here / "whole.json").predict(expected)
    assert head == "score"
    np.testing.assert_allclose(np.array(lines, float), scores, rtol=0, atol=2e-4)


KEPT = JOB | {"training": {"passes": 16, "tolerance": 0, "C": 10.0}, "result": "kept"}
"""From zero, these passes end far from the optimum."""


@pytest.fixture
def optimum(processes: Processes) -> dict[str, float]:
    """What a kept model of the usual tables has: the weights of as many passes as it takes."""
    long = parsed(KEPT | {"training": KEPT["training"] | {"passes": 4000}})
    return plaintext.fit(long, plaintext.read_all(long, processes.directory))


@pytest.fixture
def kept(processes: Processes, cache: Path, optimum: dict[str, float]) -> Iterator[str]:
    """Its name; each party has its part of it."""
    job, opening = parsed(KEPT), parsed(KEPT | {"result": "alice", "kept": "0" * 64})
    cached(opening, cache)  # a small plan, with the same shares of the weights
    held = plaintext.read_all(job, processes.directory)
    whole = np.round(np.array(list(optimum.values())) * 2.0**WEIGHT_BITS).astype(np.int64)
    masked = np.random.default_rng(4).integers(-(2**62), 2**62, len(whole))
    model, layout = model_of(job.parameters), PlanParameters.of(opening).layout
    name = ""
    for index, party in enumerate(PARTIES):
        schedule = prepared(opening, index, cache).schedule
        shares = {
            f"{one.share.value}/{one.share.position}": masked if index == 0 else whole - masked
            for one in schedule.state
            if one.share.value in model.weights(layout)
        }
        part = KeptModel.of(job, "p" * 64, "r", 16, True, shares, held.get(party))
        key = read_checkpoint_key(processes.directory / "keys" / party)
        KeptModels(processes.directory / "out" / party / "kept", key, party).keep(part)
        name = part.name
    yield name


def weights(processes: Processes) -> dict[str, float]:
    model = json.loads((processes.directory / "out/alice/model.json").read_text())
    return plaintext.received(model)


def test_a_training_goes_on_from_a_kept_model_whoever_dies_before_and_after_a_checkpoint(
    processes: Processes, cache: Path, kept: str, optimum: dict[str, float]
) -> None:
    begins = KEPT | {"training": KEPT["training"] | {"start": kept}, "result": "alice"}
    (processes.directory / "job.yaml").write_text(json.dumps(begins))
    cold, job = parsed(KEPT), parsed(begins)
    cached(job, cache)
    done(
        processes,
        {
            "bob": ("party.runtime.course:Course._run", 2),
            "server": ("party.runtime.course:Course._meet", 3),
            "alice": ("party.life.leaving:_write_report", 1),
        },
    )
    assert plaintext.distance(weights(processes), optimum) < 1e-2
    clear = plaintext.fit(cold, plaintext.read_all(cold, processes.directory))
    assert plaintext.distance(clear, optimum) > 1e-1


def test_a_kept_model_is_opened_once_whoever_dies_before_and_after_it_is(
    processes: Processes, cache: Path, kept: str, optimum: dict[str, float]
) -> None:
    opening = KEPT | {"result": "alice", "kept": kept}
    (processes.directory / "job.yaml").write_text(json.dumps(opening))
    cached(parsed(opening), cache)
    done(
        processes,
        {
            "server": ("party.runtime.course:Course._keep", 2),
            "bob": ("party.runtime.course:Course._run", 1),
            "alice": ("party.life.leaving:_write_report", 1),
        },
    )
    assert plaintext.distance(weights(processes), optimum) < 1e-5
