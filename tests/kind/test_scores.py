"""A model that is kept, opened, scored by and begun from, in one deployment after the other: the
cluster's commands of docs/kept.md and docs/scoring.md, as they stand there.

The tests of this page are one story, in order.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from deployer.manifests.values import load_values
from tests.kind.cluster import PARTIES, ROOT, Cluster, run
from tests.kind.test_from_nothing import PLACES

pytestmark = pytest.mark.in_turn

BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, heading: str) -> list[str]:
    """The commands under a heading, block by block."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    [part] = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return BLOCK.findall(part)


class Story:
    """Three organisations' folder, as a reader has it, and their namespaces."""

    def __init__(self, cluster: Cluster, folder: Path, namespaces: dict[str, str]) -> None:
        self.cluster, self.folder, self.namespaces = cluster, folder, namespaces
        for name in ("fraud", "joint"):
            shutil.copytree(ROOT / "examples" / name, folder / "examples" / name)
        repository, _, tag = cluster.image.rpartition(":")
        small = {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}}
        image = {"repository": repository, "tag": tag}
        more: dict[str, Any] = {"image": image, "storage": {"size": "64Mi"}}
        more |= {"terminationGracePeriodSeconds": 5, **dict.fromkeys(PARTIES, small)}
        (folder / "test.yaml").write_text(yaml.safe_dump(more))

    def does(self, commands: str) -> str:
        """Commands, with this cluster's namespaces and image; what they say."""
        for known, own in self.namespaces.items():
            commands = re.sub(rf"\b(namespace:? ){known}\b", rf"\g<1>{own}", commands)
        # Once a command, behind its own values.
        commands = re.sub(r"-f (\w+\.yaml)(?! -f)", r"-f \1 -f test.yaml", commands)
        script = self.folder / "page.sh"
        script.write_text(f"set -euo pipefail\ncd {self.folder}\n{commands}")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = self.cluster.environment | {"PATH": path}
        return run("bash", script, env=environment, timeout=1500).stdout

    def values(self, name: str, **change: Any) -> None:
        """A file of values, from those of the page and its job changed; None takes a key out."""
        document = yaml.safe_load((self.folder / "kept.yaml").read_text())
        job = document["job"] | change.pop("job", {})
        document |= {"job": {key: of for key, of in job.items() if of is not None}} | change
        (self.folder / name).write_text(yaml.safe_dump(document, sort_keys=False))

    def model(self, name: str) -> dict[str, Any]:
        """A document that was fetched."""
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found

    def inside(self, release: str, party: str, *command: str) -> str:
        """What a command says in a party's pod, whether it ends well or not."""
        own = self.namespaces[PLACES[party]]
        return self.cluster.inside(f"{release}-{party}-0", own, *command).stdout


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Three namespaces, with keys for the job that trains."""
    with cluster.namespace() as bank, cluster.namespace() as police, cluster.namespace() as helper:
        namespaces = {"bank": bank, "police": police, "helper": helper}
        made = Story(cluster, tmp_path_factory.mktemp("scores"), namespaces)
        places = "".join(f"{party}: {{namespace: {own}}}\n" for party, own in PLACES.items())
        put = "".join(f"deployer certs put {p} keys/{p} -f places.yaml\n" for p in PARTIES)
        made.does(
            f"cat > places.yaml <<'END'\ndemo: {{enabled: false}}\nname: joint\n"
            f"job: {{name: joint}}\n{places}END\n"
            f"deployer certs new --job examples/joint/job.yaml --output keys\n{put}"
        )
        yield made


def test_a_model_is_kept_by_one_release_and_opened_by_the_next(story: Story) -> None:
    keep, open_it = blocks("kept.md", "On Kubernetes")
    name = story.does(keep).splitlines()[-1]
    assert re.fullmatch("[0-9a-f]{64}", name)
    for party in PARTIES:
        assert story.inside("joint", party, "ls", "/state/output/kept") == f"{name}.sealed\n"
        left = story.inside("joint", party, "ls", "/state/output").split()
        assert not {"model.json", "shares.json"} & set(left)
    # The name is asked of the pods; then the release goes, and its volumes do not.
    before, apply, after = open_it.partition("deployer apply")
    story.does(f"{before}deployer delete -f kept.yaml --yes")
    for party, own in PLACES.items():
        claim = story.cluster.get("pvc", story.namespaces[own], f"state-joint-{party}-0")
        assert claim is not None
    said = story.does(apply + after)
    assert "a16" in said and "b16" in said and "intercept" in said


def test_both_score_rows_by_what_each_has_of_the_training(story: Story) -> None:
    fetch, score = blocks("scoring.md", "Score together on Kubernetes")
    story.does(fetch)
    model, columns = story.model("model.json"), story.model("columns.json")
    assert model["mean"][16:] == [None] * 16, "Alice does not know Bob's"
    assert columns["party"] == "bob" and len(columns["mean"]) == 16
    assert "the scores of the job 'scores'" in story.does(score)

    _is_scored(story, "scores.csv", model, columns)

    # Each pod has its own part alone, and nobody but Alice has a score.
    parts = {"alice": "model.json\n", "bob": "columns.json\n", "server": ""}
    for party in PARTIES:
        assert story.inside("scores", party, "ls", "/model") == parts[party]
        left = story.inside("scores", party, "ls", "/state/output").split()
        assert ("scores.csv" in left) is (party == "alice")
        secrets = story.cluster.get("secrets", story.namespaces[PLACES[party]])
        names = {one["metadata"]["name"] for one in secrets if "-model" in one["metadata"]["name"]}
        assert names == ({f"scores-{party}-model"} if parts[party] else set())


def test_all_rows_of_one_table_are_scored_whoever_is_in_the_other(story: Story) -> None:
    """By the next job of the same release, whose tables are in orders of their own."""
    document = yaml.safe_load((story.folder / "scores.yaml").read_text())
    document["job"] |= {"name": "customers", "align": {"key": "who", "join": "left"}}
    del document["job"]["rows"]
    (story.folder / "customers.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    rows = _numbers(story.folder / "examples/fraud/alice.csv")
    others = _numbers(story.folder / "examples/joint/bob.csv")[:, 1:]
    draw = np.random.default_rng(2)
    known, order = draw.permutation(len(rows))[:2000], draw.permutation(len(rows))
    for name, letter, which, numbers in (
        ("bank", "a", order, rows),
        ("police", "b", known, others),
    ):
        lines = [",".join(["who", *(f"{letter}{i}" for i in range(1, 17))])]
        lines += [f"C{i}," + ",".join(map(repr, numbers[i].tolist())) for i in which]
        (story.folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    story.does(
        "deployer data put alice bank.csv --model model.json -f customers.yaml\n"
        "deployer data put bob police.csv --model columns.json -f customers.yaml\n"
        "deployer apply -f customers.yaml\n"
        "deployer result -f customers.yaml --output customers.csv\n"
    )
    model, columns = story.model("model.json"), story.model("columns.json")
    x = (rows - model["mean"][:16]) / model["scale"][:16]
    z = np.zeros_like(others)  # the training's mean, for who is not known
    z[known] = ((others - columns["mean"]) / columns["scale"])[known]
    sums = np.hstack([x, z]) @ np.array(model["weights"]) + model["intercept"]
    _, *lines = (story.folder / "customers.csv").read_text().splitlines()
    wanted = 1 / (1 + np.exp(-sums[order]))
    np.testing.assert_allclose(np.array(lines, float), wanted, rtol=0, atol=1e-5)
    left = story.inside("scores", "bob", "ls", "/state/output").split()
    assert "scores.csv" not in left


def test_a_training_begins_from_the_models_of_a_former_release(story: Story) -> None:
    story.values("warm.yaml", job={"result": "both", "training": {"start": "model"}})
    story.does(
        "deployer result --name joint --namespace police --party bob --output bobs.json\n"
        "deployer data put alice examples/fraud/alice.csv --start model.json -f warm.yaml\n"
        "deployer data put bob examples/joint/bob.csv --start bobs.json -f warm.yaml\n"
        "deployer apply -f warm.yaml\n"
        "deployer result -f warm.yaml --party alice --output warm.json\n"
    )
    former, warm = story.model("model.json"), story.model("warm.json")
    np.testing.assert_allclose(warm["weights"], former["weights"], rtol=0, atol=0.05)
    assert warm["health"]["settled"] is True
    assert warm["health"]["steps"] < former["health"]["steps"]


def test_a_queue_opens_what_a_release_has_kept_and_begins_from_it_and_scores_by_what_it_trains(
    story: Story,
) -> None:
    """Under another name; and nobody brings what a job of the list has left. The tables begin with
    names, by which rows are scored: of others the pods say so before the first job begins."""
    name = yaml.safe_load((story.folder / "open.yaml").read_text())["job"]["kept"]
    wanted: list[dict[str, Any]] = [{"name": "again", "kept": name, "result": "bob"}]
    wanted.append({"name": "next", "training": {"start": name}})
    story.values("queue.yaml", job={"result": "alice"}, jobs=wanted)
    trained = load_values([story.folder / "queue.yaml"]).queue[1].digest
    by = {"kind": "joint-scores", "holder": "alice", "trained_by": trained}
    wanted.append({"name": "scored", "model": by})
    story.values("queue.yaml", job={"result": "alice"}, jobs=wanted)
    story.does(
        "deployer apply -f queue.yaml --no-wait\n"
        "until deployer status -f queue.yaml --party bob | grep \"for 'scored'\"\n"
        "do sleep 2; done\n"
        'names() { echo "$1$(seq -s, -f "$2%g" 16)"; }\n'
        "{ names '' a; cat examples/fraud/alice.csv; } > alices.csv\n"
        "{ names fraud, b; cat examples/joint/bob.csv; } > bobs.csv\n"
        "deployer data put alice alices.csv -f queue.yaml\n"
        "deployer data put bob bobs.csv -f queue.yaml\n"
        "deployer apply -f queue.yaml\n"
        "deployer result -f queue.yaml --job again --output again.json\n"
        "deployer result -f queue.yaml --job next --output next.json\n"
        "deployer result -f queue.yaml --job next --columns --party bob --output columns.json\n"
        "deployer result -f queue.yaml --job scored --output scored.csv\n"
    )
    former, begun = story.model("model.json"), story.model("next.json")
    assert story.model("again.json")["weights"] == former["weights"]
    np.testing.assert_allclose(begun["weights"], former["weights"], rtol=0, atol=0.05)
    assert begun["health"]["steps"] < former["health"]["steps"]
    _is_scored(story, "scored.csv", begun, story.model("columns.json"))


def _is_scored(story: Story, name: str, model: Any, columns: Any) -> None:
    """The scores in a file are those of all rows of the examples' tables, in their order."""
    sides = [_numbers(story.folder / "examples/fraud/alice.csv")]
    sides.append(_numbers(story.folder / "examples/joint/bob.csv")[:, 1:])
    mean = np.array(model["mean"][:16] + columns["mean"])
    scale = np.array(model["scale"][:16] + columns["scale"])
    sums = (np.hstack(sides) - mean) / scale @ np.array(model["weights"]) + model["intercept"]
    head, *lines = (story.folder / name).read_text().splitlines()
    assert head == "score"
    np.testing.assert_allclose(np.array(lines, float), 1 / (1 + np.exp(-sums)), rtol=0, atol=1e-5)


def _numbers(path: Path) -> Any:
    with path.open(newline="") as file:
        return np.array(list(csv.reader(file)), float)
