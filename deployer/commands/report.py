"""``deployer report``: a run as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployer.commands import new_app
from party.agreement.job import load_training
from party.process import files
from party.runtime import default_cache

app = new_app()


@app.command()
def report(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job's YAML file.")],
    results: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The --output of a run, or of one party."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page to write, for the owner's eyes alone.")
    ] = Path("report.html"),
    audit: Annotated[
        bool,
        typer.Option(
            help="Say what the audit and the estimate say, which builds the plan (some seconds)."
        ),
    ] = True,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER_DIR",
            help="The --output of another run to compare with, evaluated on the same rows.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where plans are kept.", show_default="~/.cache/tfe-kit")
    ] = None,
) -> None:
    """Write a run down as one HTML page: model, evaluation, cost, what was revealed.

    The page has no scripts and loads nothing; it can be printed.

    Examples:

        deployer report examples/fraud/job.yaml out --output report.html

        deployer report joint.yaml joint --beside alone
    """
    from deployer.commands.audit import explained, revealed
    from deployer.report import Run, page
    from deployer.report.page import check_comparable

    files.see_to_place(output, "the report", job)
    agreed = load_training(job)
    run = Run.read(agreed, results)
    other = None if beside is None else Run.with_its_job(beside)
    if other is not None:
        check_comparable(run, other)  # before the audit, which takes time
    estimate, sentences = None, []
    if audit:
        from deployer.estimate import estimate as estimated
        from party.compiler.driver import audited

        found = audited(agreed)
        sentences = [*revealed(found), *explained(found)]
        if not agreed.matches:  # else nobody knew beforehand how many rows there would be
            estimate = estimated(agreed, cache or default_cache(), None)
    text = page(run, estimate, sentences, other)
    files.replace(output, text.encode(), called="the report")
    print(f"{output}: the run of the job {agreed.name!r}")
