"""The command starts quickly, whatever it is asked."""

from __future__ import annotations

import subprocess
import sys


def test_no_command_loads_arrays_before_it_needs_them() -> None:
    """The help text names every command, and so imports all of them."""
    script = (
        "import sys; from importlib import import_module; from deployer.cli import COMMANDS\n"
        "for module in COMMANDS.values(): import_module(module)\n"
        "print(*{'numpy', 'tensorflow', 'pyarrow', 'kubernetes'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []
