"""Private weights: whoever is opened them learns their sum with the noise of both holders, of which
it knows its own, and nothing else."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from party.audit import audit
from party.models.descent import WEIGHT_BITS
from party.plan import Plan
from tests.attacks.conftest import Tried
from tests.attacks.distinguishers import (
    LEVEL,
    both_worlds_look_alike,
    by_chance,
    evidence,
    guessed,
    rejected,
    relations,
)
from tests.attacks.test_second_model import leaving_alice, stolen
from tests.attacks.transcripts import (
    Array,
    Seen,
    Theatre,
    together,
    tossed,
    worlds_of_descents,
)
from tests.audit.test_noise import private_job, private_plan
from tests.harness.processes import Processes

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

PROTOCOLS = ("pond", "aby3")
NAMES = ("alice", "bob", "server")
PLAYED = ("prepare", "finish", "open")
RUNS = 1200
MOVED = 2**21 + 1
"""By how much weights differ between the worlds, in their last bits: in the lowest, too."""


def own_rows(plan: Plan, holder: int, noise: Array) -> Array:
    """A holder's table: no rows, no penalty, a way back that changes nothing, and its noise."""
    layout = plan.parameters.layout
    assert layout.descent is not None
    columns = next(block.columns for block in layout.blocks if block.party == holder)
    shape = layout.descent.rows + layout.descent.home_rows, layout.columns_of(holder)
    found, first = np.zeros(shape, np.float32), layout.descent.rows + columns
    found[first : first + columns, :columns] = np.eye(columns)
    found[-len(noise) :, 0] = noise * 2.0**-WEIGHT_BITS
    return found


@pytest.mark.parametrize("observer", [0, 1], ids=lambda party: NAMES[party])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_learns_more_of_private_weights_than_their_sum_with_both_noises(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Worlds of other weights, in which the other holder's noise is other by as much: what is
    opened is the same, and so is the receiver's own noise."""
    plan, coins, draw = private_plan(protocol), tossed(RUNS), np.random.default_rng()
    here = Theatre(plan, tmp_path, played=PLAYED)
    views: list[dict[str, list[Array]]] = [{}, {}]
    moment: dict[str, Array] = {}
    for coin in coins:
        noises = draw.integers(-(2**22), 2**22, (2, plan.parameters.layout.all_columns))
        opened = noises.sum(axis=0)
        noises[1 - observer] -= coin * MOVED
        tables = {holder: own_rows(plan, holder, noises[holder]) for holder in (0, 1)}
        for value in plan.state:
            if value.name.startswith("iterate."):
                here.write(value, np.full(value.shape, coin * MOVED, np.int64))
        for name in ("prepare", "finish"):
            here.run(name, tables, home_rows(plan))
        here.run("open", {}, None)
        found = np.vstack([here.total(f"weights.{NAMES[party]}") for party in (0, 1)])[:, 0]
        assert np.abs(found - opened).max() <= 1
        for party, view in enumerate(views):
            moment = here.held(party) | here.messages(party)
            moment |= {"own noise": noises[party], "what is opened": found}
            for name, content in moment.items():
                view.setdefault(name, []).append(content)
    told: list[Seen] = [{name: np.array(them) for name, them in view.items()} for view in views]
    assert rejected(evidence(told[observer], coins), LEVEL) == []
    right, of = guessed(told[observer], coins)
    assert by_chance(right, of) > LEVEL, f"{right} of {of} guessed"
    bits, telling = relations(told[observer], coins)
    assert telling == 0
    _, telling = relations(together(told), coins)
    assert telling > 0, "with the other's noise it can"
    who = f"{NAMES[observer]}, {protocol}"
    tried(of, f"worlds of private weights guessed, {right} rightly ({who})")
    tried(bits, f"lowest bits, of which no sum tells one world from the other ({who})")


def home_rows(plan: Plan) -> Array:
    descent = plan.parameters.layout.descent
    assert descent is not None
    return descent.rows + np.arange(descent.home_rows, dtype=np.int32)


@pytest.mark.parametrize("observer", [0, 1], ids=lambda party: NAMES[party])
@pytest.mark.parametrize("protocol", ["pond"])
def test_no_message_of_a_private_training_tells_tables_weights_or_noise(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    plan, coins = private_plan(protocol, rows=2), tossed(RUNS)
    audit(plan, private_job(protocol, rows=2))
    here = Theatre(plan, tmp_path, played=("share", "prepare", "gradient", "update.0", "finish"))
    views = here.descend(worlds_of_descents(plan, observer), coins)
    told = both_worlds_look_alike(views, observer, coins)
    who = f"{NAMES[observer]}, private weights, {protocol}"
    tried(told.statistics, f"statistics of messages ({who})")
    tried(told.guesses, f"worlds guessed by a trained classifier, {told.right} rightly ({who})")
    tried(told.bits, f"lowest bits, of which no sum tells one world from the other ({who})")


def test_a_receiver_that_breaks_off_is_opened_the_same_noise_again(
    processes: Processes, tried: Tried
) -> None:
    """Two openings with other noise in each would have a mean. Whoever is killed draws noise anew
    when it starts; what is opened is what is in the shares of the point before."""
    scale = {"scale": {"mean": 0, "deviation": 5000}}
    processes.write_job(
        "job.yaml",
        columns={"age": scale, "amount": scale},
        training={"passes": 20, "tolerance": 0, "C": 0.02},
        privacy={"weights": {"epsilon": 5, "delta": 1e-3, "norm": 1}},
    )
    others = [processes.start(party, rejoin_limit="100") for party in ("bob", "server")]
    taken = []
    for _ in range(2):
        alice = leaving_alice(processes, "alice.csv", "--rejoin-limit", "100")
        assert alice.process.wait(110) == -signal.SIGKILL
        taken.append(stolen(processes))
    assert taken[0] == taken[1] != ""
    alice = processes.start("alice", rejoin_limit="100")
    assert [one.ends() for one in (alice, *others)] == [(0, "")] * 3
    for party in NAMES:
        ledger = (processes.directory / f"out/{party}/ledger.jsonl").read_text().splitlines()
        assert [json.loads(line)["event"] for line in ledger].count("opening") == 1
        code, said = processes.start(party).ends()
        assert code == 2 and "private weights are opened once" in said
    assert (processes.directory / "out/alice/model.json").exists()
    tried(2, "openings of private weights by a receiver that breaks off, with the same noise")
