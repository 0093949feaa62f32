"""All rows of one table are scored: what each holder's programs read after the join, and the scores
in the end; what stands for a row that the other lacks; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from party.agreement.job import HOLDERS, AlignedJob, Holder, Job, parse_job
from party.agreement.parties import other_of
from party.alignment.identifiers import read_identifiers
from party.models.interface import blocks_of
from party.models.joint_scores.model import SUM_BITS, SUMS
from party.plan.parameters import PlanParameters
from party.process.errors import InputError
from party.process.files import replace_json
from party.scoring import Scorer
from party.scoring.joint import load_identified, read, write_scores
from party.table.findings import UnfitTableError
from tests.harness.left_joins import joined
from tests.scoring.models import document, rows
from tests.scoring.test_joint import KEYS, WHOSE, tables, trained

GAPS = {"c0": {"type": "number", "missing": 2.5}, "c3": {"type": "number", "missing": -1.5}}


def job(**change: Any) -> Job:
    """A job that scores all rows of Alice."""
    agreed = parse_job(KEYS, "job.yaml").model_dump(mode="json")
    agreed |= {"rows": 0, "align": {"key": "who", "join": "left", "minimum": 1}}
    return Job.model_validate_json(json.dumps(agreed | change))


def keyed(path: Path, names: list[str]) -> Path:
    """A table with an identifier in each row; as many as there are names."""
    head, *lines = path.read_text().splitlines()
    text = [f"who,{head}", *(f"{name},{line}" for name, line in zip(names, lines, strict=False))]
    path.write_text("\n".join(text) + "\n")
    return path


def typed(directory: Path, parts: dict[str, Path]) -> None:
    """Columns of which some take gaps, in what the training left."""
    for path in parts.values():
        whole = json.loads(path.read_text())
        own = {"alice": ["c0"], "bob": ["c3"]}
        whole["columns"] = {
            name: GAPS[name]
            | {"holder": holder, "derived": [name], "fitted": {"fill": GAPS[name]["missing"]}}
            for holder, names in own.items()
            for name in names
        }
        replace_json(path, whole)


@settings(max_examples=6)
@example(seed=1, left="alice", holder="alice")
@example(seed=2, left="alice", holder="bob")
@example(seed=3, left="bob", holder="alice")
@given(
    seed=st.integers(0, 2**32 - 1), left=st.sampled_from(HOLDERS), holder=st.sampled_from(HOLDERS)
)
def test_scores_are_those_of_a_table_with_gaps_or_means_where_the_other_has_nothing(
    seed: int, left: Holder, holder: Holder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whoever has the model, and whichever table is the left one."""
    here, right, draw = tmp_path_factory.mktemp("left"), other_of(left), np.random.default_rng(seed)
    numbers = np.clip(rows(30, 5, seed), -50, 50)
    files, parts = tables(here, numbers), trained(here, holder)
    typed(here, parts)
    names = [f"N{i}" for i in draw.permutation(30)]
    keyed(files[left], names)
    keyed(files[right], [name if i % 3 else f"x{i}" for i, name in enumerate(names)][:25])
    agreed = job(
        model={"kind": "joint-scores", "holder": holder, "trained_by": "0" * 64},
        result=left,
        columns=GAPS,
    )
    both = {
        p: (read(files[p], parts[p], agreed, p), read_identifiers(files[p], agreed, p))
        for p in HOLDERS
    }
    assert both[left][0].absent is None and both[right][0].absent is not None
    found, order = joined(agreed, both)

    # What the programs make of it, modulo 2**64.
    blocks = {HOLDERS[block.party]: block.features for block in blocks_of(agreed)}
    assert {p: found[p].shape[1] for p in HOLDERS} == blocks
    sums, weights = np.split(found[holder], [30])
    t = sums + found[other_of(holder)] @ weights
    write_scores(here, agreed, {SUMS: np.append(t[:, 0], [0, 0]) / 2.0**SUM_BITS}, order)
    head, *lines = (here / "scores.csv").read_text().splitlines()

    whole = document(5)
    expected_rows = numbers.copy()
    absent = [whole["mean"][i] for i in range(5)]
    absent[0], absent[3] = 2.5, -1.5
    for i in range(30):
        if i % 3 == 0 or i >= 25:
            expected_rows[i, WHOSE[right]] = [absent[at] for at in WHOSE[right]]
    replace_json(here / "whole.json", whole)
    expected = Scorer.read(here / "whole.json").predict(expected_rows)
    assert head == "score"
    np.testing.assert_allclose(np.array(lines, float), expected, rtol=0, atol=2e-4)


