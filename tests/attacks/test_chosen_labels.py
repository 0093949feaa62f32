"""Alice chooses her features so that the model spells Bob's labels out.

Each of her columns is 1 in one row and 0 in all others. The weights of one step are then sums of
one label each, less what all have in common: of an exact model every chosen label can be read. The
protocol is not at fault, and hides all that it should: the model itself says it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from party.agreement.job import load_job
from party.agreement.privacy import LabelPrivacy
from party.table import LabelKey
from party.table.private_labels import by_place
from tests.attacks.conftest import Tried
from tests.harness import plans
from tests.harness.processes import Processes

pytestmark = pytest.mark.slow

ROWS, CHOSEN = 192, 96
EPSILON = 1.0
KEY = LabelKey(bytes(range(32)))
LABELS = np.random.default_rng(5).random(ROWS) < 0.5

STEP = {"epochs": 1, "batch_size": ROWS, "learning_rate": 0.01}
DESCENT = {"passes": 3, "tolerance": 0}


def read_out(processes: Processes, rows: Any, training: Any, private: bool) -> Any:
    """Which label each of the chosen rows has, by Alice's model."""
    folder, features = processes.directory, np.zeros((ROWS, CHOSEN), int)
    features[rows, np.arange(CHOSEN)] = 1
    names = [f"x{column}" for column in range(CHOSEN)]
    np.savetxt(folder / "alice.csv", features, "%d", ",", header=",".join(names), comments="")
    np.savetxt(folder / "bob.csv", LABELS, "%d", header="fraud", comments="")
    privacy = {"privacy": {"labels": {"epsilon": EPSILON}}} if private else {}
    agreed = {"rows": ROWS, "features": names, "training": training} | privacy
    plans.cached(load_job(processes.write_job("job.yaml", **agreed)), processes.cache)
    key = folder / "label.key"
    key.write_text(KEY.text())
    key.chmod(0o600)
    started = [processes.start(party) for party in ("alice", "server")]
    started.append(processes.start("bob", **({"label_key": "label.key"} if private else {})))
    for one in started:
        assert one.ends() == (0, ""), one.party
    model = json.loads((folder / "out/alice/model.json").read_text())
    return np.array(model["weights"]) > 0


@pytest.mark.parametrize("training", [STEP, DESCENT], ids=["a step", "a descent"])
def test_labels_are_read_out_of_an_exact_model_and_not_out_of_a_private_one(
    processes: Processes, training: Any, tried: Tried
) -> None:
    first = np.arange(CHOSEN)
    assert (read_out(processes, first, training, private=False) == LABELS[:CHOSEN]).all()

    privacy = LabelPrivacy(epsilon=EPSILON)
    seen = LABELS ^ KEY.turned("fraud", by_place(ROWS), LABELS, privacy, "place")
    guessed = read_out(processes, first, training, private=True)
    assert (guessed == seen[:CHOSEN]).all(), "all that she learns is what came of the turning"
    kept, spread = 1 - privacy.flip, (privacy.flip * (1 - privacy.flip) / CHOSEN) ** 0.5
    assert abs((guessed == LABELS[:CHOSEN]).mean() - kept) < 4 * spread
    tried(CHOSEN, f"labels read out of a model with epsilon {EPSILON:g}: {kept:.0%} of them right")


def test_other_features_read_the_same_answers_again_and_the_key_is_left_nowhere(
    processes: Processes, tried: Tried
) -> None:
    rows = np.random.default_rng(6).permutation(CHOSEN)
    again = np.empty(CHOSEN, bool)
    again[rows] = read_out(processes, rows, STEP, private=True)
    privacy = LabelPrivacy(epsilon=EPSILON)
    seen = LABELS ^ KEY.turned("fraud", by_place(ROWS), LABELS, privacy, "place")
    assert (again == seen[:CHOSEN]).all()
    tried(CHOSEN, "labels asked for again with other features, and the same answers got")
    inside = KEY.text().splitlines()[1].encode(), KEY.secret, KEY.secret.hex().encode()
    for file in processes.directory.rglob("*"):
        if file.is_file() and file.name != "label.key":
            left = file.read_bytes()
            assert not any(one in left for one in inside), file
