"""Tables that are shuffled and overlap in part train as those do that somebody has put in order."""

from __future__ import annotations

import base64
import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from deployer.commands import verify
from deployer.local.run import Result, run_local
from party.agreement.job import Descent, Job, load_job
from party.approval import Ledger
from party.approval.receipt import Receipt
from party.process.errors import InputError, JobError
from party.table import read_table
from tests.harness import plaintext
from tests.harness.alignments import write_table
from tests.harness.optimum import logistic_optimum
from tests.harness.runs import run_planned

pytestmark = [pytest.mark.drawn, pytest.mark.in_turn]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ALICE, BOB = EXAMPLES / "fraud/alice.csv", EXAMPLES / "fraud/bob.csv"
JOB = load_job(EXAMPLES / "fraud/job.yaml")
FEATURES = JOB.features_of("alice")


@functools.cache
def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.reader(file))


def aligned(**change: Any) -> Job:
    """The example's job with rows that are matched."""
    fields = JOB.model_dump(exclude={"rows", "training", "order_seed"})
    agreed = {"align": {"key": "customer"}, "training": Descent(passes=40, tolerance=0)}
    return Job.model_validate(fields | agreed | change)


def written(
    directory: Path, names: list[str], rows: list[list[str]], which: Any, spelt: str = "C-{}"
) -> Path:
    """Some rows of a table in some order, each with its identifier in the middle."""
    cells = [[*rows[i][:1], spelt.format(i), *rows[i][1:]] for i in which]
    path = directory / f"{len(names)}-{len(cells)}.csv"
    return write_table(path, [*names[:1], "customer", *names[1:]], cells)


def weights(result: Result) -> dict[str, float]:
    return plaintext.received(*(model.as_json() for model in result.models.values()))


