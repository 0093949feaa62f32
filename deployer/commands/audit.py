"""``deployer audit``: proves that a job's plan shows nobody more than was agreed upon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deployer import console
from deployer.cluster.target import JsonOption
from deployer.commands import new_app
from party.agreement.job import load_job

app = new_app()

_COLUMNS = {
    "messages": "messages",
    "bytes": "bytes",
    "hidden by masks": "hidden",
    "by transfers": "transferred",
    "mere randomness": "known",
    "shared keys": "keys",
}
"""The figures of a party's view: how they are headed, and what the report calls them."""


@app.command()
def audit(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job's YAML file.")],
    as_json: JsonOption = False,
) -> None:
    """Prove that a job's plan shows no party more than was agreed.

    Builds the plan, which takes what a party is installed with (TensorFlow and tf-encrypted), and
    follows what flows from party to party: each message must be hidden from its receiver by
    randomness that it does not know. Every party does the same before it runs a plan.
    """
    from party.compiler.driver import audited

    agreed = load_job(job)
    report = audited(agreed)
    if as_json:
        more = {"privacy": agreed.told_of_privacy} if agreed.privacy else {}
        console.print_json({"job": agreed.digest, **report, **more})
    elif console.on_terminal():
        from rich.console import Console

        terminal = Console()
        terminal.print(_summary(agreed.name, report), highlight=False)
        for program in report["programs"]:
            terminal.print(_table(program))
        said = (*revealed(report), *agreed.told_of_privacy)
        terminal.print(*said, sep="\n", highlight=False)
    else:
        print(_summary(agreed.name, report))
        for program in report["programs"]:
            for each in program["views"]:
                figures = ", ".join(f"{each[key]} {name}" for name, key in _COLUMNS.items())
                print(f"{program['name']}: {each['party']} receives {figures}")
        print("\n".join((*revealed(report), *agreed.told_of_privacy)))


def _summary(name: str, report: dict[str, Any]) -> str:
    operations = sum(program["operations"] for program in report["programs"])
    streams = sum(program["streams"] for program in report["programs"])
    return (
        f"The plan of the job {name!r} ({report['protocol']}, {len(report['programs'])} programs, "
        f"{operations} operations, {streams} random variables, {report['plan'][:12]}) passes."
    )


def _table(program: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{program['name']}: receives")
    for heading in _COLUMNS:
        table.add_column(heading, justify="right")
    for each in program["views"]:
        table.add_row(each["party"], *(f"{each[key]:,}" for key in _COLUMNS.values()))
    return table


_AFTER = "after the training"
WHEN = {"open": "at the end", "ask": "on the way", "tell": _AFTER, "vouch": _AFTER}
"""By the program that opens: see ``party.plan.parameters``, which needs arrays."""


SAYS = {
    "settled": "whether the last step was small, one bit each time",
    "inside": "whether every row lies in the range of the sigmoid, one bit",
    "information": "how all columns vary and hang together, as sums over all rows",
    "positives.joined": "how many rows are positive, up to the end of each group of scores",
    "residual": "how far the model is from the labels, as one sum over all rows",
    "scores": "how many rows that were held out lie in each bin of the score",
    "sums": "the weighted sum of each row, and so its score",
}
"""What is revealed beside the weights, by the name of the value."""


def explained(report: dict[str, Any]) -> list[str]:
    """What the names in these sentences mean, a sentence each."""
    names = dict.fromkeys(each["what"] for each in report["revealed"])
    return [f"{name}: {SAYS[name]}." for name in names if name in SAYS]


def revealed(report: dict[str, Any]) -> list[str]:
    """What the audit found to be revealed, and to whom: a sentence each."""
    if not report["revealed"]:
        return ["Nothing is revealed: each party keeps its shares."]
    return [
        f"Revealed {WHEN[each['program']]}: {each['what']}, to {each['to']} "
        f"(the share that {' and '.join(each['sent_by'])} sends)."
        for each in report["revealed"]
    ] + ["Nothing else is revealed."]
