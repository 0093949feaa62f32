"""Figures get from a run into the page and its plot as they were measured."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import plot, readme, report
from bench.cases import CASES
from bench.optimum import GOAL
from bench.report import Measurement
from bench.systems import Figures

ROOT = Path(__file__).resolve().parents[2]


def measured(case: str, system: str, seconds: float) -> Measurement:
    optimum = CASES[case].batches is None
    figures = Figures(
        step_ms=None if optimum else 2.0,
        train_s=0.5,
        first_job_s=seconds,
        job_s=seconds,
        cpu_s=1.0,
        peak_mib={"alice": 30.0, "bob": 20.0, "server": 10.0},
        wire_bytes=3_000_000,
        auc=0.75,
        excess=2e-6 if optimum else None,
    )
    return Measurement(case, "pond", system, 1, figures)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    runs = [
        measured("optimum", "sealed", 2.125),
        measured("optimum", "spu", 7.25),
        measured("reference", "sealed", 1.5),
        measured("reference", "published", 21.5),
        Measurement("reference", "pond", "tensorflow", 1, None, "it fell over"),
    ]
    facts = dict.fromkeys(("processor", "cores", "memory", "system", "commit", "kit on"), "some")
    facts |= {"load before": "3.50"}
    facts |= {"date": "2030-01-02T03:04:05Z", "published": "one peer", "spu": "another"}
    titles = {name: str(CASES[name]) for name in ("optimum", "reference")}
    return report.write(tmp_path, facts, runs, titles).with_suffix(".json")


def texts(svg: Path) -> list[str]:
    root = ET.fromstring(svg.read_text(encoding="utf-8"))
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_report_that_is_read_again_gives_the_same_tables(results: Path) -> None:
    _, runs, titles = report.read(results)
    page = results.with_suffix(".md").read_text(encoding="utf-8")
    assert page.startswith(report.table(runs, titles))


def test_the_plot_says_every_median_and_the_same_report_gives_the_same_plot(
    results: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "bench.plot", str(results), "--output", str(tmp_path / "a")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    drawn = tmp_path / "a" / plot.NAME
    assert {"2.12", "7.25", "1.5", "21.5", "optimum, pond", "reference, pond"} <= set(texts(drawn))
    assert plot.draw([results], tmp_path / "b").read_bytes() == drawn.read_bytes()


def test_every_system_has_a_colour_and_a_name_in_the_plot() -> None:
    from bench.systems import SYSTEMS

    assert set(plot._COLOURS) == set(plot._LABELS) == set(SYSTEMS)


def test_the_page_gets_figures_conditions_and_failures_and_nothing_else_changes(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    monkeypatch.setattr(readme, "PAGE", page)
    readme.rewrite([results])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- figures: begin -->\n")
    assert text.endswith("<!-- figures: end -->\nafter\n")
    assert "old" not in text
    assert "2030-01-02, a single round" in text
    assert "it fell over" in text
    assert "had other work to do" in text, "its load was 3.5"
    assert (tmp_path / "figures" / plot.NAME).exists()
    readme.rewrite([results])
    assert page.read_text(encoding="utf-8") == text


def test_the_page_shows_the_reports_that_it_links_to() -> None:
    text = (ROOT / "bench/README.md").read_text(encoding="utf-8")
    linked = [part.split(")")[0] for part in text.split("](results/")[1:]]
    assert linked
    assert readme.section([ROOT / "bench" / "results" / name for name in linked]) in text


def test_of_a_case_that_two_reports_have_the_later_one_counts(
    results: Path, tmp_path: Path
) -> None:
    facts, _, titles = report.read(results)
    later = report.write(
        tmp_path,
        facts | {"date": "2030-01-03T03:04:05Z"},
        [measured("optimum", "sealed", 8.25)],
        titles,
    ).with_suffix(".json")
    text = readme.section([results, later])
    assert "| 8.25 |" in text and "| 2.12 |" not in text
    assert "| 1.5 |" in text
    assert text.count("Measured on") == 2


@pytest.mark.slow
def test_a_short_look_at_the_optimum_ends_with_a_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--short", "--case", "optimum"]
    command += ["--protocol", "pond", "--system", "sealed", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (written,) = tmp_path.glob("*.json")
    (run,) = json.loads(written.read_text(encoding="utf-8"))["measurements"]
    assert 0 <= run["figures"]["excess"] <= GOAL
    assert "to the optimum" in done.stdout