def test_similar_numbers_of_rows_have_one_plan_and_it_is_that_of_rows_in_order() -> None:
    from party.agreement.job import Sizes

    plans = {
        PlanParameters.of(AlignedJob.of(job(), Sizes(alice=count, bob=bob))).digest
        for count, bob in ((6970, 4), (7000, 90_000))
    }
    ordered = parse_job(KEYS, "job.yaml").model_copy(update={"rows": 7040})
    assert plans == {PlanParameters.of(ordered).digest}
    aligned = AlignedJob.of(job(), Sizes(alice=7000, bob=4))
    assert (aligned.rows, aligned.digest, aligned.steps) == (7000, job().digest, 7)


def test_jobs_that_match_rows_keep_the_digest_they_had_before_there_were_left_joins() -> None:
    agreed = {"name": "n", "features": ("x",), "label": "y", "align": {"key": "id"}}
    assert Job.model_validate(agreed).digest.startswith("a8d6de91c032f599")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"align": {"key": "who"}}, "align: rows to score are in the same order"),
        ({"result": "both"}, "result: both: with align.join: left, scores are of one holder's"),
        ({"result": "nobody"}, "result: nobody: scores go to alice, bob or both"),
        ({"rows": 30}, "rows: each holder has its own with align"),
        (
            {"rows": 30, "align": {"key": "who", "join": "left", "order": "same"}},
            "align: rows to score are in the same order",
        ),
        ({"align": {"key": "c0", "join": "left"}}, "align.key: 'c0' is also a column"),
    ],
)
def test_what_no_left_join_can_be_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        job(**change)


def test_a_training_takes_the_rows_in_common() -> None:
    agreed = {"name": "n", "features": ("x",), "label": "y", "align": {"key": "id", "join": "left"}}
    for result in ("alice", "both", "nobody"):
        with pytest.raises(ValueError, match=r"align\.join: left: a training takes"):
            Job.model_validate(agreed | {"result": result})


def test_each_row_of_the_left_has_an_identifier_of_its_own(tmp_path: Path) -> None:
    files = tables(tmp_path, rows(30, 5))
    for path in files.values():
        keyed(path, ["same"] * 30)
    first = job(align={"key": "who", "join": "left", "duplicates": "first"})
    with pytest.raises(UnfitTableError) as caught:
        read_identifiers(files["alice"], first, "alice")
    assert "duplicates" not in str(caught.value)
    assert len(read_identifiers(files["bob"], first, "bob")) == 1


@pytest.mark.slow
def test_an_approval_is_of_the_identifiers_too(tmp_path: Path) -> None:
    files, parts = tables(tmp_path, rows(30, 5)), trained(tmp_path)
    names = [f"N{i}" for i in range(30)]
    keyed(files["bob"], names)
    one, _ = load_identified(files["bob"], parts["bob"], job(), "bob")
    files["bob"].write_text(files["bob"].read_text().replace("N7,", "N77,"))
    other, _ = load_identified(files["bob"], parts["bob"], job(), "bob")
    assert one.digest != other.digest
    np.testing.assert_array_equal(one.ring, other.ring)


def test_a_gap_beyond_fixed_point_is_refused_where_it_would_stand_for_a_row(tmp_path: Path) -> None:
    files, parts = tables(tmp_path, rows(30, 5)), trained(tmp_path)
    typed(tmp_path, parts)
    whole = json.loads(parts["bob"].read_text())
    whole["columns"]["c3"]["missing"] = whole["columns"]["c3"]["fitted"]["fill"] = 1e6
    replace_json(parts["bob"], whole)
    far = GAPS | {"c3": {"type": "number", "missing": 1e6}}
    with pytest.raises(InputError, match="a gap, which stands in each column of a row") as caught:
        read(keyed(files["bob"], list("abc")), parts["bob"], job(columns=far), "bob")
    assert caught.value.hint
    read(files["bob"], parts["bob"], job(columns=far, result="bob"), "bob")


def test_a_day_in_the_key_is_one_however_it_is_written(tmp_path: Path) -> None:
    day = {"column": "born", "type": "date"}
    key = {"alice": ["who", day], "bob": ["who", day | {"format": "mdy"}]}
    agreed = job(align={"key": key, "join": "left", "minimum": 1})
    texts = {"alice": "who,born\na,31.1.2026\nb,2026-02-01\n"}
    texts["bob"] = "who,born\nA,1/31/2026\nB,2/1/2026\n"
    found = []
    for party in HOLDERS:
        path = tmp_path / f"{party}.csv"
        path.write_text(texts[party])
        found.append(read_identifiers(path, agreed, party).text.tobytes())
    assert found[0] == found[1]
    path.write_text(texts["alice"])
    with pytest.raises(UnfitTableError, match="the cell is not a date"):
        read_identifiers(path, agreed, "bob")
