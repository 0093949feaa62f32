"""``deployer values``: all values, with their defaults and their meaning."""

from __future__ import annotations

from typing import Annotated

import typer

from deployer.commands import new_app
from deployer.manifests.reference import values_schema, values_yaml

app = new_app()


@app.command("values")
def show_values(
    schema: Annotated[bool, typer.Option("--schema", help="As JSON Schema, for editors.")] = False,
) -> None:
    """Show all values with their defaults and their meaning.

    Example: deployer values > values.yaml
    """
    print(values_schema() if schema else values_yaml(), end="")
