"""One module a subcommand, each with its ``app``."""

from __future__ import annotations

from typing import Any

import typer


def new_app(**options: Any) -> typer.Typer:
    """A Typer for a subcommand's module, alike for all of them."""
    return typer.Typer(
        add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, **options
    )
