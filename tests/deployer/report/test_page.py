"""The report of a run says what its documents say, and loads nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deployer.report import Run, page
from deployer.report.charts import MOST_BARS, bars
from deployer.report.page import check_comparable
from party.agreement.job import PARTIES, Job, Party, Sizes
from party.agreement.yaml12 import write_yaml
from party.models.evaluation.figures import Evaluation
from party.models.evaluation.metrics import evaluation_of
from party.models.health import Health
from party.process.errors import InputError
from party.reporting.documents import Aligned, LinearDocument, PartyReport, Times, Traffic
from tests.models.test_evaluation import made, told
from tests.scoring.models import document

COLUMNS = ["c0", "<script>alert(1)</script>", "größe"]


@pytest.fixture
def job() -> Job:
    return Job.model_validate(
        {"name": "loans", "rows": 500, "features": tuple(COLUMNS), "label": "late & unpaid"}
    )


@pytest.fixture
def evaluated(job: Job) -> Job:
    wanted = {"held_out": 0.3, "minimum": 5}
    return Job.model_validate(job.model_dump() | {"rows": 5120, "evaluation": wanted})


def evaluation(seed: int, rows: int = 1536) -> Evaluation:
    t, y = made(seed, rows)
    return evaluation_of(*told(t, y, 5), 5)


def left(directory: Path, job: Job, party: Party, **model: Any) -> None:
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
        peer_keys={one: f"sha256:{one}" for one in PARTIES if one != party},
    ).write(folder)
    if party == "alice":
        health = Health(
            rows=500, rows_never_used=0, steps=16, largest_weight=2.0, warnings=("look at c0",)
        )
        known = document(features=COLUMNS, job=job.digest) | {"health": health}
        LinearDocument(**known | model).write(folder)


@pytest.fixture
def run(tmp_path: Path, job: Job) -> Run:
    return finished(tmp_path, job)


def finished(directory: Path, job: Job, **model: Any) -> Run:
    for party in PARTIES:
        left(directory, job, party, **model)
    return Run.read(job, directory)


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
        if tag == "table":  # what may be wider than a phone scrolls in a box of its own
            assert self.tags[-2][1].get("class") in ("wide", "matrix")
        if tag == "svg":
            assert "viewbox" in dict(attrs) and "width" not in dict(attrs)

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


def test_an_evaluation_is_drawn_and_told(tmp_path: Path, evaluated: Job) -> None:
    found = evaluation(1)
    figures = found.figures
    assert figures is not None
    shown = Page(page(finished(tmp_path, evaluated, evaluation=found), None, []))
    assert str(found) in shown.text
    drawn = [attributes["aria-label"] for tag, attributes in shown.tags if tag == "svg"]
    assert [name.partition(":")[0] for name in drawn] == [
        "ROC",
        "Calibration",
        "Gains",
        "Scores by label",
        "Weights, the largest first",
    ]
    for one in (figures.half, figures.best):
        assert f"{one.at_least:.3f}" in shown.text
        for count in (one.true_positives, one.false_positives, one.true_negatives):
            assert f"{count:,}" in shown.text
    assert "nearest to 0.5" in shown.text and "largest F1" in shown.text


def test_folds_are_told_and_compared_with_folds_alone(tmp_path: Path, evaluated: Job) -> None:
    wanted = {"folds": 4, "minimum": 5}
    job = Job.model_validate(evaluated.model_dump() | {"evaluation": wanted})
    found = evaluation(1, job.rows).model_copy(update={"folds": 4})
    run = finished(tmp_path / "folds", job, evaluation=found)
    beside = finished(tmp_path / "beside", job, evaluation=found)
    shown = Page(page(run, None, [], beside)).text
    assert str(found) in shown
    assert "each in one of 4 folds" in shown
    assert "4 more trainings each held out one" in shown and "the model is of all rows" in shown
    assert "5,120 held-out rows, each by trainings that had not seen it" in shown
    with pytest.raises(InputError, match="not evaluated on the same rows"):
        check_comparable(run, finished(tmp_path / "share", evaluated, evaluation=found))


def test_intervals_are_drawn_where_the_model_has_them(tmp_path: Path, job: Job) -> None:
    around: dict[str, object] = {"odds_ratio": 0.882, "odds_ratio_interval": (0.5, 1.6)}
    around |= {"per_unit": None, "weight": -0.125, "z": -0.5, "p_value": 0.617, "inflation": 1.5}
    some = [
        {"feature": COLUMNS[0], "standard_error": 0.25, "interval": (-0.75, 0.5)},
        {"feature": COLUMNS[2], "standard_error": 0.5, "interval": (-1.0, 0.75)},
    ]
    statistics = {"level": 0.9, "rows": 12, "C": 1.0, "weights": [one | around for one in some]}
    run = finished(tmp_path, job, statistics=statistics)
    shown = Page(page(run, None, []))
    whiskers = [one for tag, one in shown.tags if tag == "path" and one["class"] == "whisker"]
    assert len(whiskers) == len(some)
    assert "intervals of 90%" in shown.text and "Standard errors by the inverse of" in shown.text
    rows = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page(run, None, [])))
    assert "std. error z p 90% from to odds ratio vif" in rows
    assert "-0.125000 0.250000 -0.50 0.6170 -0.7500 +0.5000 0.882 1.5" in rows


def test_of_a_model_that_two_have_each_tells_of_its_own_columns(tmp_path: Path, job: Job) -> None:
    """Mean, scale and variance inflation are known to a column's holder alone."""
    around: dict[str, object] = {"odds_ratio": 1.1, "odds_ratio_interval": (0.5, 1.6)}
    around |= {"per_unit": None, "weight": 0.1, "z": 0.5, "p_value": 0.617, "standard_error": 0.2}
    around |= {"interval": (-0.3, 0.5)}

    def statistics(*inflation: float | None) -> dict[str, Any]:
        factors = zip(COLUMNS, inflation, strict=True)
        weights = [around | {"feature": name, "inflation": one} for name, one in factors]
        return {"level": 0.95, "rows": 12, "C": 1.0, "weights": weights}

    run = finished(tmp_path, job, statistics=statistics(2.25, None, None))
    bobs = run.models["alice"].as_json() | {"statistics": statistics(None, 3.75, 4.5)}
    both = replace(run, models={**run.models, "bob": LinearDocument.model_validate(bobs)})
    told = re.findall(r">(-|[\d.]+)</td></tr>", page(both, None, []).partition("trusted")[2])
    assert told[:3] == ["2.25", "3.75", "4.5"]


