"""A job is taken whole or refused with the key that is wrong; its digest is of what it means."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party.agreement.job import AlignedJob, Job, Sizes, load_job, parse_job
from party.process.errors import InputError

GOOD = """\
name: fraud
rows: 100
features: [a, b]
label: y
training: {epochs: 2, batch_size: 10, learning_rate: 0.5}
"""

PIN = f"{{key: 'sha256:{'0' * 64}'}}"
PINNED = f"{GOOD}identities: {{alice: {PIN}, bob: {PIN}, server: "


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_the_example_is_a_job() -> None:
    job = load_job(Path(__file__).parents[2] / "examples/fraud/job.yaml")
    assert (job.rows, len(job.features_of("alice")), job.steps) == (7000, 16, 540)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (changed("rows", "rowz"), "rowz: unknown key", "'rows'"),
        (changed("epochs", "epoch"), "training.epoch: unknown key", "'epochs'"),
        (changed("rows: 100", "rows: '100'"), "rows: ", ""),
        (changed("rows: 100", "rows: 100.0"), "rows: ", ""),
        (changed("rows: 100", "rows: yes"), "rows: ", ""),
        (changed("rows: 100", "rows: 0"), "rows: ", ""),
        (changed("rows: 100", "rows: 9"), "training.batch_size: 10 is more than rows (9)", ""),
        (changed("name: fraud", "name: Fraud!"), "name: ", ""),
        (changed("[a, b]", "[]"), "features: ", ""),
        (changed("[a, b]", "[a, a]"), "'a' stands more than once", ""),
        (changed("[a, b]", "[a, y]"), "'y' is also one of the features", ""),
        (changed("[a, b]", '[a, "b\\n"]'), "features.1: ", ""),
        (changed("0.5", ".nan"), "training.learning_rate: ", ""),
        (changed("0.5", "-1"), "training.learning_rate: ", ""),
        (changed("0.5", "0.00000000000001"), "training.learning_rate: ", ""),
        (GOOD + "result: carol\n", "result: ", ""),
        (changed("[a, b]", "{alice: [a], bob: [a]}"), "'a' stands more than once", ""),
        (changed("[a, b]", "{alice: []}"), "features.alice: ", ""),
        (changed("[a, b]", "{alise: [a]}"), "features.alise: unknown key", "'alice'"),
        (changed("[a, b]", "{}"), "features: no holder has any", ""),
        (changed("label: y", "label: {alice: y}"), "bob holds neither features nor", ""),
        (changed("label: y", "label: {alice: y, bob: z}"), "label: it is the column of one", ""),
        (GOOD + "model: forest\n", "model: ", ""),
        (GOOD + "identities: {}\n", "identities.alice: ", ""),
        (GOOD + "identities: {alise: {}}\n", "identities.alise: unknown key", "'alice'"),
        (PINNED + f"{PIN}}}\n", "identities: alice and bob have the same pin", ""),
        (PINNED + "{kee: x}}\n", "identities.server.kee: unknown key", "'key'"),
        (PINNED + "{}}\n", "identities.server: a pin names a key, an authority or both", ""),
        (PINNED + "{key: 'sha256:00'}}\n", "identities.server.key: ", ""),
        (PINNED + f"{{key: '{'0' * 64}'}}}}\n", "identities.server.key: ", ""),
        (GOOD + "model: {kind: linear-regression, unit: 0}\n", "model.unit: ", ""),
        (GOOD + "protocol: spdz\n", "protocol: ", ""),
        (GOOD + "rows: 7\n", "key 'rows' stands more than once", "line 2"),
        ("- a\n", "not a mapping", ""),
        ("", "not a mapping", ""),
        ("a: [", "not YAML", "quotes and brackets"),
        ("!!python/object:os.system {}", "there is a tag", ""),
    ],
)
def test_a_wrong_job_is_refused_with_its_key(text: str, what: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_job(text, "job.yaml")
    assert what in refused.value.what
    assert refused.value.where is not None
    assert refused.value.where.startswith("job.yaml")
    assert hint in (refused.value.hint or "")


def test_a_job_says_who_holds_what_and_who_receives_what() -> None:
    text = changed("[a, b]", "{alice: [a], bob: [b, c]}") + "result: own\n"
    job = parse_job(text, "job.yaml")
    assert (job.features_of("alice"), job.features_of("bob")) == (("a",), ("b", "c"))
    assert (job.label_holder, job.intercept_holder) == ("bob", "alice")
    assert job.receivers == ("alice", "bob")
    assert job.features_of("server") == () and job.holders == ("alice", "bob")


@pytest.mark.parametrize(
    ("result", "receivers"),
    [("alice", ("alice",)), ("bob", ("bob",)), ("both", ("alice", "bob")), ("nobody", ())],
)
def test_each_of_its_own_part_of_alices_columns_is_alice(
    result: str, receivers: tuple[str, ...]
) -> None:
    assert parse_job(GOOD + f"result: {result}\n", "job.yaml").receivers == receivers
    assert parse_job(GOOD + "result: own\n", "job.yaml").receivers == ("alice",)


def test_a_missing_file_and_a_file_of_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the job"):
        load_job(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_job(tmp_path / "bytes.yaml")


def test_a_job_is_written_without_calling_back() -> None:
    """A stop that came in such a call would be dropped with it."""
    called: list[str] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    job = load_job(Path(__file__).parents[2] / "examples/fraud/job.yaml")
    job.model_dump_json()  # the first time may build what later ones use
    sys.setprofile(look)
    try:
        job.model_dump_json()
    finally:
        sys.setprofile(None)
    assert called == ["model_dump_json"]


def test_the_digest_is_of_the_meaning_and_not_of_the_spelling() -> None:
    job = parse_job(GOOD, "a")
    assert parse_job(GOOD + "protocol: pond  # the default\n", "b").digest == job.digest
    assert parse_job(changed("0.5", "5e-1"), "c").digest == job.digest


@given(st.sampled_from(["name", "rows", "features", "label", "protocol"]), st.data())
def test_another_value_of_any_key_is_another_digest(key: str, data: st.DataObject) -> None:
    values = {
        "name": st.sampled_from(["fraud-2", "f"]),
        "rows": st.integers(101, 10**6),
        "features": st.lists(st.sampled_from("abcde"), min_size=3, unique=True).map(tuple),
        "label": st.sampled_from(["z", "label"]),
        "protocol": st.sampled_from(["aby3", "securenn"]),
    }
    job = parse_job(GOOD, "a")
    other = Job.model_validate(job.model_dump() | {key: data.draw(values[key])})
    assert other.digest != job.digest


@pytest.mark.parametrize(
    "training, says",
    [
        ("[]", "training"),
        ("3", "training"),
        ("null", "training"),
        ("{passes: 0}", "training.passes"),
        ("{C: 0}", "training.C"),
        ("{tolerance: -1}", "training.tolerance"),
        ("{rate: 2}", "training.rate"),
        ("{passes: 3, epochs: 2}", "another solver's"),
        ("{epochs: 2, batch_size: 4}", "training.learning_rate"),
    ],
)
def test_a_training_that_is_wrong_is_refused_with_its_key(training: str, says: str) -> None:
    text = "name: a\nrows: 10\nfeatures: [x]\nlabel: y\ntraining: " + training + "\n"
    with pytest.raises(InputError, match=says):
        parse_job(text, "job.yaml")


@pytest.mark.parametrize(
    "key", ["columns: {x: {type: boolean, log1p: true}}", "align: {key: {column: i, type: date}}"]
)
def test_only_a_training_has_the_keys_of_another_solver(key: str) -> None:
    with pytest.raises(InputError, match="unknown key") as caught:
        parse_job(f"name: a\nrows: 10\nfeatures: [x]\nlabel: y\n{key}\n", "job.yaml")
    assert caught.value.hint == (
        "it does not go with the keys beside it: write keys that go together, as in docs/jobs.md"
    )


def test_a_job_without_training_descends_to_the_optimum() -> None:
    job = parse_job("name: a\nrows: 10\nfeatures: [x]\nlabel: y\n", "job.yaml")
    assert job.descent is not None and job.descent.C == 1.0


BASE = "name: a\nrows: 1000\nfeatures: [x]\nlabel: y\n"


@pytest.mark.parametrize(
    "more, says",
    [
        ("evaluation: {held_out: 0}", "evaluation.held_out"),
        ("evaluation: {held_out: 1}", "evaluation.held_out"),
        ("evaluation: {minimum: 1}", "evaluation.minimum"),
        ("evaluation: {minimum: 101}", "fewer than twice evaluation.minimum"),
        ("evaluation: {to: []}", "evaluation.to"),
        ("evaluation: {to: [server]}", "evaluation.to"),
        ("evaluation: {to: [bob]}", "bob receives nothing of the model"),
        ("evaluation: {to: [alice, alice]}", "more than once"),
        ("evaluation: {share: 0.2}", "evaluation.share"),
        ("evaluation: {}\nresult: nobody", "nobody receives the model"),
        ("evaluation: {}\nmodel: linear-regression", "none of a linear-regression yet"),
        (
            "evaluation: {}\ntraining: {epochs: 1, batch_size: 10, learning_rate: 0.1}",
            "none of a training by mini-batches yet",
        ),
        ("evaluation: {folds: 0}", "evaluation.folds"),
        ("evaluation: {folds: 11}", "evaluation.folds"),
        ("evaluation: {folds: 5, held_out: 0.2}", "with folds every row is held out once"),
        ("evaluation: {held_out: null}", "say which share of the rows"),
        ("evaluation: {folds: 2, minimum: 501}", "1000 rows are fewer than 1002"),
        ("evaluation: {folds: 2}\ntraining: {start: model}", "training.start: a former model"),
        ("evaluation: {folds: 2}\ntraining: {class_weight: balanced}", "folds hold some of them"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused_with_its_key(more: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_job(BASE + more + "\n", "job.yaml")


def test_an_evaluation_tells_all_who_receive_the_model_unless_it_names_them() -> None:
    both = BASE.replace("[x]", "{alice: [x], bob: [z]}") + "result: both\n"
    assert parse_job(both + "evaluation: {}\n", "a").evaluated_by == ("alice", "bob")
    assert parse_job(both + "evaluation: {to: [bob]}\n", "a").evaluated_by == ("bob",)
    assert parse_job(both, "a").evaluated_by == ()


def test_one_fold_is_none() -> None:
    one, none = (parse_job(BASE + f"evaluation: {{{told}}}\n", "a") for told in ("folds: 1", ""))
    assert one.folds == 0 and one.digest == none.digest


def test_folds_leave_no_row_out_of_the_model_and_change_no_other_job() -> None:
    job = parse_job(BASE + "evaluation: {folds: 5}\n", "a")
    assert (job.folds, job.held_out_rows, job.training_rows) == (5, 0, 1000)
    assert job.digest == Job.model_validate(job.model_dump()).digest
    held_out = parse_job(BASE + "evaluation: {}\n", "a")
    assert held_out.digest != job.digest
    # As it was before there were folds.
    assert held_out.digest.startswith("9ea98d7df43c06ca")


@given(st.integers(40, 100_000), st.floats(0.01, 0.9))
def test_held_out_rows_fill_whole_runs_and_the_rest_is_trained_on(rows: int, share: float) -> None:
    wanted = int(rows * share)
    if wanted < 64:
        return
    text = BASE.replace("1000", str(rows)) + f"evaluation: {{held_out: {share!r}, minimum: 2}}\n"
    job = parse_job(text, "job.yaml")
    assert wanted - job.evaluated_runs < job.held_out_rows <= wanted
    assert job.held_out_rows % job.evaluated_runs == 0
    assert job.held_out_rows // job.evaluated_runs <= 64
    assert job.training_rows + job.held_out_rows == rows
    assert job.held_out.sum() == job.held_out_rows


@pytest.mark.parametrize(
    "more, says",
    [
        ("privacy: {labels: {epsilon: 0.05}}", "privacy.labels.epsilon"),
        ("privacy: {labels: {epsilon: 11}}", "privacy.labels.epsilon"),
        ("privacy: {labels: {}}", "privacy.labels.epsilon"),
        ("privacy: {}", "say labels or weights"),
        ("privacy: {labels: {epsilon: 1}, weights: {epsilon: 1, delta: 1e-6, norm: 1}}", "one of"),
        ("privacy: {labels: {epsilom: 1}}", "privacy.labels.epsilo"),
        (
            "privacy: {labels: {epsilon: 1}}\nmodel: linear-regression",
            "a linear-regression has no labels",
        ),
        (
            "privacy: {labels: {epsilon: 1}}\ntraining: {class_weight: {'0': 1.0, '1': 9.0}}",
            "take out training.class_weight",
        ),
        ("privacy: {labels: {epsilon: 1}}\nstatistics: true", "take out statistics"),
    ],
)
def test_a_privacy_that_cannot_be_is_refused_with_its_key(more: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_job(BASE + more + "\n", "job.yaml")


PRIVATE = """\
name: private
rows: 1000
features: {alice: [x], bob: [z]}
label: y
columns: {x: {scale: {mean: 0, deviation: 1}}, z: {type: category, values: [a]}}
training: {tolerance: 0, C: 0.01}
privacy: {weights: {epsilon: 1, delta: 1e-6, norm: 1}}
"""


def test_private_weights_are_taken_where_nothing_is_learnt_from_the_rows() -> None:
    job = parse_job(PRIVATE, "job.yaml")
    assert job.weight_privacy is not None and job.label_privacy is None
    assert "before they are opened" in job.told_of_privacy[0]


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("tolerance: 0, ", "", "training.tolerance: with privacy.weights when"),
        ("tolerance: 0, ", "tolerance: 0, class_weight: {'0': 1.0, '1': 2.0}, ", "class_weight"),
        ("tolerance: 0, ", "tolerance: 0, start: model, ", "training.start: with"),
        ("tolerance: 0, C: 0.01", "epochs: 1, batch_size: 10, learning_rate: 0.1", "passes over"),
        ("C: 0.01", "C: 1.0", "so weak a penalty"),
        ("C: 0.01", "C: 0.15", "would drown the model: lower training.C"),
        ("C: 0.01", "C: 0.01, passes: 3", "training.passes: 3 may end far"),
        ("1e-6", "0.001", "privacy.weights.delta: 0.001 lets one of 1000 rows be told"),
        ("rows: 1000", "align: {key: k}", "align: with privacy.weights"),
        ("label: y", "label: y\nevaluation: {}", "evaluation: with privacy.weights its counts"),
        ("label: y", "label: y\nstatistics: true", "statistics: with privacy.weights"),
        ("label: y", "label: y\nresult: nobody", "result: with privacy.weights nobody"),
        ("label: y", "label: y\nresult: kept", "result: with privacy.weights nobody"),
        (
            "label: y",
            "label: y\nmodel: linear-regression",
            "no private weights of a linear-regression",
        ),
        ("x: {scale: {mean: 0, deviation: 1}}, ", "", "'x' cannot be standardised by what its"),
        ("deviation: 1}", "deviation: 1}, clip: [0.1, 0.9]", "'x' cannot be clipped"),
        ("deviation: 1}", "deviation: 1}, missing: mean", "a gap of 'x' cannot be filled"),
        ("{mean: 0, deviation: 1}", "robust", "'x' cannot be standardised"),
        ("deviation: 1}", "deviation: 0}", "scale.deviation"),
        ("mean: 0, ", "", "scale.mean"),
    ],
)
def test_what_the_bound_on_a_row_does_not_hold_for_is_refused(
    old: str, new: str, says: str
) -> None:
    assert old in PRIVATE
    with pytest.raises(InputError, match=says):
        parse_job(PRIVATE.replace(old, new), "job.yaml")


def test_epsilon_is_a_part_of_what_is_agreed_on() -> None:
    jobs = [parse_job(BASE + f"privacy: {{labels: {{epsilon: {e}}}}}\n", "a") for e in (1, 2)]
    assert len({job.digest for job in (*jobs, parse_job(BASE, "a"))}) == 3


def test_an_aligned_job_keeps_its_digest() -> None:
    columns = "{alice: [x], bob: [z]}"
    job = parse_job(f"name: a\nalign: {{key: k}}\nfeatures: {columns}\nlabel: y\n", "a")
    assert AlignedJob.of(job, Sizes(alice=50, bob=60, common=40)).digest == job.digest
