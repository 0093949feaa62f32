"""``deployer receipt``: a party's receipt out of its pod, and three of a run become one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployer.cluster.installed import locate
from deployer.cluster.target import (
    OUTPUT,
    ContextOption,
    JobNameOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    ValuesOption,
)
from deployer.commands import new_app
from party.approval import Envelope
from party.approval.ledger import NAME as LEDGER
from party.approval.ledger import entries
from party.approval.receipt import Receipt, Statement
from party.process import files
from party.process.errors import InputError, JobError
from party.reporting.documents import RECEIPT

app = new_app(help="Fetch the receipts of a run, and put them together.")


@app.command()
def fetch(
    output: Annotated[
        Path, typer.Option(help="Directory for receipt.json and ledger.jsonl.", show_default=False)
    ],
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
    job_name: JobNameOption = "",
) -> None:
    """Fetch what a party has signed of its run, and its ledger, from its pod; both are checked.

    Example: deployer receipt fetch -f values.yaml --party bob --output bob
    """
    release = locate(values, name, namespace, context, party)
    if len(release.places) != 1:
        what = f"there are {len(release.places)} parties here"
        raise InputError(what, "--party", "say whose receipt, with a directory for each")
    (place,) = release.places
    where = f"pod {place.pod}, namespace {place.namespace}, {place.cluster}"
    directory = OUTPUT
    if place.queue:
        directory += f"/{release.job(job_name).name}"
    elif job_name:
        release.job(job_name)
    found = {}
    for file in (RECEIPT, LEDGER):
        ran = place.cluster.execute(place.pod, place.namespace, ["cat", f"{directory}/{file}"])
        if ran.exit_code != 0:
            raise JobError(f"{place.party} has no {file}", where, "see deployer status")
        found[file] = ran.stdout.encode()
    Statement.of(Envelope.parse(found[RECEIPT], where), where)
    entries(found[LEDGER], where)
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise files.unwritable(error, "cannot make the directory", output) from None
    for file, text in found.items():
        files.replace(output / file, text, mode=0o644)
    print(f"made {output / RECEIPT}, for all three parties, and {output / LEDGER}")


@app.command()
def merge(
    receipts: Annotated[
        list[Path], typer.Argument(help="The receipt.json of each party.", show_default=False)
    ],
    output: Annotated[Path, typer.Option(help="The receipt of all three.", show_default=False)],
) -> None:
    """Check that three parties say the same of a run, and put what they signed into one file.

    Example: deployer receipt merge alice/receipt.json bob/receipt.json server/receipt.json \
--output receipt.json
    """
    files.see_to_place(output, "the receipt", *receipts)
    merged = Receipt.merged([(Envelope.read(path), str(path)) for path in receipts])
    files.replace(output, merged.text(), mode=0o644)
    print(f"made {output}: signed by all three; then: deployer verify {output} --job JOB")
