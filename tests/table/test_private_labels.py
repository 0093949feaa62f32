"""Labels are turned round as often as epsilon says, always the same ones, and by the key alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from party.agreement.job import Job
from party.agreement.privacy import LabelPrivacy
from party.process.errors import InputError
from party.table import LabelKey, Table, with_private_labels
from party.table.private_labels import by_place

KEY = LabelKey(bytes(range(32)))
ROWS = 20_000
NAMES = by_place(ROWS)
LABELS = np.random.default_rng(1).random(ROWS) < 0.3


def turned(epsilon: float, key: LabelKey = KEY, labels: Any = LABELS, **change: Any) -> Any:
    asked: dict[str, Any] = {"column": "fraud", "names": NAMES, "named_by": "place"}
    return key.turned(labels=labels, privacy=LabelPrivacy(epsilon=epsilon), **asked | change)


def surely_alike(some: Any, share: float) -> bool:
    """Whether so many as this share of some are true, but for chance."""
    return abs(some.mean() - share) < 4.5 * (share * (1 - share) / len(some)) ** 0.5


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 5.0])
def test_labels_of_both_classes_are_turned_round_as_often_as_epsilon_says(epsilon: float) -> None:
    found, flip = turned(epsilon), 1 / (1 + np.exp(epsilon))
    assert surely_alike(found[LABELS], flip) and surely_alike(found[~LABELS], flip)


def test_the_same_rows_have_the_same_turned_round_wherever_they_stand() -> None:
    order = np.random.default_rng(2).permutation(ROWS)[:1000]
    some = turned(1.0, names=[NAMES[i] for i in order], labels=LABELS[order])
    assert (some == turned(1.0)[order]).all()


@pytest.mark.parametrize("other", ["key", "column", "named_by", "label"])
def test_what_another_key_column_name_or_label_turns_round_is_another_draw(other: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "key": {"key": LabelKey(bytes(32))},
        "column": {"column": "churn"},
        "named_by": {"named_by": "identifier"},
        "label": {"labels": ~LABELS},
    }
    flip = LabelPrivacy(epsilon=1.0).flip
    assert surely_alike(turned(1.0) & turned(1.0, **changes[other]), flip**2)


def test_jobs_of_several_epsilons_give_away_what_the_largest_does() -> None:
    """What a smaller one turns round beyond a larger one does not depend on the true label."""
    large, small = turned(3.0), turned(1.0)
    between = (1 - LabelPrivacy(epsilon=1.0).kept / LabelPrivacy(epsilon=3.0).kept) / 2
    for rows in (large & LABELS, large & ~LABELS, ~large & LABELS, ~large & ~LABELS):
        assert surely_alike((large ^ small)[rows], between)


# -- the table


def job(**change: Any) -> Job:
    agreed: dict[str, Any] = {
        "name": "t",
        "rows": 1000,
        "features": ("x",),
        "label": "y",
        "privacy": {"labels": {"epsilon": 2.0}},
    }
    return Job.model_validate(agreed | change)


def table(share: float = 0.4) -> Table:
    labels = np.random.default_rng(3).random((1000, 1)) < share
    return Table(labels.astype(np.float32), None, None, "")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "label.key"
    path.write_text(KEY.text())
    path.chmod(0o600)
    return path


def test_the_training_has_debiased_labels_and_held_out_rows_have_plain_ones(key: Path) -> None:
    own, agreed = table(), job(evaluation={"held_out": 0.3})
    assert agreed.label_privacy is not None
    true = own.matrix[:, -1] > 0.5
    flips = KEY.turned("y", by_place(1000), true, agreed.label_privacy, "place")
    found = with_private_labels(own, agreed, "bob", key).matrix[:, -1]
    seen, low, high = true ^ flips, *agreed.label_privacy.debiased
    np.testing.assert_allclose(found[~agreed.held_out], np.where(seen, high, low)[~agreed.held_out])
    assert (found[agreed.held_out] == seen[agreed.held_out]).all()
    assert (own.matrix[:, -1] == true).all(), "the table as it was read stays"
    flip, kept = agreed.label_privacy.flip, agreed.label_privacy.kept
    for label in (0.0, 1.0):  # on average over the flip
        other = high if label == 0.0 else low
        stands = low if label == 0.0 else high
        assert (1 - flip) * stands + flip * other == pytest.approx(label)
    assert kept == pytest.approx(1 - 2 * flip)


def test_a_table_that_fills_its_room_is_changed_there(key: Path) -> None:
    room = np.zeros((1100, 1), np.float32)
    room[:1000] = table().matrix
    own = replace(table(), matrix=room[:1000], room=room)
    found = with_private_labels(own, job(), "bob", key)
    assert found is own and set(np.unique(room[:1000])) == set(np.unique(found.matrix))
    assert (room[1000:] == 0).all() and found.matrix.min() < 0


def test_rows_with_identifiers_are_named_by_them(key: Path) -> None:
    names = {row: f"person {row}".encode() for row in range(1000)}
    own = table()
    found = with_private_labels(own, job(), "bob", key, lambda: names).matrix
    backwards = replace(own, matrix=own.matrix[::-1].copy())
    named = {999 - row: name for row, name in names.items()}
    assert (
        with_private_labels(backwards, job(), "bob", key, lambda: named).matrix[::-1] == found
    ).all()
    assert (with_private_labels(own, job(), "bob", key).matrix != found).any()


def test_without_privacy_or_without_labels_nothing_is_done(key: Path) -> None:
    own = table()
    assert with_private_labels(own, job(privacy=None), "bob", None) is own
    assert with_private_labels(own, job(), "alice", None) is own
    with pytest.raises(InputError, match="turns no label of bob's round"):
        with_private_labels(own, job(privacy=None), "bob", key)


def test_a_class_that_is_lost_among_those_turned_round_is_refused(key: Path) -> None:
    with pytest.raises(InputError, match="one of the two classes is lost") as caught:
        with_private_labels(table(share=0.02), job(), "bob", key)
    assert "epsilon" in (caught.value.hint or "")


@pytest.mark.parametrize("wrong", ["none", "missing", "another text", "short", "open"])
def test_a_key_that_is_none_is_refused_with_what_to_do(key: Path, wrong: str) -> None:
    path: Path | None = key
    if wrong == "none":
        path = None
    elif wrong == "missing":
        key.unlink()
    elif wrong == "another text":
        key.write_text("0" * 64)
    elif wrong == "short":
        key.write_text(LabelKey(bytes(16)).text())
    else:
        key.chmod(0o644)
    with pytest.raises(InputError) as caught:
        with_private_labels(table(), job(), "bob", path)
    assert caught.value.hint


def test_a_key_shows_in_no_text_but_its_own() -> None:
    assert "secret" not in repr(KEY) and str(KEY.secret) not in repr(KEY)
    assert LabelKey.drawn().secret != LabelKey.drawn().secret
