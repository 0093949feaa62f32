"""``deployer``: the operator's command. Each subcommand is a module, imported when it is called.

A subcommand's module exposes ``app``, a ``typer.Typer`` that ``deployer.commands.new_app()`` makes:
with one command in it, that is the subcommand; with several, or a callback, it is a group of them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from party.process import streams
from party.process.exit import guarded
from party.process.hardening import harden_process

COMMANDS = {
    "run": "deployer.commands.run",
    "invite": "deployer.commands.invite",
    "join": "deployer.commands.join",
    "certs": "deployer.commands.certs",
    "data": "deployer.commands.data",
    "values": "deployer.commands.values",
    "render": "deployer.commands.render",
    "apply": "deployer.commands.apply",
    "status": "deployer.commands.status",
    "logs": "deployer.commands.logs",
    "result": "deployer.commands.result",
    "score": "deployer.commands.score",
    "export": "deployer.commands.export",
    "report": "deployer.commands.report",
    "pause": "deployer.commands.pause",
    "resume": "deployer.commands.resume",
    "delete": "deployer.commands.delete",
    "doctor": "deployer.commands.doctor",
    "audit": "deployer.commands.audit",
    "estimate": "deployer.commands.estimate",
    "approve": "deployer.commands.approve",
    "receipt": "deployer.commands.receipt",
    "verify": "deployer.commands.verify",
    "check": "deployer.commands.check",
    "demo": "deployer.commands.demo",
}
"""Subcommands in the order of the help text, and the modules that hold them."""


class _Subcommands(TyperGroup):
    """Imports a subcommand's module when it is asked for, so that each starts quickly."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, module in COMMANDS.items() if find_spec(module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = get_command(import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Subcommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train a model together without showing each other any data.",
)


@app.callback()
def _deployer() -> None:
    pass


def main() -> None:
    """The ``deployer`` entry point."""
    streams.settle()
    harden_process()  # as a party's: some commands hold keys or tables
    command = get_command(app)
    sys.exit(guarded(lambda: command(prog_name="deployer")))
