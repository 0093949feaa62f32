"""The environment that tf-encrypted 0.9.1 was published for, made once in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

_CHECK = """
import tensorflow, tf_encrypted
from tf_encrypted.operations import secure_random
from tf_encrypted.operations.aux import aux_module
assert tf_encrypted.__version__ == "0.9.1" and tensorflow.__version__ == "2.9.1"
assert secure_random.supports_secure_randomness() and aux_module is not None
"""
# Without its prebuilt operations tf-encrypted only warns and goes on with other ones: a
# measurement of that would be of something else.


class NoEnvironment(Exception):
    """tf-encrypted as published cannot run here; the message says why."""


def cache() -> Path:
    """Where the bench keeps what is slow to make: the environment and the made-up tables."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tfe-kit" / "bench"


def python() -> Path:
    """The interpreter of the environment, which is made first if it is not there.

    Raises NoEnvironment where there is no Python 3.10 or the packages do not install or load.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache() / f"tf-encrypted-0.9.1-{digest}"
    interpreter = folder / "bin" / "python"
    done = folder / "complete"
    if done.exists():
        return interpreter
    base = _python_3_10()
    print(f"making the environment of tf-encrypted 0.9.1 in {folder} (1.6 GB)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "-r", str(REQUIREMENTS)]
    for command in (
        [base, "-m", "venv", str(folder)],
        [str(interpreter), *install],
        [str(interpreter), "-c", _CHECK],
    ):
        outcome = subprocess.run(command, capture_output=True, text=True)
        if outcome.returncode:
            last = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
            raise NoEnvironment(f"making its environment failed: {last}")
    done.touch()
    return interpreter


def _python_3_10() -> str:
    for candidate in _candidates():
        try:
            answer = subprocess.run(
                [candidate, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"],
                capture_output=True,
                text=True,
                timeout=60,
            )
        except OSError:
            continue
        # A version manager's shim is on PATH even where it leads to nothing: only a run tells.
        if answer.stdout.split() == ["3", "10"]:
            return candidate
    raise NoEnvironment(
        "there is no Python 3.10 here (looked for python3.10 on PATH, in pyenv and in uv)"
    )


def _candidates() -> Iterator[str]:
    yield "python3.10"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for path in sorted(pyenv.glob("versions/3.10*/bin/python")))
    if uv := shutil.which("uv"):
        found = subprocess.run([uv, "python", "find", "3.10"], capture_output=True, text=True)
        if found.returncode == 0:
            yield found.stdout.strip()
