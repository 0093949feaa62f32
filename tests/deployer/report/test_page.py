"""The report of a run says what its documents say, and loads nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deployer.report import Run, page
from deployer.report.charts import MOST_BARS, bars
from party.agreement.job import Job, Party
from party.models.health import Health
from party.process.errors import InputError
from party.reporting.documents import ModelDocument, PartyReport, Times, Traffic
from tests.scoring.models import document

COLUMNS = ["c0", "<script>alert(1)</script>", "größe"]


@pytest.fixture
def job() -> Job:
    return Job.model_validate(
        {"name": "loans", "rows": 500, "features": tuple(COLUMNS), "label": "late & unpaid"}
    )


def left(directory: Path, job: Job, party: Party) -> None:
    """What a run leaves at a party; the model is Alice's."""
    folder = directory / party
    folder.mkdir(parents=True)
    PartyReport(
        party=party,
        job=job.digest,
        plan="2" * 64,
        run="3" * 64,
        protocol="pond",
        runtime="sealed",
        versions={"kit": "9.9"},
        times=Times(train_s=1.25, step_s=0.01, whole_s=3.5),
        steps=16,
        rounds=4,
        traffic=Traffic(
            bytes_sent=3 << 20,
            bytes_received=5 << 20,
            messages_sent=1,
            messages_received=1,
            writes=1,
            waits=1,
        ),
        peak_bytes=77 << 20,
        table_bytes=1,
    ).write(folder)
    if party == "alice":
        health = Health(
            rows=500, rows_never_used=0, steps=16, largest_weight=2.0, warnings=("look at c0",)
        )
        told = document(features=COLUMNS, job=job.digest) | {"health": health}
        ModelDocument(**told).write(folder)


@pytest.fixture
def run(tmp_path: Path, job: Job) -> Run:
    for party in ("alice", "bob", "server"):
        left(tmp_path, job, party)
    return Run.read(job, tmp_path)


class Page(HTMLParser):
    """The tags of a page that are well nested, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_says_who_took_part_what_came_of_it_and_what_it_took(run: Run) -> None:
    found = Page(page(run, None, ["Revealed at the end: weights.alice, to alice."])).text
    for words in (
        "loans",
        run.job.digest,
        "3 columns",
        "the label late & unpaid",
        "it helps to compute",
        "größe",
        "-0.700000",
        "all 500 rows were used",
        "Warning: look at c0.",
        "3.50",
        "77.0",
        "Revealed at the end: weights.alice, to alice.",
        "kit 9.9",
    ):
        assert words in found, words
    for weight in document()["weights"]:
        assert f"{weight:+.6f}" in found


def test_it_runs_and_loads_nothing(run: Run) -> None:
    text = page(run, None, [])
    found = Page(text)
    assert {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe"} == set()
    assert not re.search(r"https?:|url\(|@import|\bon\w+=", text)
    assert COLUMNS[1] in found.text  # as text, and not as a tag


def test_a_party_reports_on_its_own_part(tmp_path: Path, job: Job) -> None:
    left(tmp_path, job, "bob")
    run = Run.read(job, tmp_path / "bob")
    assert list(run.parties) == ["bob"]
    assert (
        "None of the parties whose results are here received it" in Page(page(run, None, [])).text
    )


def test_a_run_of_another_job_is_refused(tmp_path: Path, job: Job) -> None:
    left(tmp_path, job, "bob")
    other = Job.model_validate(job.model_dump() | {"rows": 501})
    with pytest.raises(InputError, match="of another job"):
        Run.read(other, tmp_path)


@pytest.mark.parametrize("inside", [(), ("alice",)])
def test_where_no_run_is_done_there_is_no_report(
    tmp_path: Path, job: Job, inside: tuple[str, ...]
) -> None:
    for name in inside:
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="no run was finished here"):
        Run.read(job, tmp_path)


def test_bars_are_as_long_as_their_values_and_on_their_side() -> None:
    values = [0.5, -2.0, 1.0, 0.0]
    chart = bars(["a", "b", "c", "d"], values)
    assert [bar.name for bar in chart.bars] == ["b", "c", "a", "d"]
    longest, second, third, none = chart.bars
    assert longest.width == pytest.approx(2 * second.width, abs=0.02)
    assert second.width == pytest.approx(2 * third.width, abs=0.02)
    assert none.width == 0
    assert longest.x + longest.width == pytest.approx(chart.zero, abs=0.02)
    assert second.x == pytest.approx(chart.zero, abs=0.02)
    assert len(bars([str(i) for i in range(99)], [1.0] * 99).bars) == MOST_BARS
    assert bars(["a"], [0.0]).bars[0].width == 0