def test_estimates_of_counts_are_told_to_one_row(tmp_path: Path, evaluated: Job) -> None:
    t, y = made(1, 1536)
    private = evaluation_of(*told(t, y, 5), 5, 0.05)
    shown = page(finished(tmp_path, evaluated, evaluation=private), None, [])
    assert str(private) in Page(shown).text
    assert not re.search(r">[\d,]+\.\d{5,}<", shown)


def test_two_runs_stand_side_by_side(tmp_path: Path, evaluated: Job) -> None:
    wider = Job.model_validate(evaluated.model_dump() | {"name": "wider"})
    one, two = (evaluation(seed, 1536) for seed in (1, 1))
    alone = finished(tmp_path / "alone", evaluated, evaluation=one)
    (tmp_path / "alone/job.yaml").write_text(write_yaml(evaluated.model_dump(mode="json")))
    assert Run.with_its_job(tmp_path / "alone") == alone
    both = finished(tmp_path / "both", wider, evaluation=two)
    shown = Page(page(both, None, [], alone))
    assert "Beside loans" in shown.text and "+0.000" in shown.text
    names = [one for tag, one in shown.tags if tag == "span"]
    assert [one["class"] for one in names[:3]] == ["key chance", "key one", "key two"]


def test_runs_on_other_rows_cannot_be_compared(tmp_path: Path, evaluated: Job) -> None:
    here = finished(tmp_path / "here", evaluated, evaluation=evaluation(1))
    with pytest.raises(InputError, match="not evaluated on the same rows"):
        check_comparable(here, finished(tmp_path / "labels", evaluated, evaluation=evaluation(2)))
    seeded = evaluated.model_dump()
    seeded["evaluation"]["seed"] = 1
    other = Job.model_validate(seeded)
    with pytest.raises(InputError, match="not evaluated on the same rows"):
        check_comparable(here, finished(tmp_path / "seed", other, evaluation=evaluation(1)))
    with pytest.raises(InputError, match="no evaluation to compare"):
        check_comparable(here, finished(tmp_path / "none", evaluated))
    with pytest.raises(InputError, match="the job of the other run is not there"):
        Run.with_its_job(tmp_path / "none")


def test_keys_stand_with_who_was_shown_them(run: Run) -> None:
    shown = Page(page(run, None, []))
    assert [shown.text.count(f"sha256:{party}") for party in PARTIES] == [1, 1, 1]
    assert "bob, server" in shown.text and "pins no keys" in shown.text


def test_rows_that_were_matched_are_told_by_their_numbers(tmp_path: Path, job: Job) -> None:
    given = job.model_dump() | {"rows": 0, "align": {"key": "id", "minimum": 10}}
    matched = Job.model_validate(given)
    finished(tmp_path, matched)
    sizes = Sizes(alice=6000, bob=5000, common=4321)
    for party in PARTIES:
        own = PartyReport.read(tmp_path / party)
        assert own is not None
        aligned = Aligned(sizes=sizes, align_s=1.0, bytes_sent=1, bytes_received=1)
        own.model_copy(update={"alignment": aligned}).write(tmp_path / party)
    shown = Page(page(Run.read(matched, tmp_path), None, [])).text
    assert "4,321 are in both tables" in shown and "on 4,321 rows" in shown
    assert "of 6,000 rows" in shown and "of 5,000 rows" in shown


def test_documents_of_two_runs_are_no_run(tmp_path: Path, job: Job) -> None:
    finished(tmp_path, job)
    path = tmp_path / "bob/report.json"
    path.write_text(path.read_text().replace("3" * 64, "4" * 64))
    with pytest.raises(InputError, match="not of one run"):
        Run.read(job, tmp_path)


def test_a_receipt_that_does_not_hold_is_refused(tmp_path: Path, job: Job) -> None:
    finished(tmp_path, job)
    (tmp_path / "receipt.json").write_text('{"receipts": []}')
    with pytest.raises(InputError, match="receipt"):
        Run.read(job, tmp_path)


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
