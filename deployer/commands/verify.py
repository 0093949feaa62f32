"""``deployer verify``: whether a receipt, or a ledger, is as it was signed or written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployer.commands import new_app
from party.agreement.job import PARTIES, Job, load_job
from party.approval import Approval, Envelope, approval_file
from party.approval.envelope import read
from party.approval.ledger import Entry, entries
from party.approval.receipt import Receipt
from party.process.errors import InputError

app = new_app()


@app.command()
def verify(
    documents: Annotated[
        list[Path],
        typer.Argument(help="A receipt of all three, and ledgers.", show_default=False),
    ],
    job: Annotated[
        Path | None, typer.Option(help="The job that was run.", show_default=False)
    ] = None,
    approvals: Annotated[
        Path | None, typer.Option(help="The approvals that it was run by.", show_default=False)
    ] = None,
) -> None:
    """Check receipts and ledgers, with nothing but these files, and say what is in them.

    A ledger beside a receipt must be one of the ledgers that the receipt names.

    Example: deployer verify receipt.json --job job.yaml
    """
    agreed = None if job is None else load_job(job)
    lines: list[str] = []
    receipts: list[Receipt] = []
    ledgers: list[tuple[Path, list[Entry]]] = []
    for path in documents:
        text = read(path)
        if text.startswith((b'{"receipts":', b'{"payload":')):
            receipt = Receipt.parse(text, str(path))
            _check(receipt, path, agreed, approvals)
            receipts.append(receipt)
            lines += [f"{path}: holds", *told(receipt, agreed)]
        elif b'"previous":' in text:
            ledgers.append((path, entries(text, str(path))))
        else:
            what = "the file is neither a receipt nor a ledger" if text else "the file is empty"
            raise InputError(what, str(path), "give a receipt or a ledger")
    for path, found in ledgers:
        _check_ledger(path, found, receipts)
        openings = sum(one.event == "opening" for one in found)
        lines += [f"{path}: holds", f"  {len(found)} entries, {openings} of them openings"]
    print("\n".join(lines))


def told(receipt: Receipt, job: Job | None) -> list[str]:
    """What a receipt says, and on what it rests."""
    first = receipt.statements[0]
    lines = [f"  job {first.job}", f"  plan {first.plan}", f"  run {first.run}"]
    settled = {None: "", True: ", settled", False: ", not settled"}[first.settled]
    lines.append(f"  done in {first.steps} steps{settled}, by version {first.kit} of the kit")
    for statement in receipt.statements:
        opened = ", ".join(statement.opened) or "nothing"
        party = statement.party
        lines.append(f"  {party}, at {statement.time}: was given {opened}")
        lines.append(f"    key {first.keys[party]}, by the authority {first.authorities[party]}")
        if party in first.approvals:
            lines.append(f"    by its approval {first.approvals[party]}")
    if job is None or job.identities is None:
        lines.append("  whose these keys are, no pin of a job says: compare them on the telephone")
    return lines


def _check(receipt: Receipt, path: Path, job: Job | None, approvals: Path | None) -> None:
    if job is not None:
        receipt.check_job(job, str(path))
    if approvals is None:
        return
    first = receipt.statements[0]
    for party in PARTIES:
        file = approval_file(approvals, party)
        envelope = Envelope.read(file)
        if envelope.digest != first.approvals.get(party):
            what = f"the run was not by this approval of {party}"
            raise InputError(what, str(file), "give the approvals that the run was by")
        approval = Approval.of(envelope, str(file))
        pin = None if job is None or job.identities is None else job.identities.of(party).approval
        plan = first.plan if approval.plan is not None else None
        unlike = (approval.job, approval.plan) != (first.job, plan)
        # Where rows are matched no plan is approved, and nowhere else.
        unlike |= job is not None and (approval.plan is None) != job.matches
        if unlike or (job is not None and envelope.keyid != pin):
            what = f"{party}'s approval is for another run, or signed by another key"
            raise InputError(what, str(file), "give the approvals that the run was by")


def _check_ledger(path: Path, found: list[Entry], receipts: list[Receipt]) -> None:
    hashes = {one.hash for one in found}
    for receipt in receipts:
        if not hashes & {statement.ledger for statement in receipt.statements}:
            raise InputError(
                "the ledger is none of those that the receipt names: entries were taken away, or "
                "it is another's",
                str(path),
                "ask its party for the ledger as it stands",
            )
