"""The environments that other systems need, each made once in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.places import ROOT

_COMPLETE = "complete"
"""A file in the folder of an environment of which nothing is missing."""


class NoEnvironment(Exception):
    """A system cannot run here; the message says why."""


def cache() -> Path:
    """Where the bench keeps what is slow to make: the environments and the made-up tables."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tfe-kit" / "bench"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with pinned packages.

    Attributes:
        name: what it is of.
        version: of Python, as 3.10.
        requirements: every package, one a line, installed without its dependencies.
        check: a program that ends well if the packages are what they should be.
        size: of what is installed, for people.
    """

    name: str
    version: str
    requirements: Path
    check: str
    size: str

    def python(self) -> Path:
        """Its interpreter; the environment is made first if it is not there.

        Raises NoEnvironment where there is no such Python or the packages do not install or load.
        """
        digest = hashlib.sha256(self.requirements.read_bytes()).hexdigest()[:12]
        folder = cache() / f"{self.name.replace(' ', '-')}-{digest}"
        interpreter = folder / "bin" / "python"
        if (folder / _COMPLETE).exists():
            return interpreter
        base = self._base()
        print(f"making the environment of {self.name} in {folder} ({self.size})", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "-r", str(self.requirements)]
        for command in (
            [base, "-m", "venv", str(folder)],
            [str(interpreter), *install],
            [str(interpreter), "-c", self.check],
        ):
            _make(self.name, command)
        (folder / _COMPLETE).touch()
        return interpreter

    def _base(self) -> str:
        for candidate in self._candidates():
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
            if answer.stdout.split() == self.version.split("."):
                return candidate
        raise NoEnvironment(
            f"{self.name} needs Python {self.version}, and there is none "
            f"(looked for python{self.version} on PATH, in pyenv and in uv)"
        )

    def _candidates(self) -> Iterator[str]:
        yield f"python{self.version}"
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
        found = sorted(pyenv.glob(f"versions/{self.version}*/bin/python"))
        yield from (str(path) for path in found)
        if uv := shutil.which("uv"):
            find = subprocess.run(
                [uv, "python", "find", self.version], capture_output=True, text=True
            )
            if find.returncode == 0:
                yield find.stdout.strip()


@dataclass(frozen=True)
class Former:
    """The kit as it was at a commit of its own history, built by its own ``setup.py``; it runs on
    the packages of this interpreter.

    Attributes:
        name: what it is, for people.
        commit: which one.
    """

    name: str
    commit: str

    def folder(self) -> Path:
        """Its source tree; it is made first if it is not there.

        Raises NoEnvironment where there is no history, or the commit cannot be built.
        """
        folder = cache() / f"kit-{self.commit[:12]}"
        if (folder / _COMPLETE).exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        packed = folder / "kit.tar"
        git = ["git", "-C", str(ROOT), "archive", f"--output={packed}", self.commit]
        for command in (
            git,
            ["tar", "-xf", str(packed)],
            [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        ):
            _make(self.name, command, folder)
        (folder / _COMPLETE).touch()
        return folder


def _make(name: str, command: list[str], folder: Path | None = None) -> None:
    """One step of making an environment."""
    try:
        outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except OSError as error:
        raise NoEnvironment(f"making the environment of {name} failed: {error}") from None
    if outcome.returncode:
        last = (outcome.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoEnvironment(f"making the environment of {name} failed: {last}")


PUBLISHED = Environment(
    name="tf-encrypted 0.9.1",
    version="3.10",
    requirements=Path(__file__).parent / "published" / "requirements.txt",
    # Without its prebuilt operations tf-encrypted only warns and goes on with other ones: a
    # measurement of that would be of something else.
    check="""
import tensorflow, tf_encrypted
from tf_encrypted.operations import secure_random
from tf_encrypted.operations.aux import aux_module
assert tf_encrypted.__version__ == "0.9.1" and tensorflow.__version__ == "2.9.1"
assert secure_random.supports_secure_randomness() and aux_module is not None
""",
    size="1.6 GB",
)

SPU = Environment(
    name="SPU 0.9.5",
    version="3.11",
    requirements=Path(__file__).parent / "spu" / "requirements.txt",
    check="""
import importlib.metadata, spu, spu.utils.frontend
assert importlib.metadata.version("spu") == "0.9.5"
spu.check_cpu_feature()
""",
    size="1 GB",
)

PSI = Environment(
    name="openmined-psi 2.0.6",
    version="3.11",
    requirements=Path(__file__).parent / "psi" / "requirements.txt",
    check="import private_set_intersection.python as psi; assert psi.__version__ == '2.0.6'",
    size="10 MB",
)

FORMER = Former(
    name="the kit of 26 November 2026", commit="e0dc184646f6cab9084beaeefd8e437f79b8cd3a"
)
"""The last one in which every step sent its batch."""
