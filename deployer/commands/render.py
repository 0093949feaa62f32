"""``deployer render``: writes plain manifests, one folder a party."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployer.commands import new_app
from deployer.manifests.render import DEMO, KINDS, Facts, manifests
from deployer.manifests.values import load_values
from party.agreement.job import PARTIES
from party.process.errors import InputError

app = new_app()


@app.command()
def render(
    output: Annotated[Path, typer.Option(help="The folder to write to.", show_default=False)],
    values: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="VALUES",
            help="Values files, later ones over earlier ones. None: the demo.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write plain manifests, one folder a party, to read, review and apply with kubectl.

    Example: deployer render values.yaml --output manifests, then kubectl apply -f manifests/alice
    """
    rendered = manifests(Facts(load_values(values or [])))
    known = {f"{kind}.yaml" for kind in (*KINDS, DEMO)}
    for folder in (*PARTIES, DEMO):
        files = rendered.get(folder, {})
        try:
            for stale in known - files.keys():
                (output / folder / stale).unlink(missing_ok=True)
            for name, text in files.items():
                (output / folder).mkdir(parents=True, exist_ok=True)
                (output / folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            where = str(output / folder)
            hint = "name another folder with --output"
            raise InputError(f"cannot write the manifests: {error.strerror}", where, hint) from None
        if files:
            print(f"{output / folder}: {', '.join(files)}")
