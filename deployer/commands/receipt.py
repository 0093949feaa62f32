"""``deployer receipt``: three parties' receipts of a run become one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployer.cli import new_app
from party.approval import Envelope
from party.approval.receipt import Receipt
from party.process import files

app = new_app(help="Put the receipts of a run together.")


@app.callback()
def _receipt() -> None:
    pass


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
    merged = Receipt.merged([(Envelope.read(path), str(path)) for path in receipts])
    files.replace(output, merged.text(), mode=0o644)
    print(f"made {output}: signed by all three; then: deployer verify {output} --job JOB")
