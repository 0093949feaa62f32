"""A party's part of a kept model comes back as it was, under its name, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from party.agreement.job import AlignedJob, Job, Party, Sizes
from party.checkpoints import KeptModel, KeptModels
from party.process.errors import InputError
from party.table import Table
from party.table.columns.deriving import Fitted

KEY = bytes(range(32))
AGREED: dict[str, Any] = {
    "name": "kept",
    "rows": 9,
    "features": ["p", "q"],
    "label": "y",
    "result": "kept",
}


def job(**change: Any) -> Job:
    return Job.model_validate_json(json.dumps(AGREED | change))


def model(agreed: Job | None = None, run: str = "r") -> KeptModel:
    shares = {"weights.alice/0": np.array([2**63 - 1, -(2**63), 3], np.int64)}
    table = Table(
        np.zeros((9, 3), np.float32),
        np.array([1.5, -2.0]),
        np.array([0.25, 3.0]),
        "d" * 64,
        fitted=(Fitted(), Fitted(fill=3.0)),
    )
    return KeptModel.of(agreed or job(), "p" * 64, run, 16, True, shares, table)


def test_a_part_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = KeptModels(tmp_path, KEY, "alice")
    kept.keep(model())
    found = kept.take(model().name)
    share = "weights.alice/0"
    np.testing.assert_array_equal(found.shares[share], model().shares[share])
    found.see_to_fit(job(name="opened", result="both", kept=model().name), "alice")
    table = found.table()
    assert table.mean is not None and table.scale is not None
    assert (table.mean.tolist(), table.scale.tolist()) == ([1.5, -2.0], [0.25, 3.0])
    assert table.fitted == (Fitted(), Fitted(fill=3.0)) and len(table.matrix) == 0


def test_nothing_of_it_is_on_the_disk_in_the_clear(tmp_path: Path) -> None:
    KeptModels(tmp_path, KEY, "alice").keep(model())
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(word in file.read_bytes() for word in (b"weights", b"1.5", b"fraud"))


@pytest.mark.parametrize("place", [0, 12, 60, -1])
def test_a_part_of_which_a_bit_was_changed_is_refused(tmp_path: Path, place: int) -> None:
    kept = KeptModels(tmp_path, KEY, "alice")
    kept.keep(model())
    (file,) = tmp_path.iterdir()
    changed = bytearray(file.read_bytes())
    changed[place] ^= 1
    file.write_bytes(changed)
    with pytest.raises(InputError, match="alice's part of the kept model") as refused:
        kept.take(model().name)
    assert refused.value.hint


def test_a_part_of_another_party_model_or_key_is_refused(tmp_path: Path) -> None:
    own: list[tuple[Party, bytes]] = [("alice", KEY), ("bob", KEY), ("alice", bytes(32))]
    KeptModels(tmp_path, KEY, "alice").keep(model())
    (file,) = tmp_path.iterdir()
    for party, key in own[1:]:
        with pytest.raises(InputError, match=f"{party}'s part of the kept model"):
            KeptModels(tmp_path, key, party).take(model().name)
    other = model(run="another").name
    assert other != model().name
    file.rename(file.with_name(f"{other}.sealed"))
    with pytest.raises(InputError, match="or is of another party or model"):
        KeptModels(tmp_path, KEY, "alice").take(other)


def test_a_part_that_is_lost_and_a_key_that_is_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bob has no part of the kept model") as lost:
        KeptModels(tmp_path, KEY, "bob").take("0" * 64)
    assert str(tmp_path) in str(lost.value.where)
    with pytest.raises(InputError, match="bob's keys have none by which a kept model is sealed"):
        KeptModels(tmp_path, None, "bob")


@pytest.mark.parametrize(
    "change, key",
    [
        ({"features": ["p", "z"]}, "features"),
        ({"protocol": "aby3"}, "protocol"),
        ({"training": {"C": 2.0}}, "training"),
        ({"columns": {"p": {"type": "number", "missing": 0.0}}}, "columns"),
    ],
)
def test_a_job_that_trained_something_else_does_not_open_it(
    change: dict[str, Any], key: str
) -> None:
    with pytest.raises(InputError, match=f"differs in: {key}"):
        model().see_to_fit(job(result="alice", kept="0" * 64, **change), "alice")


def test_a_model_that_an_earlier_kit_has_kept_is_opened_still() -> None:
    private = {"privacy": {"labels": {"epsilon": 3}}}
    there = model(job(**private))
    del there.job["privacy"]["weights"]  # a key that it did not know
    there.see_to_fit(job(result="alice", kept="0" * 64, **private), "alice")


@pytest.mark.parametrize(
    "change, told",
    [
        ({"kept": "0" * 64}, "nobody would receive the model"),
        ({"kept": "0" * 64, "result": "nobody"}, "nobody would receive the model"),
        ({"kept": "0" * 63, "result": "alice"}, "String should match pattern"),
        ({"kept": "0" * 64, "result": "alice", "evaluation": {}, "rows": 900}, "no row is looked"),
        ({"kept": "0" * 64, "result": "alice", "statistics": True}, "no row is looked"),
        ({"training": {"start": "0" * 63}}, "String should match pattern"),
        ({"training": {"start": "0" * 64}, "privacy": {"labels": {"epsilon": 3}}}, "turned round"),
    ],
)
def test_a_job_that_could_not_keep_or_open_a_model_is_refused(
    change: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        job(**change)


def test_a_job_begins_from_a_model_of_the_same_columns_whatever_else_it_says() -> None:
    begins = {"training": {"start": model().name, "C": 2.0}, "rows": 7, "result": "alice"}
    model().see_to_start(job(**begins, identities=None), "alice")
    for change, key in (
        ({"protocol": "aby3"}, "protocol"),
        ({"model": "linear-regression"}, "model"),
        ({"features": ["q", "p"]}, "features"),
        ({"features": {"alice": ["p"], "bob": ["q"]}}, "features"),
        ({"columns": {"p": {"type": "number", "missing": 0.0}}}, "columns"),
    ):
        with pytest.raises(InputError, match=f"begins from, is of a job that differs in: {key}"):
            model().see_to_start(job(**begins | change), "alice")


def test_a_model_of_matched_rows_is_opened_by_what_was_agreed_upon() -> None:
    """And not by what the alignment found, which it knows."""
    agreed = {"align": {"key": "id"}, "rows": 0}
    agreed |= {"features": {"alice": ["p"], "bob": ["q"]}}
    sizes = Sizes(alice=20, bob=30, common=9)
    found = KeptModel.parse(model(AlignedJob.of(job(**agreed), sizes)).text())
    opening = job(**agreed, result="both", kept=found.name)
    found.see_to_fit(opening, "alice")
    assert found.sizes == sizes and model().sizes is None
    assert opening.matched and not opening.matches, "nothing is matched again"
    same = {"align": {"key": "id", "order": "same"}, "features": agreed["features"]}
    assert job(**same).compares_order
    assert not job(**same, result="both", kept=found.name).compares_order
    with pytest.raises(InputError, match="differs in: align"):
        other = agreed | {"align": {"key": "other"}, "result": "both", "kept": found.name}
        found.see_to_fit(job(**other), "alice")