def scattered(tmp_path: Path, extra: int) -> tuple[dict[str, Path], list[int]]:
    """Alice's and Bob's tables in orders of their own, each with rows that the other lacks."""
    draw, count = np.random.default_rng(5), 4000
    common, rest = list(range(count)), list(range(count, count + 2 * extra))
    alice = draw.permutation([*common, *rest[:extra]])
    bob = draw.permutation([*common, *rest[extra:]])
    files = {
        "alice": written(tmp_path, list(FEATURES), rows_of(ALICE), alice),
        "bob": written(tmp_path, ["fraud"], rows_of(BOB), bob, " c-{} "),
    }
    return files, common


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["pond", "aby3", "securenn"])
def test_shuffled_tables_give_the_weights_of_those_in_order(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    files, common = scattered(tmp_path, 0)
    job = aligned(protocol=protocol)
    secure = weights(run_planned(job, files, tmp_path / "out", cache, len(common)))
    alice = write_table(tmp_path / "alice.csv", FEATURES, [rows_of(ALICE)[i] for i in common])
    bob = write_table(tmp_path / "bob.csv", ["fraud"], [rows_of(BOB)[i] for i in common])
    ordered = job.model_copy(update={"align": None, "rows": len(common)})
    result = run_planned(ordered, {"alice": alice, "bob": bob}, tmp_path / "ordered", cache)
    assert plaintext.distance(secure, weights(result)) < 1e-3


@pytest.mark.slow
def test_rows_that_only_one_has_change_nothing_but_the_scale(tmp_path: Path, cache: Path) -> None:
    files, common = scattered(tmp_path, 1500)
    result = run_planned(aligned(), files, tmp_path / "out", cache, len(common), approve=True)
    model = result.models["alice"].as_json()
    x = np.array([rows_of(ALICE)[i] for i in common], float)
    y = np.array([rows_of(BOB)[i] for i in common], float)[:, 0]
    x = (x - np.array(model["mean"])) / np.array(model["scale"])
    best = logistic_optimum(np.column_stack([x, np.ones(len(x))]), y, 1.0, len(FEATURES))
    secure = np.array(list(weights(result).values()))
    assert np.linalg.norm(secure - best) < 1e-2 * np.linalg.norm(best)
    assert result.models["alice"].health is not None
    assert result.models["alice"].health.rows == 4000
    sizes = [one.alignment.sizes for one in result.report.parties.values() if one.alignment]
    assert [(s.alice, s.bob, s.common) for s in sizes] == [(5500, 5500, 4000)] * 3
    check_approved(tmp_path / "out")


def check_approved(out: Path) -> None:
    """The receipt holds with approvals that name no plan, since nobody could know it, and each
    party has counted the opening before it aligned."""
    words = ["receipt.json", "alice/ledger.jsonl", "--job", "job.yaml", "--approvals", "approvals"]
    paths = [word if word.startswith("--") else str(out / word) for word in words]
    verified = CliRunner().invoke(verify.app, paths)
    assert verified.exit_code == 0 and "by its approval" in verified.stdout
    opening, done = Ledger(out / "alice/ledger.jsonl").entries
    assert (opening.event, opening.plan) == ("opening", None)
    assert done.plan == Receipt.read(out / "receipt.json").statements[0].plan


@pytest.mark.slow
def test_classes_are_weighed_as_scikit_learn_does(tmp_path: Path, cache: Path) -> None:
    files, common = scattered(tmp_path, 200)
    classes = {"0": 1.0, "1": 4.0}
    training = Descent(passes=100, class_weight=classes)
    job = aligned(training=training)
    result = run_planned(job, files, tmp_path / "out", cache, len(common))
    model = result.models["alice"].as_json()
    x = np.array([rows_of(ALICE)[i] for i in common], float)
    y = np.array([rows_of(BOB)[i] for i in common], float)[:, 0]
    x = np.column_stack([(x - np.array(model["mean"])) / np.array(model["scale"]), np.ones(4000)])
    best = logistic_optimum(x, y, 1.0, len(FEATURES), classes)
    secure = np.array(list(weights(result).values()))
    assert np.linalg.norm(secure - best) < 1e-2 * np.linalg.norm(best)
    plain = logistic_optimum(x, y, 1.0, len(FEATURES))
    assert np.linalg.norm(secure - plain) > 0.5 * np.linalg.norm(plain)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_held_out_rows_are_counted_with_their_own_labels(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    """Which ones they are nobody knows, but here the label follows the score: if a single row were
    counted with another's label, or lost, the counts would say so. A large table beside a small one
    has more bits after the point."""
    draw = np.random.default_rng(8)
    kinds = {f"c{i}": float(i % 3 == 0) for i in range(900)}
    alice = [
        [name, kind + 0.1 * draw.normal()]
        for name, kind in [*kinds.items(), *((f"a{i}", i % 2) for i in range(9000))]
    ]
    bob = [[name, kinds[name]] for name in draw.permutation(list(kinds))]
    files = {
        "alice": write_table(tmp_path / "a.csv", ["customer", "x"], alice),
        "bob": write_table(tmp_path / "b.csv", ["customer", "fraud"], bob),
    }
    job = aligned(protocol=protocol, features=("x",), evaluation={"held_out": 0.3, "minimum": 5})
    result = run_planned(job, files, tmp_path / "out", cache, len(kinds))
    found = result.models["alice"].evaluation
    assert found is not None and found.figures is not None
    assert found.rows == sum(group.rows for group in found.figures.groups) == 270
    mixed = [one for one in found.figures.groups if one.positives not in (0, one.rows)]
    assert sum(one.rows - one.positives for one in mixed) < 5, "too few to be a group"
    assert found.figures.auc > 0.98 and found.figures.best.f1 > 0.95
    assert 50 < found.figures.positives < 130, "six standard errors around 90"
    assert result.models["alice"].health is not None
    assert result.models["alice"].health.rows == 630


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_columns_at_both_and_a_label_at_alice_and_a_model_for_both(
    protocol: str, tmp_path: Path, cache: Path
) -> None:
    draw, rows, labels = np.random.default_rng(6), rows_of(ALICE), rows_of(BOB)
    common, extra = range(1000, 4000), range(4000, 5000)
    alice, bob = draw.permutation([*common]), draw.permutation([*common, *extra])
    left, right = FEATURES[:10], FEATURES[10:]
    files = {
        "alice": write_table(
            tmp_path / "a.csv",
            ["name", "born", *left, "fraud"],
            [[f"n{i // 2}", i % 2, *rows[i][:10], *labels[i]] for i in alice],
        ),
        "bob": write_table(
            tmp_path / "b.csv",
            [*right, "who", "year"],
            [[*rows[i][10:], f"N{i // 2}", i % 2] for i in bob],
        ),
    }
    job = aligned(
        protocol=protocol,
        features={"alice": left, "bob": right},
        label={"alice": "fraud"},
        align={"key": {"alice": ("name", "born"), "bob": ("who", "year")}},
        result="both",
    )
    result = run_planned(job, files, tmp_path / "out", cache, len(common))
    secure = {party: plaintext.received(model.as_json()) for party, model in result.models.items()}
    assert secure["alice"] == secure["bob"]
    ones = [p for p, model in result.models.items() if model.as_json()["mean"][0] is not None]
    assert ones == ["alice"], "each knows the means of its own columns alone"
    means, scales = [], []
    for party, names in (("alice", left), ("bob", right)):
        model = result.models[party].as_json()
        places = [model["features"].index(name) for name in names]
        means += [model["mean"][i] for i in places]
        scales += [model["scale"][i] for i in places]
    x = (np.array([rows[i] for i in common], float) - means) / scales
    y = np.array([labels[i] for i in common], float)[:, 0]
    best = logistic_optimum(np.column_stack([x, np.ones(len(x))]), y, 1.0, len(FEATURES))
    found = np.array([secure["alice"][name] for name in (*FEATURES, "intercept")])
    assert np.linalg.norm(found - best) < 1e-2 * np.linalg.norm(best)


@pytest.mark.slow
def test_words_and_gaps_in_matched_tables(tmp_path: Path, cache: Path) -> None:
    draw, count = np.random.default_rng(2), 400
    x, y = draw.normal(size=(2, count)).round(3)
    word, gap = draw.choice(["a", "b", "d"], count), draw.random(count) < 0.2
    chance = 1 / (1 + np.exp(1.5 * (word == "b") - x - np.where(gap, 1.0, y)))
    label = (draw.random(count) < chance).astype(int)
    columns = {
        "word": {"type": "category", "values": ("a", "b", "d")},
        "y": {"type": "number", "missing": "mean", "indicator": True},
    }
    job = Job(
        name="words",
        align={"key": "who"},  # type: ignore[arg-type]
        features={"alice": ("x", "word"), "bob": ("y",)},  # type: ignore[arg-type]
        label={"bob": "label"},  # type: ignore[arg-type]
        columns=columns,  # type: ignore[arg-type]
        result="both",
        training=Descent(passes=60, tolerance=0),
    )
    a, b = draw.permutation(350), draw.permutation(np.arange(50, count))
    tables = {
        "alice": write_table(
            tmp_path / "alice.csv", ["who", "x", "word"], [[f"C{i}", x[i], word[i]] for i in a]
        ),
        "bob": write_table(
            tmp_path / "bob.csv",
            ["who", "y", "label"],
            [[f"C{i}", "" if gap[i] else y[i], label[i]] for i in b],
        ),
    }
    result = run_planned(job, tables, tmp_path / "run", cache, 300)
    models = {party: model.as_json() for party, model in result.models.items()}
    mean, scale = (
        [one if other is None else other for one, other in zip(*pair, strict=True)]
        for pair in ([models[p][of] for p in ("bob", "alice")] for of in ("mean", "scale"))
    )
    filled = np.where(gap, mean[4], y)
    found = np.column_stack([x, *(word == one for one in ("a", "b", "d")), filled, gap])
    rows = np.column_stack([(found - mean) / scale, np.ones(count)])[50:350]
    best = logistic_optimum(rows, label[50:350].astype(float), 1.0, 6)
    names = ("x", "word=a", "word=b", "word=d", "y", "y:missing", "intercept")
    clear = dict(zip(names, best, strict=True))
    assert plaintext.distance(weights(result), clear) < 1e-2


def test_too_few_in_common_end_the_job_and_leave_nothing(tmp_path: Path, cache: Path) -> None:
    files, _ = scattered(tmp_path, 10)
    job = aligned(align={"key": "customer", "minimum": 4001})
    with pytest.raises(JobError) as raised:
        run_local(job, files, tmp_path / "out", cache=cache)
    assert "fewer than 4001 rows are in common" in raised.value.what
    assert not list((tmp_path / "out").glob("*/model.json"))
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            assert "4000" not in file.read_text(), "how many they are, nobody is told"


SAME = 300
"""Rows in common. Each holder has as many that are like them, with other identifiers."""

TIMED = {"time", "times", "started", "updated", "align_s", "rate", "remaining_s", "writes", "waits"}
TIMED |= {"peak_bytes", "plan_from_cache", "certificate_expires", "checkpoint", "since", "stepped"}
RANDOM = {"run", "keys", "peer_keys", "certificates", "authorities", "signatures"}
DIGESTS = {"hash", "previous", "report", "ledger"}
"""Keys of what hangs on time, load and the cache; of what is drawn, keys made for the run among it;
and of digests of all that. What is digested is compared itself."""


def twins(folder: Path, world: str) -> dict[str, Path]:
    """Both tables, each of rows twice. In the first world the first halves are in common; with
    other rows of Alice's, Bob's table has other identifiers, and hers is the same; with other rows
    of Bob's, it is the other way round. The joined table has the same rows in all three."""
    draw = np.random.default_rng(11)
    features, label = draw.normal(size=(SAME, 2)).round(3), draw.integers(0, 2, SAME)
    alice, bob = list(range(2 * SAME)), [*range(SAME), *range(2 * SAME, 3 * SAME)]
    if world == "others of alice's":
        bob = [*range(SAME, 2 * SAME), *range(2 * SAME, 3 * SAME)]
    elif world == "others of bob's":
        alice = [*range(2 * SAME, 3 * SAME), *range(3 * SAME, 4 * SAME)]
    rows = {
        "alice": [(f"canary-{who}", *features[i % SAME]) for i, who in enumerate(alice)],
        "bob": [(f"CANARY-{who}", label[i % SAME]) for i, who in enumerate(bob)],
    }
    names = {"alice": ["who", "x", "y"], "bob": ["who", "label"]}
    folder.mkdir()
    return {p: write_table(folder / f"{p}.csv", names[p], rows[p]) for p in names}


def settled(value: Any) -> Any:
    """A document without what hangs on time or was drawn."""
    if isinstance(value, dict):
        if value.get("name") == "run":
            return {}
        kept = value.keys() - TIMED - RANDOM - DIGESTS - {"path"}
        found = {key: settled(value[key]) for key in sorted(kept)}
        if "payload" in found:  # of a receipt
            found["payload"] = settled(json.loads(base64.b64decode(found["payload"])))
        return found
    return [settled(one) for one in value] if isinstance(value, list) else value


PHASES = {
    "table": "reading the table",
    "joining": "joining",
    "aligning": "aligning the tables",
    "plan": "preparing the plan",
    "revealing": "opening the model",
}
"""What a log says of phases, if they last for long enough."""


def happened(line: dict[str, Any]) -> bool:
    """Whether a line of a log says more than how long something takes."""
    said = {key: line[key] for key in line.keys() - {"time", "party"}}
    lasts = said == {"event": PHASES.get(line.get("phase", "")), "phase": line.get("phase")}
    return not (lasts or "waiting_for" in line or line["event"].startswith("epoch "))


def left_behind(folder: Path) -> dict[str, Any]:
    """All that a party leaves behind; of its log without waiting and progress."""
    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".jsonl":
            lines = [json.loads(line) for line in text.splitlines()]
            is_log = file.name == "log.jsonl"
            found[file.name] = settled([one for one in lines if not is_log or happened(one)])
        else:
            found[file.name] = settled(json.loads(text)) if text else ""
    return found


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two documents differ; numbers, by more than the last bits of a training do."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        missing = object()
        pairs = [(f"{at}.{key}", one.get(key, missing), other.get(key, missing)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{at}[{i}]", *pair) for i, pair in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, float) and isinstance(other, float):
        return [] if abs(one - other) < 1e-2 * max(1, abs(one)) else [at]
    else:
        return [] if one == other else [at]
    return [place for key, a, b in pairs for place in differences(a, b, key)]


@pytest.mark.slow
def test_what_runs_leave_behind_is_the_same_whoever_is_in_common(
    tmp_path: Path, cache: Path
) -> None:
    job = Job(
        name="twins",
        align={"key": "who"},  # type: ignore[arg-type]
        features=("x", "y"),
        label="label",
        training=Descent(passes=20, tolerance=0),
    )
    left: dict[str, dict[str, Any]] = {}
    for world in ("first", "others of alice's", "others of bob's"):
        files, out = twins(tmp_path / world, world), tmp_path / f"out, {world}"
        run_local(job, files, out, cache=cache)
        left[world] = {party: left_behind(out / party) for party in ("alice", "bob", "server")}
        for file in [*out.rglob("*"), *cache.rglob("*")]:
            if file.is_file():
                assert b"canary" not in file.read_bytes().lower(), file
    first = left["first"]
    assert {"status.json", "report.json", "model.json", "log.jsonl"} <= first["alice"].keys()
    assert first["bob"]["status.json"]["sizes"]["common"] == SAME
    assert differences(first["alice"], first["bob"]), "what differs is found"
    for who, world in (("alice", "others of alice's"), ("bob", "others of bob's")):
        for party in (who, "server"):
            assert differences(first[party], left[world][party], party) == []


@pytest.mark.slow
def test_a_table_with_an_identifier_twice_is_refused_by_its_lines(
    tmp_path: Path, cache: Path
) -> None:
    files, _ = scattered(tmp_path, 0)
    lines = files["bob"].read_text().splitlines()
    files["bob"].write_text("\n".join([*lines, lines[7]]) + "\n")
    with pytest.raises(InputError) as raised:
        run_local(aligned(), files, tmp_path / "out", cache=cache)
    assert "the identifier stands in an earlier row" in raised.value.what
    assert "line 4002" in str(raised.value.where)
    assert lines[7].split(",")[1].strip() not in json.dumps(str(raised.value))


@pytest.mark.slow
def test_tables_said_to_be_in_order_are_compared(tmp_path: Path, cache: Path) -> None:
    """Training is as ever where they are; where they are not, it does not begin."""
    fields = JOB.model_dump(exclude={"training"}) | {"rows": 2000}
    align = {"key": "customer", "order": "same"}
    job = Job.model_validate(fields | {"align": align, "training": Descent(passes=1)})
    files = {
        "alice": written(tmp_path, list(FEATURES), rows_of(ALICE), range(2000)),
        "bob": written(tmp_path, ["fraud"], rows_of(BOB), range(2000), " c-{} "),
    }
    result = run_planned(job, files, tmp_path / "out", cache)
    assert result.models["alice"].health is not None
    files["bob"] = written(tmp_path, ["fraud"], rows_of(BOB), [1, 0, *range(2, 2000)])
    with pytest.raises(JobError, match="other rows, or the same in another order"):
        run_local(job, files, tmp_path / "again", cache=cache)
    assert not list((tmp_path / "again").glob("*/model.json"))


def test_the_examples_tables_are_as_these_tests_take_them() -> None:
    assert read_table(ALICE, JOB, "alice").matrix.shape == (7000, 17)
