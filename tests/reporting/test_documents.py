"""What one process writes another reads, of this version and of no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from party.cli import show_result
from party.process.errors import InputError
from party.process.exit import guarded
from party.reporting.documents import (
    Document,
    LinearDocument,
    ModelDocument,
    PartyReport,
    RunReport,
    RunTimes,
    SharesDocument,
    StatusDocument,
    Times,
    Traffic,
)

REPORT = PartyReport(
    party="bob",
    job="1" * 64,
    plan="2" * 64,
    run="3" * 64,
    protocol="pond",
    runtime="sealed",
    versions={"kit": "1"},
    times=Times(train_s=1.0, step_s=0.1),
    traffic=Traffic(
        bytes_sent=1,
        bytes_received=2,
        messages_sent=3,
        messages_received=4,
        writes=5,
        waits=6,
    ),
    peak_bytes=7,
    table_bytes=8,
    rounds=9,
)
LINEAR = LinearDocument(
    model="logistic-regression",
    job="1",
    plan="2",
    protocol="aby3",
    versions={},
    features=("a", "b"),
    holders=("alice", "bob"),
    mean=(0.5, None),
    scale=(2.0, None),
    weights=(-1.25, 0.5),
    intercept=None,
)
DOCUMENTS: list[Document] = [
    StatusDocument(party="bob", job="1", epochs=2, steps=4, started="then", updated="now"),
    REPORT,
    RunReport(
        job="1" * 64,
        plan="2" * 64,
        run="",
        protocol="pond",
        runtime="tensorflow",
        versions={},
        steps=4,
        times=RunTimes(
            connect_s=None, train_s=1.0, step_s=0.25, import_s=2.0, build_s=3.0, whole_s=9.0
        ),
        bytes=0,
        messages=0,
        rounds=None,
        peak_bytes={"bob": 7},
        parties={"bob": REPORT},
    ),
    ModelDocument(model="any", job="1", plan="2", protocol="aby3", versions={}),
    LINEAR,
    SharesDocument(job="1", plan="2", shares={"weights": [1, -(2**63)]}),
]


@pytest.fixture(params=DOCUMENTS, ids=lambda one: type(one).__name__)
def document(request: pytest.FixtureRequest) -> Document:
    found: Document = request.param
    return found


def written(document: Document, directory: Path, **change: Any) -> type[Document]:
    (directory / document.NAME).write_text(json.dumps(document.as_json() | change))
    return type(document)


def test_what_was_written_is_read(document: Document, tmp_path: Path) -> None:
    assert document.write(tmp_path) == tmp_path / document.NAME
    assert json.loads((tmp_path / document.NAME).read_text())["version"] == 1
    assert type(document).read(tmp_path) == document
    assert type(document).parse(json.dumps(document.as_json())) == document


def test_there_may_be_none(document: Document, tmp_path: Path) -> None:
    assert type(document).read(tmp_path) is None


def test_another_version_is_not_misread(document: Document, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another version of the kit") as caught:
        written(document, tmp_path, version=2).read(tmp_path)
    assert caught.value.where == str(tmp_path / document.NAME) and caught.value.hint


def test_a_field_that_is_not_there_is_damage(document: Document, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="damaged") as caught:
        written(document, tmp_path, job=None).read(tmp_path)
    assert caught.value.hint == "remove it"


def test_what_a_later_kit_adds_is_no_damage(document: Document, tmp_path: Path) -> None:
    found = written(document, tmp_path, added=1).read(tmp_path)
    assert found is not None and found.as_json() | {"added": 1} == document.as_json() | {"added": 1}


def test_a_model_keeps_what_is_its_own(tmp_path: Path) -> None:
    common = {"model": "any", "job": "1", "plan": "2", "protocol": "aby3", "versions": {}}
    ModelDocument.model_validate(common | {"trees": [1, 2]}).write(tmp_path)
    found = ModelDocument.read(tmp_path)
    defaults: dict[str, object] = {
        "version": 1,
        "health": None,
        "columns": {},
        "evaluation": None,
        "statistics": None,
    }
    assert found is not None and found.as_json() == defaults | common | {"trees": [1, 2]}


def test_a_unit_is_written_of_a_model_that_has_one() -> None:
    told = LINEAR.as_json()
    assert "unit" not in told and LinearDocument.model_validate(told).unit == 1.0
    assert LinearDocument.model_validate(told | {"unit": 250.0}).as_json()["unit"] == 250.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": [1.0]}, "the model's lists are not of one length"),
        ({"features": None}, "the file is damaged"),
        ({"statistics": {"version": 2}}, "another version of the kit wrote it"),
        ({"version": 2}, "another version of the kit wrote it"),
    ],
)
def test_a_result_that_cannot_be_shown_is_told_with_its_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: dict[str, Any], says: str
) -> None:
    status = DOCUMENTS[0]
    assert isinstance(status, StatusDocument)
    status.model_copy(update={"phase": "done"}).write(tmp_path)
    written(LINEAR, tmp_path, **change)
    assert guarded(lambda: show_result(tmp_path)) == 2
    told = capfd.readouterr()
    assert says in told.err and str(tmp_path / "model.json") in told.err and "do: " in told.err
    assert not told.out


def test_a_status_port_tells_strangers_a_part_of_the_status() -> None:
    status = DOCUMENTS[0]
    assert isinstance(status, StatusDocument)
    assert set(status.public().as_json()) == {
        *("version", "phase", "epoch", "epochs", "step", "steps"),
    }
